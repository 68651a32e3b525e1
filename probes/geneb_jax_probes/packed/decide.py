"""Decision values of the test rows of many tasks, by one program over the matrix that is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.ragged_loss import PIECE_ROWS, Pieces, ragged_products
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.seating import cut_into_pieces
from geneb_jax_probes.programs import program

__all__ = ["TestRun", "decide_rows", "decisions"]


@dataclass(frozen=True, slots=True)
class TestRun:
    """The test rows of one task, and the columns that decide them.

    Attributes:
        place: Where its rows begin in the list of rows.
        rows: How many they are.
        theta: Weights and, last, intercepts of the columns.
    """

    __test__ = False  # no test, whatever its name says to pytest

    place: int
    rows: int
    theta: Float[np.ndarray, "column dim_and_one"]


@program()
def decisions(
    X: Float[Array, "row dim"],
    rows: Int[Array, " place"],
    theta: Float[Array, "column dim_and_one"],
    pieces: Pieces,
) -> Float[Array, "piece rows"]:
    """Values of the rows of every piece."""
    return ragged_products(X, rows, theta, pieces, pieces.rows > 0)


def decide_rows(
    X: Float[Array, "row dim"],
    rows: Int[Array, " place"],
    runs: Sequence[TestRun],
    room: Room,
    lane: Lane,
) -> list[Float[np.ndarray, "_ _"]]:
    """Decision values of every run, float64 where the lane has it."""
    found = [np.empty((len(run.theta), run.rows), lane.state_dtype) for run in runs]
    width = X.shape[1] + 1
    for batch in _batches(runs, room):
        theta = np.zeros((room.columns, width), lane.state_dtype)
        for column, (number, which, _, _) in enumerate(batch):
            theta[column] = runs[number].theta[which]
        begin = np.array([start for _, _, start, _ in batch])
        count = np.array([stop for _, _, _, stop in batch]) - begin
        place = np.array([runs[number].place for number, _, _, _ in batch]) + begin
        columns = np.arange(len(batch))
        pieces, first = cut_into_pieces(
            place, count, columns, np.ones(len(batch), np.int64), room.pieces
        )
        on_lane = jax.tree.map(lane.put, pieces)
        values = lane.call(decisions, X, rows, lane.put(theta), on_lane).reshape(-1)
        for (number, which, start, stop), at in zip(batch, first, strict=True):
            there = values[at * PIECE_ROWS :][: stop - start]
            found[number][which, start:stop] = there
    return found


def _batches(runs: Sequence[TestRun], room: Room) -> Iterator[list[tuple[int, int, int, int]]]:
    """Columns of runs with their first and last row, as many as there is room for at a time.

    Rows are outside, columns inside: all columns of a run read its rows at about the same time.
    """
    batch: list[tuple[int, int, int, int]] = []
    pieces = 0
    span = PIECE_ROWS * max(1, room.pieces // room.columns)
    for number, run in enumerate(runs):
        for start in range(0, run.rows, span):
            stop = min(run.rows, start + span)
            need = -(-(stop - start) // PIECE_ROWS)
            for which in range(len(run.theta)):
                if len(batch) == room.columns or pieces + need > room.pieces:
                    yield batch
                    batch, pieces = [], 0
                batch.append((number, which, start, stop))
                pieces += need
    if batch:
        yield batch
