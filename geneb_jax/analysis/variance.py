"""On which tasks models differ, which tasks are hard, and who stands at the ends there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import mean_of
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["EndBands", "TaskSpread", "end_bands", "task_spread"]


@dataclass(frozen=True, slots=True)
class TaskSpread:
    """How the models' scores spread on one task: ``sd`` is over models, with n - 1."""

    task_id: str
    label: str
    category: str
    mean: float
    sd: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class EndBands:
    """How often models of each label stand among a task's first and last, over some tasks.

    ``slots`` is tasks times band width: what each of the two counts adds up to.
    """

    top: Mapping[str, int]
    bottom: Mapping[str, int]
    slots: int


def task_spread(cube: ScoreCube, regime: str) -> tuple[TaskSpread, ...]:
    """Mean and spread over the complete models on every task, largest spread first."""
    scores = cube.in_regime(regime)[cube.complete(regime)]
    if len(scores) < 2:
        return ()
    mean, sd = mean_of(scores.T), scores.std(axis=0, ddof=1)
    order = np.argsort(-sd, kind="stable")
    return tuple(
        TaskSpread(
            task_id=cube.tasks[k].task_id,
            label=cube.tasks[k].label,
            category=cube.tasks[k].category,
            mean=float(mean[k]),
            sd=float(sd[k]),
            lowest=float(scores[:, k].min()),
            highest=float(scores[:, k].max()),
        )
        for k in order.tolist()
    )


def end_bands(
    cube: ScoreCube,
    regime: str,
    attribute: str,
    *,
    threshold: float = 0.12,
    width: int = 3,
) -> EndBands:
    """Labels of the first and last ``width`` models on tasks with a spread above ``threshold``.

    Args:
        cube: Scores; complete models count.
        regime: The regime.
        attribute: "corpus" or "architecture" (or any label of ``ModelFacts``).
        threshold: Tasks with a standard deviation over models above this count.
        width: Models in each band. Equal scores at a band's edge are taken in the cube's order.
    """
    whole = cube.select_models(cube.complete(regime))
    chosen = {task.task_id for task in task_spread(whole, regime) if task.sd > threshold}
    labels = whole.labels(attribute)
    top: Counter[str] = Counter()
    bottom: Counter[str] = Counter()
    scores = whole.in_regime(regime)
    for place, task in enumerate(whole.tasks):
        if task.task_id in chosen:
            order = np.argsort(-scores[:, place], kind="stable")
            top.update(labels[order[:width]].tolist())
            bottom.update(labels[order[-width:]].tolist())
    return EndBands(dict(top.most_common()), dict(bottom.most_common()), len(chosen) * width)
