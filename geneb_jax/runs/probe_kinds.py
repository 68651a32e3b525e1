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

from geneb_jax.errors import SelectionError
from geneb_jax.plugins import PROBES, find_plug_in, plug_ins
from geneb_jax.plugins import SOLVERS as PLUGGED_SOLVERS
from geneb_jax_probes.solvers.choice import SOLVERS, register

if TYPE_CHECKING:
    from geneb_jax.runs.units import ProbeSettings
    from geneb_jax_probes import ProbeTask, TaskScores
    from geneb_jax_probes.solvers.solver import Solver

__all__ = [
    "ProbeKind",
    "find_probe",
    "list_solvers",
    "own_solver_names",
    "plugged_code",
    "probe_kinds",
    "probe_names",
    "register_probe",
]

#: Names of ours, which no other package takes over.
_OWN_SOLVERS = tuple(SOLVERS)


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
    own = _solver(solver).default_dtype(np.dtype(np.float32))
    return "float32" if platform == "tpu" else own


def _packs(solver: str, platform: str) -> bool:
    from geneb_jax_probes.solvers.choice import find_solver

    found = find_solver(solver)
    return platform == "gpu" and found.rules_when_packed(found.default_dtype(None)) is not None


def _fit_logistic(
    problems: Sequence[ProbeTask], settings: ProbeSettings, keep_predictions: bool
) -> list[TaskScores]:
    from geneb_jax_probes import fit_tasks

    solver = _solver(settings.solver)
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
            list_solvers=lambda: list_solvers(),
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


_OWN_PROBES = tuple(_KINDS)


def _solver(name: str) -> Solver:
    """The solver, of ours or of another package.

    Raises:
        ConfigError: if a package's solver cannot be had.
    """
    from geneb_jax_probes.solvers.choice import find_solver

    plug_in = None if name in _OWN_SOLVERS else find_plug_in(PLUGGED_SOLVERS, name)
    if plug_in is None:
        return find_solver(name)
    from geneb_jax_probes.solvers.solver import Solver

    solver = plug_in.load()
    if not isinstance(solver, Solver) or solver.name != name:
        raise plug_in.refusal(f"is no Solver called {name!r}")
    return find_solver(name)


def list_solvers() -> Mapping[str, str]:
    """Solvers of the logistic probe, ours and those of other packages; imports none of them."""
    for plug_in in plug_ins(PLUGGED_SOLVERS).values():
        if plug_in.name not in SOLVERS:
            register(plug_in.name, f"of {plug_in.origin}", plug_in.place)
    return {name: entry.says for name, entry in SOLVERS.items()}


def own_solver_names() -> list[str]:
    """Names of the solvers of our own probes; other packages are not looked for."""
    return [*_OWN_SOLVERS, *_KINDS["mlp"].solvers]


def probe_names() -> Mapping[str, str]:
    """Every probe's name and line; those of other packages are not imported for it."""
    others = {one.name: f"of {one.origin}" for one in plug_ins(PROBES).values()}
    return {**others, **{kind.name: kind.says for kind in _KINDS.values()}}


def plugged_code(kind: ProbeKind, solver: str) -> str:
    """Version of other packages' code in a fit, for its key; empty where all of it is ours."""
    probe = None if kind.name in _OWN_PROBES else find_plug_in(PROBES, kind.name)
    other = None if solver in _OWN_SOLVERS else find_plug_in(PLUGGED_SOLVERS, solver)
    return "".join(f"+{one.revision}" for one in (probe, other) if one is not None)


def _plugged(name: str) -> ProbeKind | None:
    """The probe of another package, None where none declares it.

    Raises:
        ConfigError: if it cannot be had.
    """
    plug_in = find_plug_in(PROBES, name)
    if plug_in is None:
        return None
    kind = plug_in.load()
    if not isinstance(kind, ProbeKind) or kind.name != name:
        raise plug_in.refusal(f"is no ProbeKind called {name!r}")
    return kind


def probe_kinds() -> Mapping[str, ProbeKind]:
    """The probes that are loaded by name; the benchmark's is first."""
    return dict(_KINDS)


def find_probe(name: str) -> ProbeKind:
    """One probe.

    Raises:
        SelectionError: naming the known ones.
        ConfigError: if another package's probe cannot be had.
    """
    if name in _KINDS:
        return _KINDS[name]
    plugged = _plugged(name)
    if plugged is not None:
        return plugged
    # Only where a name is wrong: it would load what checks suites, before --help is printed.
    from geneb_jax.benchmark import near_matches

    close = near_matches(name, probe_names())
    raise SelectionError(
        f"unknown probe {name!r}",
        hint=(f"did you mean {close[0]!r}? " if close else "")
        + f"the probes are {', '.join(probe_names())}",
    )


def register_probe(kind: ProbeKind) -> None:
    """Add a probe from outside; its name must be free.

    Raises:
        ValueError: if a probe of that name exists.
    """
    if kind.name in _KINDS:
        raise ValueError(f"there is a probe {kind.name!r} already")
    _KINDS[kind.name] = kind
