"""The mean over seeds and its spread: one rule for every table.

A mean is the first value plus the mean offset from it. Equal values then have exactly their value
as mean, and 0 as spread, which a sum divided by a count does not promise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from geneb_jax.results.score_rows import ScoreRow

__all__ = [
    "mean_over_seeds",
    "means_over_seeds",
    "rows_of_every_seed",
    "sd_over_seeds",
    "sds_over_seeds",
    "seeds_of_the_mean",
]


def seeds_of_the_mean(present: Iterable[int], protocol: Sequence[int]) -> tuple[int, ...]:
    """The seeds that a mean is over.

    The protocol's, if they are all there: further seeds in a folder must not move a score that
    stands beside scores without them. Otherwise all that are there.
    """
    found = tuple(dict.fromkeys(present))
    return tuple(protocol) if set(found) >= set(protocol) else found


def rows_of_every_seed(
    rows: Sequence[ScoreRow], seeds: Collection[int]
) -> tuple[ScoreRow, ...] | None:
    """The rows of one task in one setting, if each seed has a score; None withholds the mean.

    Args:
        rows: A row a seed, failed ones included.
        seeds: The seeds that the model was run with in this regime and setting, on any task. They
            count in the full regime too: its rows are written once a seed, so a missing one means
            that the table was cut.
    """
    scored = {row.seed: row for row in rows if not row.failed}
    return tuple(scored[seed] for seed in seeds) if set(scored) >= set(seeds) else None


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


def means_over_seeds(values: np.ndarray) -> np.ndarray:
    """:func:`mean_over_seeds` of many, to the bit.

    Args:
        values: float64 ``[n, seed]`` of at least one seed; NaN gives NaN.

    Returns:
        float64 ``[n]``.
    """
    first = values[:, :1]
    found: np.ndarray = first[:, 0] + _exact_sums(values - first) / values.shape[1]
    return found


def sds_over_seeds(values: np.ndarray) -> np.ndarray:
    """:func:`sd_over_seeds` of many, to the bit; float64 ``[n]``, NaN for NaN or a single seed."""
    count = values.shape[1]
    if count < 2:
        return np.full(len(values), np.nan)
    offsets = values - means_over_seeds(values)[:, None]
    # Powers by Python's own function: another one may round otherwise.
    squares = np.array([x**2 for x in offsets.ravel().tolist()], np.float64)
    found: np.ndarray = np.sqrt(_exact_sums(squares.reshape(offsets.shape)) / (count - 1))
    return found


def _exact_sums(values: np.ndarray) -> np.ndarray:
    """Sums over the last axis as :func:`math.fsum` rounds them, float64 ``[n]``.

    What each addition loses is itself a float64 (Knuth, TAOCP 2, 4.2.2, theorem B). If adding up
    these losses loses nothing, sum and losses together are the exact sum, and adding the two rounds
    once. Where that is not so, ``fsum`` itself is asked.
    """
    total, lost, doubtful = values[:, 0], np.zeros(len(values)), np.zeros(len(values), bool)
    for k in range(1, values.shape[1]):
        total, error = _two_sum(total, values[:, k])
        lost, rest = _two_sum(lost, error)
        doubtful |= rest != 0.0
    sums = total + lost
    doubtful &= np.isfinite(sums)
    for at in np.flatnonzero(doubtful).tolist():
        sums[at] = math.fsum(values[at].tolist())
    return sums


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)
