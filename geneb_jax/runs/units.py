"""The units of a run: one (model, task, regime), its key, and which units are fitted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geneb_jax.benchmark import Regime, Suite, Task, select_regimes
from geneb_jax.results import UnitKey
from geneb_jax.runs.request import RunRequest

__all__ = ["ProbeSettings", "fits_a_strength", "group_tasks", "probe_settings", "unit_key"]


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How every unit of a run is probed; the suite's protocol unless the user chose otherwise."""

    probe: str
    solver: str
    regimes: tuple[Regime, ...]
    seeds: tuple[int, ...]
    C: tuple[float, ...]
    max_iter: int
    tol: float
    dtype: str
    code: str


def probe_settings(request: RunRequest, suite: Suite, *, platform: str) -> ProbeSettings:
    """Fill the user's choices up with the suite's protocol.

    The reference solver runs in float64 wherever the device has it: rows on the boundary and long
    trajectories make float32 scores differ (design of the probe engine, docs/probes.md).

    Args:
        request: What the user asked for.
        suite: The suite.
        platform: JAX's name of the default device's platform.

    Raises:
        SelectionError: if a regime is unknown.
    """
    from geneb_jax_probes import CODE_VERSION

    protocol = suite.protocol
    precise = request.probe == "logistic" and request.solver == "reference" and platform != "tpu"
    return ProbeSettings(
        probe=request.probe,
        solver=request.solver if request.probe == "logistic" else "adam",
        regimes=select_regimes(suite, request.regimes),
        seeds=request.seeds or protocol.seeds,
        C=(request.C or (protocol.C,)) if request.probe == "logistic" else (protocol.C,),
        max_iter=protocol.max_iter,
        tol=protocol.tol,
        dtype="float64" if precise else "float32",
        code=CODE_VERSION,
    )


def fits_a_strength(regime: Regime, settings: ProbeSettings) -> int:
    """Fits of a unit at one C: one a seed, or one for all, since only draws and MLPs need seeds."""
    return len(settings.seeds) if regime.seeded or settings.probe == "mlp" else 1


def unit_key(
    model_id: str,
    identity: Mapping[str, str | int],
    task: Task,
    fingerprint: str,
    regime: Regime,
    settings: ProbeSettings,
) -> UnitKey:
    """The key under which a unit's record is kept: everything that decides its scores."""
    return UnitKey(
        model_id=model_id,
        task_id=task.task_id,
        regime=regime.name,
        shots=regime.shots,
        embedding=identity,
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
    tasks: Sequence[Task], row_counts: Mapping[Task, int], *, row_bytes: int, budget_bytes: int
) -> list[tuple[Task, ...]]:
    """Cut tasks, in order, into groups whose features fit a budget; one large task is one group.

    The groups depend on the whole list and not on what is already finished, so a resumed run fits
    the same problems in the same calls as an undisturbed one and ends with the same bytes.

    Args:
        tasks: All tasks of the run, finished or not.
        row_counts: Rows of each task, train and test together.
        row_bytes: Bytes of one row of features.
        budget_bytes: Most bytes of features in one group.
    """
    groups: list[tuple[Task, ...]] = []
    current: list[Task] = []
    used = 0
    for task in tasks:
        need = row_counts[task] * row_bytes
        if current and used + need > budget_bytes:
            groups.append(tuple(current))
            current, used = [], 0
        current.append(task)
        used += need
    if current:
        groups.append(tuple(current))
    return groups
