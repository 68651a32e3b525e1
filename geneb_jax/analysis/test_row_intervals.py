"""How far a score could have come out on other test rows: by task, and in the macro mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.bootstrap import DRAWS, Interval, macro_weights
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.test_row_predictions import TaskRows

__all__ = ["RowSpread", "ScoreInterval", "row_spread", "score_interval"]


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """One score with its interval over test rows.

    Attributes:
        model_id: The model.
        regime: The regime.
        task_id: The task.
        test_rows: Rows of the test set.
        interval: Of the score (the mean over seeds), the seeds' fits as they are.
        error: Standard error of the score.
    """

    model_id: str
    regime: str
    task_id: str
    test_rows: int
    interval: Interval
    error: float


@dataclass(frozen=True, slots=True)
class RowSpread:
    """What the choice of test rows does to one model's scores in one regime.

    Attributes:
        model_id: The model.
        regime: The regime.
        tasks: Tasks with kept predictions, of the cube's.
        test_rows: Their test rows together.
        typical: Mean over tasks of the standard error.
        widest: The largest of them, and ``widest_task`` where.
        macro_error: Standard error of the macro mean that the choice of test rows alone gives,
            tasks taken as independent; None unless every task has predictions.
    """

    model_id: str
    regime: str
    tasks: int
    test_rows: int
    typical: float
    widest: float
    widest_task: str
    macro_error: float | None


def score_interval(
    model_id: str,
    regime: str,
    task_id: str,
    rows: TaskRows,
    *,
    metric: str = "mcc",
    level: float = 0.95,
    draws: int = DRAWS,
) -> ScoreInterval:
    """Percentile interval of a score, resampling the test rows of its task.

    Args:
        model_id: The model.
        regime: The regime.
        task_id: The task.
        rows: What the model predicted.
        metric: ``mcc``, ``accuracy`` or ``macro_f1``.
        level: Confidence level.
        draws: Bootstrap draws.
    """
    drawn = rows.draws(draws, metric=metric).mean(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return ScoreInterval(
        model_id=model_id,
        regime=regime,
        task_id=task_id,
        test_rows=len(rows.truth),
        interval=Interval(float(rows.score(metric).mean()), float(low), float(high), level),
        error=float(drawn.std(ddof=1)),
    )


def row_spread(cube: ScoreCube, intervals: Sequence[ScoreInterval]) -> tuple[RowSpread, ...]:
    """Sum up the intervals of each (model, regime) over the cube's tasks."""
    place = {task.task_id: k for k, task in enumerate(cube.tasks)}
    weight = macro_weights(cube.category_of_task)
    groups: dict[tuple[str, str], list[ScoreInterval]] = {}
    for found in intervals:
        if found.task_id in place:
            groups.setdefault((found.model_id, found.regime), []).append(found)
    return tuple(
        RowSpread(
            model_id=model_id,
            regime=regime,
            tasks=len(group),
            test_rows=sum(one.test_rows for one in group),
            typical=float(np.mean([one.error for one in group])),
            widest=max(one.error for one in group),
            widest_task=max(group, key=lambda one: one.error).task_id,
            macro_error=None
            if len(group) < len(cube.tasks)
            else float(np.sqrt(sum((weight[place[g.task_id]] * g.error) ** 2 for g in group))),
        )
        for (model_id, regime), group in groups.items()
    )
