"""How much of a ranking rests on one category, and how firm each rank is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from geneb_jax.analysis.aggregation import aggregate, mean_of
from geneb_jax.analysis.bootstrap import task_bootstrap
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.scaling import Correlation, spearman

__all__ = ["LeftOut", "RankRange", "leave_one_category_out", "rank_ranges"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The macro ranking without one category.

    ``largest_move`` is the model whose rank changes most and by how much (positive: it rises).
    """

    category: str
    agreement: Correlation | None
    leader: str
    largest_move: tuple[str, int]


@dataclass(frozen=True, slots=True)
class RankRange:
    """Where a model's rank lies in 95% of bootstrap draws over tasks, and how often it is first."""

    rank: int
    low: int
    high: int
    first: float


def leave_one_category_out(cube: ScoreCube, regime: str) -> tuple[LeftOut, ...]:
    """Rank the complete models by macro without each category in turn."""
    rows = np.flatnonzero(cube.complete(regime))
    means = aggregate(cube).category[rows, cube.regime_index(regime)]
    if len(rows) < 2 or means.shape[1] < 2:
        return ()
    whole = mean_of(means)
    full = rankdata(-whole, method="min")
    found = []
    for k, name in enumerate(cube.categories):
        rest = mean_of(np.delete(means, k, axis=1))
        move = full - rankdata(-rest, method="min")
        most = int(np.argmax(np.abs(move)))
        found.append(
            LeftOut(
                category=name,
                agreement=spearman(whole, rest),
                leader=cube.model_ids[rows[int(np.argmax(rest))]],
                largest_move=(cube.model_ids[rows[most]], int(move[most])),
            )
        )
    return tuple(found)


def rank_ranges(cube: ScoreCube, regime: str, *, level: float = 0.95) -> Mapping[str, RankRange]:
    """Bootstrap ranks of the complete models by macro; empty where there is nothing to resample."""
    rows = np.flatnonzero(cube.complete(regime))
    resampling = task_bootstrap(cube.category_of_task)
    if resampling is None or not len(rows):
        return {}
    scores = cube.in_regime(regime)[rows]
    ranks = rankdata(-resampling.draws(scores), axis=1, method="min")
    macro = aggregate(cube).macro[rows, cube.regime_index(regime)]
    exact = rankdata(-macro, method="min")
    tail = (1.0 - level) / 2.0
    # Ranks are whole numbers, so the bounds are taken outwards.
    low = np.quantile(ranks, tail, axis=0, method="lower")
    high = np.quantile(ranks, 1.0 - tail, axis=0, method="higher")
    first = (ranks == 1).mean(axis=0)
    return {
        cube.model_ids[row]: RankRange(int(exact[k]), int(low[k]), int(high[k]), float(first[k]))
        for k, row in enumerate(rows.tolist())
    }
