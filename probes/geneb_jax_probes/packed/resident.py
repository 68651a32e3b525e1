"""The rows of several tasks on one device, each distinct row once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from geneb_jax_probes.feature_rows import FeatureRows
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.programs import program
from geneb_jax_probes.shapes import step_up

__all__ = [
    "BLOCK_ROWS",
    "Resident",
    "distinct_rows",
    "hold_rows",
    "nothing",
    "resident_rows",
    "write_block",
]

#: Rows that are brought at a time.
BLOCK_ROWS = 16_384
_FEWEST_ROWS = 256


@dataclass(frozen=True, slots=True)
class Resident:
    """Features on a device.

    Attributes:
        X: Features float32; rows beyond those that were asked for are zero.
        positions: For each request the rows of X that it named, in its order.
        unusable: For each request the numbers (in it) of rows that hold NaN or infinity.
        squares: For each request the sum of squares of each of its rows, float32.
    """

    X: Float[Array, "capacity dim"]
    positions: list[Int[np.ndarray, " _"]]
    unusable: list[Int[np.ndarray, " _"]]
    squares: list[Float[np.ndarray, " _"]]


@program(donated=("X",))
def write_block(
    X: Float[Array, "capacity dim"], block: Float[Array, "row dim"], at: Shaped[Array, ""]
) -> tuple[Float[Array, "capacity dim"], Bool[Array, " row"], Float[Array, " row"]]:
    """Rows of X replaced, which of them are finite, and their sums of squares."""
    finite, squares = jnp.isfinite(block).all(axis=1), jnp.sum(block * block, axis=1)
    return jax.lax.dynamic_update_slice_in_dim(X, block, at, 0), finite, squares


@program("rows", "width")
def nothing(like: Array, *, rows: int, width: int) -> Float[Array, "rows width"]:
    """Zeros where ``like`` is."""
    del like  # says where
    return jnp.zeros((rows, width), jnp.float32)


def resident_rows(count: int) -> int:
    """Rows of the array for so many."""
    return step_up(count, _FEWEST_ROWS)


def distinct_rows(requests: Sequence[FeatureRows]) -> int:
    """Rows that these need, each counted once."""
    return sum(len(needed) for _, needed, _ in _by_matrix(requests))


def _by_matrix(
    requests: Sequence[FeatureRows],
) -> list[tuple[Float[np.ndarray, "distinct dim"], Int[np.ndarray, " needed"], list[int]]]:
    """Each matrix with the rows of it that are needed, sorted, and by which requests."""
    members: dict[int, list[int]] = {}
    for number, one in enumerate(requests):
        members.setdefault(id(one.matrix), []).append(number)
    found = []
    for numbers in members.values():
        matrix = requests[numbers[0]].matrix
        needed = np.zeros(len(matrix), bool)
        for number in numbers:
            needed[requests[number].rows] = True
        found.append((matrix, np.flatnonzero(needed), numbers))
    return found


def hold_rows(requests: Sequence[FeatureRows], lane: Lane) -> Resident:
    """Bring the rows of all requests, which have one width, to a lane."""
    matrices = _by_matrix(requests)
    total = sum(len(needed) for _, needed, _ in matrices)
    capacity = resident_rows(total)
    width = requests[0].matrix.shape[1]
    size = min(BLOCK_ROWS, capacity)
    X = nothing(lane.put(np.int32(0)), rows=capacity, width=width)
    finite, squares = np.ones(capacity, bool), np.zeros(capacity, np.float32)
    positions: list[np.ndarray] = [np.zeros(0, np.int32)] * len(requests)
    found: list[tuple[int, Array, Array]] = []
    # Rows of matrices follow one another; a block at the end begins earlier and repeats some.
    owner = np.repeat(np.arange(len(matrices)), [len(needed) for _, needed, _ in matrices])
    source = np.concatenate([needed for _, needed, _ in matrices])
    for at in range(0, total, size):
        begin = min(at, capacity - size)
        block = _block(matrices, owner[begin : begin + size], source[begin : begin + size], size)
        X, fine, lengths = write_block(X, lane.put(block, owned=True), lane.put(np.int32(begin)))
        found.append((begin, fine, lengths))
    for begin, fine, lengths in found:
        finite[begin : begin + size] &= np.asarray(jax.device_get(fine))
        squares[begin : begin + size] = np.asarray(jax.device_get(lengths))
    offset = 0
    for _, needed, numbers in matrices:
        for number in numbers:
            named = offset + np.searchsorted(needed, requests[number].rows)
            positions[number] = named.astype(np.int32)
        offset += len(needed)
    return Resident(
        X,
        positions,
        [np.flatnonzero(~finite[at]) for at in positions],
        [squares[at] for at in positions],
    )


def _block(
    matrices: Sequence[tuple[Float[np.ndarray, "_ dim"], Int[np.ndarray, " _"], list[int]]],
    owner: Int[np.ndarray, " row"],
    source: Int[np.ndarray, " row"],
    size: int,
) -> Float[np.ndarray, "size dim"]:
    """Rows as they are where they follow one another in one matrix, else a copy, padded."""
    first, last = int(source[0]), int(source[-1])
    if len(source) == size == last - first + 1 and owner[0] == owner[-1]:
        return matrices[owner[0]][0][first : last + 1]
    block = np.zeros((size, matrices[0][0].shape[1]), np.float32)
    for i in np.unique(owner):
        inside = np.flatnonzero(owner == i)
        block[inside] = matrices[i][0][source[inside]]
    return block
