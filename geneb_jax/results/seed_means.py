"""The mean over seeds and its spread: one rule for every table.

A mean is the first value plus the mean offset from it. Equal values then have exactly their value
as mean, and 0 as spread, which a sum divided by a count does not promise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from geneb_jax.results.score_rows import ScoreRow

__all__ = ["mean_over_seeds", "rows_of_every_seed", "sd_over_seeds", "seeds_of_the_mean"]


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
