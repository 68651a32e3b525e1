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
    """

    X: Float[Array, "capacity dim"]
    positions: list[Int[np.ndarray, " _"]]
    unusable: list[Int[np.ndarray, " _"]]


@program(donated=("X",))
def write_block(
    X: Float[Array, "capacity dim"], block: Float[Array, "row dim"], at: Shaped[Array, ""]
) -> tuple[Float[Array, "capacity dim"], Bool[Array, " row"]]:
    """Rows of X replaced, and which of them are finite."""
    return jax.lax.dynamic_update_slice_in_dim(X, block, at, 0), jnp.isfinite(block).all(axis=1)


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
    finite = np.ones(capacity, bool)
    positions: list[np.ndarray] = [np.zeros(0, np.int32)] * len(requests)
    flags: list[tuple[int, Array]] = []
    # Rows of matrices follow one another; a block at the end begins earlier and repeats some.
    owner = np.repeat(np.arange(len(matrices)), [len(needed) for _, needed, _ in matrices])
    source = np.concatenate([needed for _, needed, _ in matrices])
    for at in range(0, total, size):
        begin = min(at, capacity - size)
        block = _block(matrices, owner[begin : begin + size], source[begin : begin + size], size)
        X, fine = write_block(X, lane.put(block, owned=True), lane.put(np.int32(begin)))
        flags.append((begin, fine))
    for begin, fine in flags:
        finite[begin : begin + size] &= np.asarray(jax.device_get(fine))
    offset = 0
    for _, needed, numbers in matrices:
        for number in numbers:
            found = offset + np.searchsorted(needed, requests[number].rows)
            positions[number] = found.astype(np.int32)
        offset += len(needed)
    return Resident(X, positions, [np.flatnonzero(~finite[at]) for at in positions])


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
