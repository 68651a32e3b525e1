"""Every pair of ranked models with the interval of its difference, for pages to carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.bootstrap import task_bootstrap
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.pair_bounds import pair_bounds
from geneb_jax.analysis.ranking import OVER_ROWS, OVER_TASKS
from geneb_jax.analysis.test_row_comparison import compare_rows
from geneb_jax.analysis.test_row_predictions import ModelPredictions

__all__ = ["PairIntervals", "pair_intervals"]

#: Models whose pairs are all computed: over tasks, and over test rows, where each pair costs more.
_MOST, _MOST_BY_ROWS = 80, 12


@dataclass(frozen=True, eq=False)
class PairIntervals:
    """95% intervals of the macro difference first - second.

    Attributes:
        labels: The models, best first.
        low: float64 ``[model, model]``; NaN where it was not computed.
        high: Likewise.
        over: What was resampled: tasks, test rows, or "" where no pair was compared.
    """

    labels: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    over: str


def pair_intervals(
    cube: ScoreCube,
    regime: str,
    *,
    predictions: Mapping[str, ModelPredictions] | None = None,
) -> PairIntervals:
    """The intervals by which :func:`geneb_jax.analysis.ranking` tells models apart.

    Args:
        cube: Scores; models without every task in the regime or off the protocol are left out.
        regime: The regime.
        predictions: Label -> kept predictions, for test rows where there are fewer than five tasks.
    """
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    ranked = np.isfinite(macro) & cube.on_protocol
    order = [int(row) for row in np.argsort(-macro, kind="stable") if ranked[row]]
    labels = tuple(cube.model_ids[row] for row in order)
    low = np.full((len(order), len(order)), np.nan)
    resampling = task_bootstrap(cube.category_of_task)
    kept = predictions or {}
    over = ""
    if resampling is not None and len(order) <= _MOST:
        low, high = pair_bounds(
            cube.in_regime(regime)[order],
            resampling.category_of_task,
            score_range=cube.score_range,
        )
        over = OVER_TASKS
        return PairIntervals(labels, *_both_ways(low, high), over)
    high = low.copy()
    if resampling is None and len(order) <= _MOST_BY_ROWS and all(name in kept for name in labels):
        for one, first in enumerate(labels):
            for two in range(one + 1, len(labels)):
                found = compare_rows(cube, regime, kept[first], kept[labels[two]])
                if found is not None and len(found.tasks) == len(cube.tasks):
                    low[one, two], high[one, two] = found.interval.low, found.interval.high
                    over = OVER_ROWS
    return PairIntervals(labels, *_both_ways(low, high), over)


def _both_ways(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with second - first below the diagonal."""
    known = np.isfinite(low)
    return np.where(known, low, -high.T), np.where(known, high, -low.T)
