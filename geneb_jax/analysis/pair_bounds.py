"""Bounds of every paired difference of complete scores, computed once for all who ask."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from geneb_jax.analysis.bootstrap import difference_limits, task_bootstrap

__all__ = ["pair_bounds"]


def pair_bounds(
    scores: np.ndarray,
    category_of_task: np.ndarray,
    *,
    level: float = 0.95,
    score_range: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Interval over tasks of each model minus each model after it.

    A leaderboard, its rank ranges and a page that carries all differences ask for the same ones,
    and a resampling of 40 models is most of a report's time: the last few answers are kept.

    Args:
        scores: float64 ``[model, task]``, none missing.
        category_of_task: int64 ``[task]``; there are enough tasks to be resampled.
        level: Confidence level.
        score_range: Lowest and highest value of a score.

    Returns:
        Low and high, float64 ``[model, model]``, NaN on and below the diagonal; not to be written.
    """
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    category = np.ascontiguousarray(category_of_task, dtype=np.int64)
    return _bounds(scores.tobytes(), category.tobytes(), len(scores), level, score_range)


@lru_cache(maxsize=8)
def _bounds(
    scores_bytes: bytes,
    category_bytes: bytes,
    models: int,
    level: float,
    score_range: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    category = np.frombuffer(category_bytes, dtype=np.int64)
    scores = np.frombuffer(scores_bytes, dtype=np.float64).reshape(models, len(category))
    resampling, limits = task_bootstrap(category), difference_limits(score_range)
    if resampling is None:
        raise ValueError(f"{len(category)} tasks are too few to be resampled")
    low, high = np.full((2, models, models), np.nan)
    draws = resampling.draws(scores)
    for row in range(models - 1):
        found = resampling.bounds_of_draws(
            draws[:, row, None] - draws[:, row + 1 :],
            scores[row] - scores[row + 1 :],
            level,
            limits=limits,
        )
        low[row, row + 1 :], high[row, row + 1 :] = found
    low.setflags(write=False)
    high.setflags(write=False)
    return low, high
