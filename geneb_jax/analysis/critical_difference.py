"""Friedman's test and Nemenyi's critical difference over tasks (Demsar, JMLR 7, 2006).

Here because readers know it. It treats tasks as independent blocks of equal weight, so thirty
histone tasks count thirty times; the tie groups of the leaderboard weigh as the macro mean does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from geneb_jax.analysis.cube import ScoreCube

__all__ = ["CriticalDifference", "critical_difference"]


@dataclass(frozen=True, slots=True)
class CriticalDifference:
    """Mean ranks over tasks and what difference between two of them is significant.

    Attributes:
        models: Ids, best mean rank first.
        mean_ranks: Mean rank of each, 1 the best possible.
        friedman_p: p value of "all models rank alike"; 1 where all are equal on every task.
        critical: Smallest significant difference of mean ranks.
        cliques: Largest runs of models, as (first, last) positions, that the test cannot tell
        apart.
        alpha: Family-wise level of the Nemenyi test.
    """

    models: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    friedman_p: float
    critical: float
    cliques: tuple[tuple[int, int], ...]
    alpha: float


def critical_difference(
    cube: ScoreCube, regime: str, *, alpha: float = 0.05
) -> CriticalDifference | None:
    """Test the complete models of a regime; None for fewer than three models or two tasks.

    ``critical`` is q * sqrt(k (k + 1) / (6 N)) for k models and N tasks, q the upper ``alpha``
    point of the studentised range with infinite degrees of freedom over sqrt(2).
    """
    rows = np.flatnonzero(cube.complete(regime))
    scores = cube.in_regime(regime)[rows]
    models, tasks = scores.shape
    if models < 3 or tasks < 2:
        return None
    ranks = stats.rankdata(-scores, axis=0).mean(axis=1)
    order = np.argsort(ranks, kind="stable")
    sorted_ranks = ranks[order]
    spread = stats.studentized_range.ppf(1.0 - alpha, models, np.inf) / np.sqrt(2.0)
    critical = float(spread * np.sqrt(models * (models + 1) / (6.0 * tasks)))
    return CriticalDifference(
        models=tuple(cube.model_ids[row] for row in rows[order].tolist()),
        mean_ranks=tuple(sorted_ranks.tolist()),
        # Nothing but ties gives scipy 0 / 0.
        friedman_p=float(stats.friedmanchisquare(*scores).pvalue) if np.ptp(ranks) else 1.0,
        critical=critical,
        cliques=_cliques(sorted_ranks, critical),
        alpha=alpha,
    )


def _cliques(ranks: np.ndarray, critical: float) -> tuple[tuple[int, int], ...]:
    last = np.searchsorted(ranks, ranks + critical, side="right") - 1
    found: list[tuple[int, int]] = []
    for first, end in enumerate(last.tolist()):
        if end > first and (not found or end > found[-1][1]):
            found.append((first, end))
    return tuple(found)
