"""One comparison of all ranked models: intervals, tie groups and rank ranges that agree.

Two models are told apart when the interval of their paired difference excludes zero. Everything
here is made of that one relation, and the relation is the one that ``compare`` reports:

- a model's rank lies between one more than the number of models that are told to be better, and
  the number of models less those that are told to be worse;
- a tie group is a stretch of the ranking in which nobody is told from anybody.

So the rank range of a model holds the rank of every member of its tie group: whoever is told to be
better than it stands above the whole group, and whoever is told to be worse below it. No correction
is made for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.bootstrap import TaskBootstrap, task_bootstrap
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.pair_bounds import pair_bounds
from geneb_jax.analysis.test_row_comparison import compare_rows, macro_row_interval
from geneb_jax.analysis.test_row_predictions import ModelPredictions

__all__ = [
    "OVER_ROWS",
    "OVER_TASKS",
    "RankRange",
    "Ranking",
    "rank_ranges",
    "ranking",
    "tie_groups",
]

OVER_TASKS, OVER_ROWS = "tasks", "test rows"
#: Models that are compared pair by pair over test rows; each pair is a bootstrap of its own.
_MOST_BY_ROWS = 12


@dataclass(frozen=True, slots=True)
class RankRange:
    """Where a model's rank lies, by the models that are told from it.

    Attributes:
        rank: Its rank by macro, equal scores sharing the best place.
        low: Best rank that is not excluded.
        high: Worst rank that is not excluded.
        first: Share of bootstrap draws over tasks in which it is first; None without such draws.
    """

    rank: int
    low: int
    high: int
    first: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The models of a cube that have every task of a regime and keep to the protocol.

    Attributes:
        order: Positions in the cube, best macro first.
        ranks: Position -> rank.
        groups: Position -> tie group, from 1; empty where no pair could be compared.
        ranges: Position -> rank range; likewise.
        intervals: Position -> interval of the macro mean, of models off the protocol too.
        over: What the intervals are over: :data:`OVER_TASKS`, :data:`OVER_ROWS` or nothing.
    """

    order: tuple[int, ...]
    ranks: Mapping[int, int]
    groups: Mapping[int, int]
    ranges: Mapping[int, RankRange]
    intervals: Mapping[int, tuple[float, float]]
    over: str


def ranking(
    cube: ScoreCube,
    regime: str,
    *,
    predictions: Mapping[str, ModelPredictions] | None = None,
    level: float = 0.95,
) -> Ranking:
    """Rank the complete models of a regime by macro, and say how firm that is.

    Args:
        cube: Scores.
        regime: The regime.
        predictions: Label -> kept predictions; needed below five tasks, where the rows of the test
            sets are resampled instead of the tasks.
        level: Level of all intervals.
    """
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    ranked = np.isfinite(macro) & cube.on_protocol
    order = [int(row) for row in np.argsort(-macro, kind="stable") if ranked[row]]
    ranks = rankdata(-macro[order], method="min").astype(int).tolist()
    places = dict(zip(order, ranks, strict=True))
    scores = cube.in_regime(regime)
    resampling = task_bootstrap(cube.category_of_task)
    ahead: np.ndarray | None
    if resampling is not None:
        whole = np.flatnonzero(np.isfinite(macro))
        low, high = resampling.bounds(scores[whole], level, limits=cube.score_range)
        bounds = zip(low.tolist(), high.tolist(), strict=True)
        intervals = dict(zip(whole.tolist(), bounds, strict=True))
        ahead = _ahead_over_tasks(scores[order], resampling, level, cube.score_range)
        first = _share_first(scores[order], resampling)
        over = OVER_TASKS
    else:
        intervals = _intervals_over_rows(cube, regime, predictions or {}, level)
        ahead = _ahead_over_rows(cube, regime, order, predictions or {}, level)
        first = [None] * len(order)
        over = OVER_ROWS if intervals else ""
    if ahead is None:
        return Ranking(tuple(order), places, {}, {}, intervals, over)
    groups = tie_groups(ahead)
    better, worse = ahead.sum(axis=0), ahead.sum(axis=1)
    return Ranking(
        tuple(order),
        places,
        dict(zip(order, groups, strict=True)),
        {
            row: RankRange(ranks[k], 1 + int(better[k]), len(order) - int(worse[k]), first[k])
            for k, row in enumerate(order)
        },
        intervals,
        over,
    )


def tie_groups(ahead: np.ndarray) -> list[int]:
    """Cut a ranking into stretches in which no model is told from another.

    Args:
        ahead: Bool ``[model, model]``, best model first: the row's model is told to be better than
            the column's.

    Returns:
        A group number a model, from 1.
    """
    groups: list[int] = []
    start = 0
    for k in range(len(ahead)):
        if ahead[start:k, k].any():
            start = k
        opens = start == k
        groups.append((groups[-1] if groups else 0) + opens)
    return groups


def rank_ranges(
    cube: ScoreCube,
    regime: str,
    *,
    predictions: Mapping[str, ModelPredictions] | None = None,
    level: float = 0.95,
) -> Mapping[str, RankRange]:
    """Label -> rank range of every ranked model; empty where nothing can be resampled."""
    found = ranking(cube, regime, predictions=predictions, level=level)
    return {cube.model_ids[row]: span for row, span in found.ranges.items()}


def _ahead_over_tasks(
    scores: np.ndarray, resampling: TaskBootstrap, level: float, score_range: tuple[float, float]
) -> np.ndarray:
    """Bool ``[model, model]`` for complete scores ``[model, task]``, best first.

    An interval holds its estimate, so nobody is told to be better than a model ranked above.
    """
    low, _ = pair_bounds(scores, resampling.category_of_task, level=level, score_range=score_range)
    ahead: np.ndarray = low > 0.0  # what is not compared is NaN, and nobody is ahead by it
    return ahead


def _share_first(scores: np.ndarray, resampling: TaskBootstrap) -> list[float | None]:
    if not len(scores):
        return []
    draws = resampling.draws(scores)
    share: list[float | None] = (draws == draws.max(axis=1, keepdims=True)).mean(axis=0).tolist()
    return share


def _intervals_over_rows(
    cube: ScoreCube, regime: str, predictions: Mapping[str, ModelPredictions], level: float
) -> dict[int, tuple[float, float]]:
    found = {}
    for row, label in enumerate(cube.model_ids):
        if label in predictions and cube.complete(regime)[row]:
            interval = macro_row_interval(cube, regime, predictions[label], level=level)
            if interval is not None:
                found[row] = (interval.low, interval.high)
    return found


def _ahead_over_rows(
    cube: ScoreCube,
    regime: str,
    order: list[int],
    predictions: Mapping[str, ModelPredictions],
    level: float,
) -> np.ndarray | None:
    """The same from test rows; None unless every ranked model kept predictions of every task."""
    labels = [cube.model_ids[row] for row in order]
    if not 0 < len(labels) <= _MOST_BY_ROWS or not all(name in predictions for name in labels):
        return None
    ahead = np.zeros((len(labels), len(labels)), dtype=bool)
    for one in range(len(labels)):
        for two in range(one + 1, len(labels)):
            found = compare_rows(
                cube, regime, predictions[labels[one]], predictions[labels[two]], level=level
            )
            if found is None or len(found.tasks) < len(cube.tasks):
                return None
            ahead[one, two] = found.interval.low > 0.0
    return ahead
