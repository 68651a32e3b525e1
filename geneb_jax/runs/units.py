"""The units of a run: one (model, task, regime), its key, and which units are fitted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from geneb_jax.benchmark import Regime, Suite, Task, select_regimes
from geneb_jax.results import UnitKey
from geneb_jax.runs.probe_kinds import ProbeKind, find_probe, plugged_code
from geneb_jax.runs.request import RunRequest

Grouped = TypeVar("Grouped")

__all__ = ["ProbeSettings", "group_tasks", "probe_settings", "unit_key"]


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How every unit of a run is probed; the suite's protocol unless the user chose otherwise.

    Attributes:
        probe: Name of the probe.
        solver: Name of its solver.
        regimes: What the probe is shown of the training rows.
        seeds: Of the few-shot draws.
        C: Inverse strengths of the L2 penalty; the protocol's one for a probe without any.
        max_iter: scikit-learn's step limit.
        tol: scikit-learn's bound on the largest gradient entry.
        dtype: Precision of the fit.
        code: Version of the probes' code.
    """

    probe: str
    solver: str
    regimes: tuple[Regime, ...]
    seeds: tuple[int, ...]
    C: tuple[float, ...]
    max_iter: int
    tol: float
    dtype: str
    code: str

    @property
    def kind(self) -> ProbeKind:
        """The probe."""
        return find_probe(self.probe)

    def fit_seeds(self, regime: Regime) -> tuple[int, ...]:
        """Seeds of a regime that need a fit of their own; the first one stands for all others."""
        return self.seeds if regime.seeded or self.kind.seed_per_fit else self.seeds[:1]

    def packs(self, platform: str) -> bool:
        """Whether a device of this platform holds the features of many tasks together."""
        return self.kind.packs(self.solver, platform)

    @property
    def regime_names(self) -> tuple[str, ...]:
        """Names of the regimes."""
        return tuple(regime.name for regime in self.regimes)


def probe_settings(request: RunRequest, suite: Suite, *, platform: str) -> ProbeSettings:
    """Fill the user's choices up with the suite's protocol.

    Args:
        request: What the user asked for.
        suite: The suite.
        platform: JAX's name of the default device's platform.

    Raises:
        SelectionError: if a regime is unknown.
    """
    from geneb_jax_probes import CODE_VERSION

    protocol, kind = suite.protocol, find_probe(request.probe)
    solver = request.solver or kind.solver
    return ProbeSettings(
        probe=kind.name,
        solver=solver,
        regimes=select_regimes(suite, request.regime),
        seeds=request.seed or protocol.seeds,
        C=request.C or (protocol.C,),
        max_iter=protocol.max_iter,
        tol=protocol.tol,
        dtype=kind.dtype(solver, platform),
        code=CODE_VERSION + plugged_code(kind, solver),
    )


def unit_key(
    embedding: Mapping[str, str | int],
    task: Task,
    fingerprint: str,
    regime: Regime,
    settings: ProbeSettings,
) -> UnitKey:
    """The key under which a unit's record is kept: everything that decides its scores.

    Args:
        embedding: ``EncoderIdentity.as_dict()`` of the model.
        task: The task.
        fingerprint: SHA-256 over its files; empty where they cannot be read.
        regime: The regime.
        settings: How it is probed.
    """
    return UnitKey(
        task_id=task.task_id,
        regime=regime.name,
        shots=regime.shots,
        embedding=embedding,
        task_fingerprint=fingerprint,
        seeds=settings.seeds,
        C=settings.C,
        probe=settings.probe,
        solver=settings.solver,
        tol=settings.tol,
        max_iter=settings.max_iter,
        dtype=settings.dtype,
        code=settings.code,
    )


def group_tasks(
    tasks: Sequence[Grouped], sizes: Mapping[Grouped, int], *, budget_bytes: int
) -> list[tuple[Grouped, ...]]:
    """Cut tasks, in order, into groups whose features fit a budget; one large task is one group.

    Args:
        tasks: The tasks, or tasks of several embeddings.
        sizes: Bytes of the features of each, train and test together.
        budget_bytes: Most bytes of features in one group.
    """
    groups: list[tuple[Grouped, ...]] = []
    current: list[Grouped] = []
    used = 0
    for task in tasks:
        need = sizes[task]
        if current and used + need > budget_bytes:
            groups.append(tuple(current))
            current, used = [], 0
        current.append(task)
        used += need
    if current:
        groups.append(tuple(current))
    return groups
