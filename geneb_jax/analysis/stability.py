"""How much of a ranking rests on one category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from geneb_jax.analysis.aggregation import aggregate, mean_of
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.scaling import Correlation, spearman

__all__ = ["LeftOut", "leave_one_category_out"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The macro ranking without one category.

    ``largest_move`` is the model whose rank changes most and by how much (positive: it rises).
    """

    category: str
    agreement: Correlation | None
    leader: str
    largest_move: tuple[str, int]


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
