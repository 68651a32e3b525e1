"""The mean over seeds and its spread: one rule for every table, plain and on arrays.

A mean is the first value plus the mean offset from it. Equal values then have exactly their value
as mean, and 0 as spread, which a sum divided by a count does not promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["mean_over_seeds", "sd_over_seeds"]


def mean_over_seeds(values: Sequence[float]) -> float:
    """Mean of at least one value, exact for equal ones; the offsets are added without rounding."""
    first = values[0]
    return first + math.fsum(value - first for value in values) / len(values)


def sd_over_seeds(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1), exactly 0 for equal values; None for a single one."""
    if len(values) < 2:
        return None
    mean = mean_over_seeds(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
