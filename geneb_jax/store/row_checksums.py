"""One checksum a row that ties its numbers to its sequence.

The chunk checksums of the array catch a flipped bit. They cannot catch a whole shard file that was
copied over another, or rows written in another order: those are intact and wrong. So each row has

    checksum = sum_j bits(x_j) * w_j + head * a + tail * b    (mod 2**64)

with ``bits(x_j)`` the float32 pattern as an unsigned integer, ``head`` and ``tail`` the halves of
the sequence's digest, and ``w, a, b`` fixed odd 64-bit multipliers (splitmix64, Steele 2014).
Multilinear hashing of this kind misses an accidental change with a probability near 2**-32 or
less, and runs at the speed of memory, which a cryptographic hash a row does not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["row_checksums"]

_BLOCK_VALUES = 1 << 20


@lru_cache(maxsize=8)
def _multipliers(count: int) -> np.ndarray:
    """The first ``count`` outputs of splitmix64 from state 0, made odd; uint64 ``[count]``."""
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    multipliers = (state ^ (state >> np.uint64(31))) | np.uint64(1)
    multipliers.setflags(write=False)
    return multipliers


def row_checksums(digests: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Checksum of each row with its digest.

    Args:
        digests: uint8 ``[n, 16]``.
        rows: float32 ``[n, width]``.

    Returns:
        uint64 ``[n]``.
    """
    count, width = rows.shape
    multipliers = _multipliers(width + 2)
    checksums = digests.view("<u8").astype(np.uint64) @ multipliers[width:]
    step = max(1, _BLOCK_VALUES // max(1, width))
    for first in range(0, count, step):
        block = np.ascontiguousarray(rows[first : first + step], dtype="<f4").view("<u4")
        checksums[first : first + step] += block.astype(np.uint64) @ multipliers[:width]
    return checksums
