"""The Pareto frontier of size and score: models that no smaller model equals or beats."""

from __future__ import annotations

import numpy as np

__all__ = ["pareto_frontier"]


def pareto_frontier(cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positions of the undominated models, cheapest first.

    A model is dominated when another costs no more and scores no less, and is better in one of the
    two. Models with an unknown cost or score are neither on the frontier nor dominate.

    Args:
        cost: float64 ``[model]``, for instance parameters.
        score: float64 ``[model]``.

    Returns:
        int64 positions, in order of rising cost.
    """
    known = np.flatnonzero(np.isfinite(cost) & np.isfinite(score))
    order = known[np.lexsort((-score[known], cost[known]))]
    best = np.maximum.accumulate(np.concatenate([[-np.inf], score[order]]))[:-1]
    rises = score[order] > best
    # Equal cost and equal score: neither dominates the other, so twins stand together.
    twin = np.zeros(len(order), dtype=bool)
    for place in range(1, len(order)):
        same = (cost[order[place]], score[order[place]]) == (
            cost[order[place - 1]],
            score[order[place - 1]],
        )
        twin[place] = same and (rises[place - 1] or twin[place - 1])
    return order[rises | twin].astype(np.int64)
