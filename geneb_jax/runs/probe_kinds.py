"""The probes that a run can fit: what each is called, needs and gives, in one entry.

A probe is one module that fits tasks, and one entry here; :func:`register_probe` adds one from
outside. Nothing is imported before a probe is used, so that options can be checked and listed
without JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geneb_jax.benchmark import near_matches
from geneb_jax.errors import SelectionError
from geneb_jax_probes.solvers.choice import SOLVERS

if TYPE_CHECKING:
    from geneb_jax.runs.units import ProbeSettings
    from geneb_jax_probes import ProbeTask, TaskScores

__all__ = ["ProbeKind", "find_probe", "probe_kinds", "register_probe"]


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One probe.

    Attributes:
        name: As ``--probe`` and scores.csv have it.
        says: What it is, in a line.
        list_solvers: Gives name -> what it finds, in a line; the first is the default.
        uses_C: Whether it has scikit-learn's inverse strength of the L2 penalty, ``C``.
        seed_per_fit: Whether every seed is a fit of its own in every regime; otherwise only the
            few-shot draws need the seed, and one full fit serves all.
        dtype: (solver, JAX platform) -> precision of a fit, ``float32`` or ``float64``.
        packs: (solver, JAX platform) -> whether the features of many tasks are held together, each
            distinct row once.
        fit: Fits and scores problems; called with the problems, the settings, and whether to keep
            the predicted labels.
    """

    name: str
    says: str
    list_solvers: Callable[[], Mapping[str, str]]
    uses_C: bool
    seed_per_fit: bool
    dtype: Callable[[str, str], str]
    fit: Callable[[Sequence[ProbeTask], ProbeSettings, bool], list[TaskScores]]
    packs: Callable[[str, str], bool] = lambda solver, platform: False

    @property
    def solvers(self) -> Mapping[str, str]:
        """Name -> what it finds."""
        return self.list_solvers()

    @property
    def solver(self) -> str:
        """The default solver."""
        return next(iter(self.solvers))


def _logistic_dtype(solver: str, platform: str) -> str:
    """The solver's own precision for float32 embeddings, where the device has it."""
    from geneb_jax_probes.solvers.choice import find_solver

    own = find_solver(solver).default_dtype(np.dtype(np.float32))
    return "float32" if platform == "tpu" else own


def _packs(solver: str, platform: str) -> bool:
    from geneb_jax_probes.solvers.choice import find_solver

    return platform == "gpu" and find_solver(solver).packed_rules is not None


def _fit_logistic(
    problems: Sequence[ProbeTask], settings: ProbeSettings, keep_predictions: bool
) -> list[TaskScores]:
    from geneb_jax_probes import fit_tasks
    from geneb_jax_probes.solvers.choice import find_solver

    solver = find_solver(settings.solver)
    return fit_tasks(
        problems,
        C=settings.C,
        solver=solver.name,
        tol=settings.tol if solver.takes_protocol_tol else None,
        max_iter=settings.max_iter,
        dtype=settings.dtype,
        keep_predictions=keep_predictions,
    )


def _fit_mlp(
    problems: Sequence[ProbeTask], settings: ProbeSettings, keep_predictions: bool
) -> list[TaskScores]:
    from geneb_jax_probes import fit_mlp_tasks

    seeds = [seed for regime in settings.regimes for seed in settings.fit_seeds(regime)]
    return fit_mlp_tasks(problems, seeds=seeds, keep_predictions=keep_predictions)


_KINDS = {
    kind.name: kind
    for kind in (
        ProbeKind(
            name="logistic",
            says="L2 logistic regression, the benchmark's probe",
            list_solvers=lambda: {name: entry.says for name, entry in SOLVERS.items()},
            uses_C=True,
            seed_per_fit=False,
            dtype=_logistic_dtype,
            fit=_fit_logistic,
            packs=_packs,
        ),
        ProbeKind(
            name="mlp",
            says="one hidden layer of 256 ReLU units, early stopping (paper, appendix on probes)",
            list_solvers=lambda: {"adam": "Adam on mini-batches, with early stopping"},
            uses_C=False,
            seed_per_fit=True,
            dtype=lambda solver, platform: "float32",
            fit=_fit_mlp,
        ),
    )
}


def probe_kinds() -> Mapping[str, ProbeKind]:
    """All probes by name; the benchmark's is first."""
    return dict(_KINDS)


def find_probe(name: str) -> ProbeKind:
    """One probe.

    Raises:
        SelectionError: naming the known ones.
    """
    if name not in _KINDS:
        close = near_matches(name, _KINDS)
        raise SelectionError(
            f"unknown probe {name!r}",
            hint=(f"did you mean {close[0]!r}? " if close else "")
            + f"the probes are {', '.join(_KINDS)}",
        )
    return _KINDS[name]


def register_probe(kind: ProbeKind) -> None:
    """Add a probe from outside; its name must be free.

    Raises:
        ValueError: if a probe of that name exists.
    """
    if kind.name in _KINDS:
        raise ValueError(f"there is a probe {kind.name!r} already")
    _KINDS[kind.name] = kind
