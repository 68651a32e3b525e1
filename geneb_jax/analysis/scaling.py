"""Does size help? Rank correlations with log10 parameters, size tiers, gaps between tiers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube

__all__ = [
    "Correlation",
    "Scaling",
    "SizeGap",
    "SizeTier",
    "scaling",
    "size_gap",
    "size_tiers",
    "spearman",
]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation with its two-sided p value over ``count`` pairs."""

    rho: float
    p: float
    count: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """Correlation of size with the macro mean and with each category's, some models left out."""

    macro: Correlation | None
    categories: Mapping[str, Correlation | None]
    models: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SizeTier:
    """Models of at least ``low`` and under ``high`` parameters, and their mean macro MCC."""

    low: float
    high: float
    count: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class SizeGap:
    """Mean macro MCC of large models minus that of small ones."""

    large: int
    small: int
    gap: float | None


def spearman(first: np.ndarray, second: np.ndarray) -> Correlation | None:
    """Spearman's rho over the positions where both are finite.

    Returns:
        The correlation as :func:`scipy.stats.spearmanr` gives it, or None where fewer than three
        positions are left or one side is constant.
    """
    both = np.isfinite(first) & np.isfinite(second)
    left, right = first[both], second[both]
    if len(left) < 3 or np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        return None
    result = stats.spearmanr(left, right)
    return Correlation(float(result.statistic), float(result.pvalue), len(left))


def scaling(cube: ScoreCube, regime: str, *, without: Collection[str] = ()) -> Scaling:
    """Correlate log10 parameters with scores (paper, table of per-category scaling).

    Args:
        cube: Scores; models of unknown size, or with a withheld mean, do not count.
        regime: The regime.
        without: Ids of models to leave out.
    """
    left_out = {cube.model_index(name) for name in without}
    cube = cube.select_models([k for k in range(len(cube.models)) if k not in left_out])
    means = aggregate(cube)
    place = cube.regime_index(regime)
    size = np.log10(cube.params)
    return Scaling(
        macro=spearman(size, means.macro[:, place]),
        categories={
            name: spearman(size, means.category[:, place, k])
            for k, name in enumerate(means.categories)
        },
        models=int((np.isfinite(size) & np.isfinite(means.macro[:, place])).sum()),
        left_out=tuple(without),
    )


def size_tiers(
    cube: ScoreCube, regime: str, *, edges: Sequence[float] = (1e8, 5e8, 2e9)
) -> tuple[SizeTier, ...]:
    """Mean macro MCC by size tier, the edges belonging to the tier above them."""
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    bounds = [0.0, *edges, np.inf]
    tiers = []
    for low, high in pairwise(bounds):
        inside = (cube.params >= low) & (cube.params < high) & np.isfinite(macro)
        mean = float(macro[inside].mean()) if inside.any() else None
        tiers.append(SizeTier(low, high, int(inside.sum()), mean))
    return tuple(tiers)


def size_gap(cube: ScoreCube, regime: str, *, large: float = 1e9, small: float = 2e8) -> SizeGap:
    """Mean macro MCC of models of at least ``large`` minus models under ``small`` parameters."""
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    top = (cube.params >= large) & np.isfinite(macro)
    bottom = (cube.params < small) & np.isfinite(macro)
    gap = float(macro[top].mean() - macro[bottom].mean()) if top.any() and bottom.any() else None
    return SizeGap(int(top.sum()), int(bottom.sum()), gap)
