"""Few shapes for many problems: every new shape is a compilation, every padded row is work.

On CPU padding rows cost nothing: the loop over row blocks ends at the last block that holds data,
and memory that is never touched is never mapped. There, two capacities serve almost all tasks. On
an accelerator padding is moved and multiplied, so capacities grow by halves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "Blocks",
    "aligned_zeros",
    "block_rows_for",
    "blocks_for",
    "blocks_with_data",
    "matrices_per_call",
    "row_capacity",
    "small_rows",
    "step_up",
]

_CPU_CAPACITIES = (16_384, 131_072)
_ALIGNMENT = 64
#: Bytes of one widened block of rows: half a second-level cache of a current core.
_BLOCK_BYTES = 262_144
_FEWEST_ROWS, _MOST_ROWS = 16, 16_384
#: Numbers of a matrix up to which products are kept small in float32, and rows of one then.
_SMALL_NUMBERS, _FEWEST_AT_ONCE = 1 << 22, 192


def step_up(count: int, floor: int) -> int:
    """The smallest of 1 or 1.5 times a power of two that is at least ``count`` and ``floor``."""
    power = 1 << max(count - 1, floor - 1, 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= max(count, floor) else power


def block_rows_for(width: int, platform: str) -> int:
    """Rows of one block of a pass over X, a power of two.

    ``width`` is the number of features, or of logits of all problems where these are more.

    On CPU a block of float64 fits half the second-level cache; elsewhere larger products are
    better and the block only bounds the memory of intermediates.
    """
    budget = _BLOCK_BYTES if platform == "cpu" else 512 * _BLOCK_BYTES
    power = 1 << (budget // (8 * width)).bit_length() - 1
    return int(np.clip(power, _FEWEST_ROWS, _MOST_ROWS))


class Blocks(NamedTuple):
    """How a pass over X is cut: rows of a block, and blocks of one product while enough are left.

    Blocks are few where a product is large: what is left over at the end goes block by block.
    """

    rows: int
    at_once: int


def blocks_for(rows: int, width: int, columns: int, platform: str, dtype: str) -> Blocks:
    """The blocks of a pass of so many ``columns`` over ``[rows, width]``, multiplied in ``dtype``.

    On CPU starting the dozen operations of a block costs about as much as a block in the
    second-level cache saves, and from about 6 MiB of float64 on, XLA spreads a product over cores
    that have nothing else to do: with 24 blocks a pass over (10000, 1024) takes 0.6 times what it
    takes with 16 where a second core is free, and the same where it is not; 48 are slower again.

    A small matrix in float32 gains nothing from that, and takes 0.85 times as long in products of
    512 KiB that stay in the second-level cache (three classes at (1200, 512): half as long); with
    three classes a product of much fewer than 200 rows is slow.
    """
    block_rows = block_rows_for(max(width, columns), platform)
    if platform != "cpu":
        return Blocks(block_rows, 1)
    if dtype == "float32" and rows * width <= _SMALL_NUMBERS:
        block_rows = min(2 * block_rows, _MOST_ROWS)
        return Blocks(block_rows, max(2, _FEWEST_AT_ONCE // block_rows))
    return Blocks(block_rows, 24)


def blocks_with_data(rows: int, block_rows: int, platform: str) -> int | None:
    """Blocks that a pass over X ends after; None for all, padding included.

    A loop whose length is data has the host of an accelerator read a predicate before every block,
    which costs more than the padding: at most a third of the rows that are read.
    """
    return -(-rows // block_rows) if platform == "cpu" else None


def row_capacity(rows: int, block_rows: int, platform: str) -> int:
    """Rows that X is padded to, a multiple of ``block_rows``."""
    if platform == "cpu":
        for capacity in _CPU_CAPACITIES:
            if rows <= capacity:
                return capacity
        return -(-rows // _CPU_CAPACITIES[-1]) * _CPU_CAPACITIES[-1]
    capacity = step_up(rows, 256)
    return -(-capacity // block_rows) * block_rows


def small_rows(rows: int) -> int:
    """Rows that the matrix of a few-shot problem is padded to.

    One row or ten rows a class of a few classes are one shape: padding these costs microseconds.
    """
    return step_up(rows, 32)


def matrices_per_call(rows: int, width: int, platform: str) -> int:
    """How many matrices of ``[rows, width]`` go into one program, a power of two.

    All wait for the slowest: on CPU 16 take 0.8 times what 64 take, and 8 are no faster.
    """
    budget = (1 << 24) if platform == "cpu" else (1 << 30)
    most = max(1, budget // (8 * rows * width))
    return int(min(1 << most.bit_length() - 1, 16 if platform == "cpu" else 1024))


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Zeros that start at a 64-byte boundary, so that JAX on CPU can use them without a copy."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    raw = np.zeros(size + _ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return raw[offset : offset + size].view(kind).reshape(shape)
