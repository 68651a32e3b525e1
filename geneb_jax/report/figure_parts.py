"""What the figures share: their type, the order of models, tick marks and ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from geneb_jax.analysis import ScoreCube, aggregate
from geneb_jax.report.tables import Table

__all__ = ["Figure", "by_macro", "finite", "rounded_range", "ticks"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, what it shows, and the numbers behind it."""

    name: str
    title: str
    caption: str
    svg: Markup
    data: Table


def by_macro(cube: ScoreCube, regime: str) -> list[int]:
    """Positions of the models, best macro mean first."""
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    return [int(row) for row in np.argsort(-macro, kind="stable")]


def finite(value: float) -> float | None:
    """The value, or None for NaN."""
    return float(value) if math.isfinite(value) else None


def rounded_range(values: np.ndarray) -> tuple[float, float]:
    """A range in tenths that holds the values with some room."""
    low, high = float(values.min()), float(values.max())
    return math.floor(low * 10 - 0.2) / 10, math.ceil(high * 10 + 0.2) / 10


def ticks(low: float, high: float, step: float) -> list[tuple[float, str]]:
    """Multiples of ``step`` within a range, with their labels."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = 2 if step < 0.1 else 1
    return [(k * step, f"{k * step:.{digits}f}") for k in range(first, last + 1)]
