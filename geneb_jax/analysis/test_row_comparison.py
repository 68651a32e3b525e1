"""Two models on the very same test rows: which tasks tell them apart."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.bootstrap import DRAWS, Interval, macro_weights
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.test_row_predictions import ModelPredictions, TaskRows

__all__ = ["RowComparison", "TaskRowDifference", "compare_rows", "macro_row_interval"]


@dataclass(frozen=True, slots=True)
class TaskRowDifference:
    """Score of a minus score of b on one task, with its interval over the task's test rows."""

    task_id: str
    category: str
    test_rows: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class RowComparison:
    """Model a against model b on the tasks for which both kept predictions of the same rows.

    Attributes:
        tasks: Task by task, in the suite's order.
        test_rows: Rows of all of them.
        interval: Of the macro mean of the differences over these tasks, resampling test rows within
            each task: the tasks are taken as they are, unlike in the interval over tasks.
        clearly_ahead: Tasks whose interval lies above zero; ``clearly_behind`` below.
    """

    tasks: tuple[TaskRowDifference, ...]
    test_rows: int
    interval: Interval
    clearly_ahead: int
    clearly_behind: int


def compare_rows(
    cube: ScoreCube,
    regime: str,
    model_a: ModelPredictions,
    model_b: ModelPredictions,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
) -> RowComparison | None:
    """Compare two models row by row.

    Args:
        cube: Its tasks are looked at.
        regime: The regime.
        model_a: Predictions of the first model.
        model_b: Predictions of the second.
        level: Level of the percentile intervals; none is corrected for the number of tasks.
        draws: Bootstrap draws.

    Returns:
        The comparison, or None where no task has the predictions of both on the same rows.
    """
    tail = (1.0 - level) / 2.0
    found: list[TaskRowDifference] = []
    kept = np.zeros(len(cube.tasks), dtype=bool)
    drawn: list[np.ndarray] = []
    for place, task in enumerate(cube.tasks):
        a, b = (model.task(regime, task.task_id) for model in (model_a, model_b))
        if a is None or b is None or a.fingerprint != b.fingerprint:
            continue
        moved = _difference(a, b, draws, seed=_seed(task.task_id), metric=cube.metric)
        low, high = np.quantile(moved, [tail, 1.0 - tail])
        exact = float(a.score(cube.metric).mean() - b.score(cube.metric).mean())
        interval = Interval(exact, float(low), float(high), level)
        found.append(TaskRowDifference(task.task_id, task.category, len(a.truth), interval))
        kept[place] = True
        drawn.append(moved)
    if not found:
        return None
    weights = macro_weights(cube.keep_tasks(kept).category_of_task)
    low, high = np.quantile(weights @ np.stack(drawn), [tail, 1.0 - tail])
    exact = float(weights @ np.array([one.interval.estimate for one in found]))
    low, high = min(float(low), exact), max(float(high), exact)
    return RowComparison(
        tasks=tuple(found),
        test_rows=sum(one.test_rows for one in found),
        interval=Interval(exact, float(low), float(high), level),
        clearly_ahead=sum(one.interval.low > 0 for one in found),
        clearly_behind=sum(one.interval.high < 0 for one in found),
    )


def macro_row_interval(
    cube: ScoreCube,
    regime: str,
    model: ModelPredictions,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Interval | None:
    """Interval of a macro mean over the cube's tasks, resampling the rows of each test set.

    Returns:
        The interval; None unless the model kept predictions of every task.
    """
    drawn: list[np.ndarray] = []
    exact: list[float] = []
    for task in cube.tasks:
        rows = model.task(regime, task.task_id)
        if rows is None:
            return None
        drawn.append(rows.draws(draws, _seed(task.task_id), cube.metric).mean(axis=1))
        exact.append(float(rows.score(cube.metric).mean()))
    if not drawn:
        return None
    weights = macro_weights(cube.category_of_task)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(weights @ np.stack(drawn), [tail, 1.0 - tail])
    estimate = float(weights @ np.array(exact))
    # Percentiles of a skewed few rows may leave the estimate out; an interval holds it.
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate), level)


def _seed(task_id: str) -> int:
    """A seed a task, whatever stands beside it: with one for all, tasks would move together."""
    return zlib.crc32(task_id.encode("utf-8"))


def _difference(a: TaskRows, b: TaskRows, draws: int, seed: int, metric: str = "mcc") -> np.ndarray:
    """float64 ``[draw]``: mean over a's fits minus mean over b's, on the same resampled rows."""
    both = TaskRows(a.fingerprint, a.truth, a.leaked, np.concatenate([a.guesses, b.guesses]))
    scores = both.draws(draws, seed, metric)
    first = len(a.guesses)
    moved: np.ndarray = scores[:, :first].mean(axis=1) - scores[:, first:].mean(axis=1)
    return moved
