"""Category, macro and micro means, withheld wherever a task is missing.

Definitions (paper, section on aggregation): a category's score is the unweighted mean of its tasks'
MCC; macro is the unweighted mean of the category scores; micro the unweighted mean of all tasks.

Means are rounded to twelve decimals. The released scores have four, so two models' means are often
equal in exact arithmetic, and float64 sums would break such ties at random: ranks, and with them
rank correlations, would then change in the third decimal with the order of a sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.cube import ScoreCube

__all__ = ["Aggregates", "aggregate", "category_means", "mean_of"]

_DECIMALS = 12


@dataclass(frozen=True, eq=False)
class Aggregates:
    """Means of a cube; NaN stands for "withheld: a task is missing".

    Attributes:
        categories: Category names.
        category: float64 ``[model, regime, category]``.
        macro: float64 ``[model, regime]``.
        micro: float64 ``[model, regime]``.
        scored: int64 ``[model, regime]``, tasks that were scored.
        tasks: Number of tasks a complete model has.
    """

    categories: tuple[str, ...]
    category: np.ndarray
    macro: np.ndarray
    micro: np.ndarray
    scored: np.ndarray
    tasks: int


def category_means(scores: np.ndarray, category_of_task: np.ndarray) -> np.ndarray:
    """Means over tasks by category.

    Args:
        scores: float64 ``[..., task]``; NaN where a task was not scored.
        category_of_task: int64 ``[task]``, 0-based and dense.

    Returns:
        float64 ``[..., category]``; NaN where any task of the category is NaN.
    """
    count = int(category_of_task.max(initial=-1)) + 1
    means = np.empty((*scores.shape[:-1], count))
    for category in range(count):
        means[..., category] = mean_of(scores[..., category_of_task == category])
    return means


def mean_of(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, ties kept (see the module); NaN where any value is NaN.

    The bits of a mean follow from its own values, whatever stands beside them: a sum over the last
    axis of contiguous memory goes in one order, which a matrix product would not.
    """
    means: np.ndarray = np.round(np.ascontiguousarray(values).mean(axis=-1), _DECIMALS)
    return means


def aggregate(cube: ScoreCube) -> Aggregates:
    """Category, macro and micro means of every model in every regime."""
    category = category_means(cube.mcc, cube.category_of_task)
    return Aggregates(
        categories=cube.categories,
        category=category,
        macro=mean_of(category),
        micro=mean_of(cube.mcc),
        scored=cube.coverage(),
        tasks=len(cube.tasks),
    )
