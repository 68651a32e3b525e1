"""Two models, paired task by task: the difference, its interval, and how often one is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.analysis.bootstrap import (
    Interval,
    difference_limits,
    row_bootstrap_mcc,
    task_bootstrap,
)
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.test_row_comparison import RowComparison, compare_rows
from geneb_jax.analysis.test_row_predictions import ModelPredictions, as_codes
from geneb_jax.errors import DataError

__all__ = ["CategoryDifference", "PairedComparison", "compare_models", "compare_predictions"]


@dataclass(frozen=True, slots=True)
class CategoryDifference:
    """a - b in one category; no interval where it has fewer than five tasks."""

    category: str
    tasks: int
    difference: float
    interval: Interval | None
    ahead: int


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Model a against model b over the tasks that both have.

    Attributes:
        model_a: Id of the first model.
        model_b: Id of the second.
        regime: The regime.
        tasks: Tasks compared.
        suite_tasks: Tasks of the suite; where fewer were compared, no number here is the suite's.
        difference: Macro mean of a - b over the compared tasks.
        interval: 95% bootstrap interval over tasks, None for fewer than five tasks; ``rows`` has
            one over test rows.
        superiority: Chance that a beats b on a task drawn from a category drawn at random, ties
            counting half.
        probability_better: Share of bootstrap draws in which a's macro mean is above b's.
        ahead: Tasks on which a is ahead; ``behind`` and ``equal`` likewise.
        wilcoxon_p: Two-sided p of the signed-rank test over tasks; None where all are equal.
        categories: Category by category.
        task_difference: float64 ``[task]`` in the order of ``task_ids``.
        task_ids: The tasks compared.
        rows: The comparison on the same test rows, where both kept predictions; else None.
    """

    model_a: str
    model_b: str
    regime: str
    tasks: int
    suite_tasks: int
    difference: float
    interval: Interval | None
    superiority: float
    probability_better: float | None
    ahead: int
    behind: int
    equal: int
    wilcoxon_p: float | None
    categories: tuple[CategoryDifference, ...]
    task_difference: tuple[float, ...]
    task_ids: tuple[str, ...]
    rows: RowComparison | None = None
    metric: str = "mcc"

    @property
    def decisive(self) -> Interval | None:
        """The interval that a verdict goes by: over tasks, below five of them over test rows.

        The latter only where every compared task has its rows.
        """
        if self.interval is not None or self.rows is None:
            return self.interval
        return self.rows.interval if len(self.rows.tasks) == self.tasks else None


def compare_models(
    cube: ScoreCube,
    model_a: str,
    model_b: str,
    regime: str,
    *,
    level: float = 0.95,
    predictions: Mapping[str, ModelPredictions] | None = None,
) -> PairedComparison:
    """Compare two models of a cube over the tasks that both have in a regime.

    Args:
        cube: The scores.
        model_a: Id or displayed name of the first model.
        model_b: Of the second.
        regime: The regime.
        level: Level of the intervals.
        predictions: Model id of the cube -> its kept predictions, for the comparison by rows.

    Raises:
        SelectionError: for an unknown model or regime.
        DataError: if the two share no task.
    """
    a, b = cube.model_index(model_a), cube.model_index(model_b)
    scores = cube.in_regime(regime)
    both = np.isfinite(scores[a]) & np.isfinite(scores[b])
    shared_any = bool(both.any())
    if cube.of_user[a] != cube.of_user[b]:
        # A score on other data than the benchmark's stands beside no published one.
        both &= ~cube.unlike[[a, b]].any(axis=0)
    if not both.any():
        what = "only tasks scored on data unlike the benchmark's" if shared_any else "no task"
        raise DataError(
            f"{cube.model_ids[a]} and {cube.model_ids[b]} share {what} in the regime {regime}",
            hint="run both on the same tasks and files",
        )
    shared = cube.keep_tasks(both)
    first, second = shared.in_regime(regime)[[a, b]]
    difference = first - second
    category = shared.category_of_task
    resampling = task_bootstrap(category)
    means = category_means(difference, category)
    ahead = category_means((difference > 0) + 0.5 * (difference == 0), category)
    limits = difference_limits(cube.score_range)
    parts = []
    for k, name in enumerate(shared.categories):
        inside = difference[category == k]
        alone = task_bootstrap(np.zeros(len(inside), dtype=np.int64))
        parts.append(
            CategoryDifference(
                category=name,
                tasks=len(inside),
                difference=float(means[k]),
                interval=None if alone is None else alone.interval(inside, level, limits=limits),
                ahead=int((inside > 0).sum()),
            )
        )
    draws = None if resampling is None else resampling.draws(difference)
    kept = [(predictions or {}).get(cube.model_ids[row]) for row in (a, b)]
    return PairedComparison(
        model_a=cube.model_ids[a],
        model_b=cube.model_ids[b],
        regime=regime,
        tasks=len(difference),
        suite_tasks=len(cube.tasks),
        difference=float(mean_of(means)),
        interval=None
        if resampling is None
        else resampling.interval(difference, level, limits=limits),
        superiority=float(ahead.mean()),
        probability_better=None
        if draws is None
        else float((draws > 0).mean() + 0.5 * (draws == 0).mean()),
        ahead=int((difference > 0).sum()),
        behind=int((difference < 0).sum()),
        equal=int((difference == 0).sum()),
        wilcoxon_p=_wilcoxon(difference),
        categories=tuple(parts),
        task_difference=tuple(difference.tolist()),
        task_ids=tuple(task.task_id for task in shared.tasks),
        rows=None
        if kept[0] is None or kept[1] is None
        else compare_rows(shared, regime, kept[0], kept[1], level=level),
        metric=cube.metric,
    )


def compare_predictions(
    y_true: np.ndarray,
    predictions_a: np.ndarray,
    predictions_b: np.ndarray,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of MCC(a) - MCC(b) on one task, resampling its test rows.

    Args:
        y_true: Labels ``[row]``, any sortable values.
        predictions_a: Predictions ``[row]`` of the first model, in the same labels.
        predictions_b: Predictions ``[row]`` of the second.
        level: Confidence level of the percentile interval.
        seed: Seed of the draws.
    """
    codes = as_codes(np.stack([y_true, predictions_a, predictions_b]))
    draws = row_bootstrap_mcc(codes[0], codes[1:], seed=seed)
    exact = row_bootstrap_mcc(codes[0], codes[1:], draws=0)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws[:, 0] - draws[:, 1], [tail, 1.0 - tail])
    return Interval(float(exact[0, 0] - exact[0, 1]), float(low), float(high), level)


def _wilcoxon(difference: np.ndarray) -> float | None:
    moved = difference[difference != 0]
    if not len(moved):
        return None
    return float(stats.wilcoxon(moved, method="auto").pvalue)
