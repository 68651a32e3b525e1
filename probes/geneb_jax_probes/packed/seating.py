"""Which fits are at work together, and the tables that tell a program whose rows are where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from geneb_jax_kernels.ragged_loss import PIECE_ROWS, ColumnPieces, Pieces
from geneb_jax_probes.lbfgs.side_by_side import Columns
from geneb_jax_probes.packed.room import Room, pieces_of
from geneb_jax_probes.plan import Fit

__all__ = ["Seat", "Tables", "cut_into_pieces", "seat_more", "tables_of"]


@dataclass(frozen=True, slots=True)
class Seat:
    """One fit at one strength.

    Attributes:
        fit: The fit.
        strength: Position of its C.
        penalty: ``1 / (C n)``.
        place: Where its rows begin in the list of rows.
        column: The first of its columns; -1 before it has any.
    """

    fit: Fit
    strength: int
    penalty: float
    place: int
    column: int = -1

    @property
    def rows(self) -> int:
        """Rows of the fit."""
        return len(self.fit.codes)

    @property
    def cost(self) -> int:
        """Pieces of one pass."""
        return pieces_of(self.rows, self.fit.logits)


class Tables(NamedTuple):
    """What a round is told of the fits that are seated, as arrays of the room's sizes.

    They are made on the host and brought to the lane together.
    """

    columns: Columns
    pieces: Pieces
    column_pieces: ColumnPieces
    penalty: Any  # float64 [column]
    source: Any  # int32 [column], the column that a column was before; -1 of a new fit


def cut_into_pieces(
    place: Int[np.ndarray, " run"],
    rows: Int[np.ndarray, " run"],
    column: Int[np.ndarray, " run"],
    logits: Int[np.ndarray, " run"],
    size: int,
) -> tuple[Pieces, Int[np.ndarray, " run"]]:
    """Cut runs of places into pieces, in order, one a logit; and where each run's pieces begin.

    Args:
        place: Where each run begins.
        rows: Its rows.
        column: Its first column.
        logits: Its columns.
        size: Pieces of the tables; those beyond the last have no rows.
    """
    cuts = -(-rows // PIECE_ROWS)
    begin = np.cumsum(cuts * logits) - cuts * logits
    total = int((cuts * logits).sum())
    run = np.repeat(np.arange(len(rows)), cuts * logits)
    inside = np.arange(total) - begin[run]
    cut, logit = np.divmod(inside, logits[run])
    made = np.zeros((5, size), np.int32)
    made[3] = np.arange(size)
    made[4] = 1
    made[:, :total] = (
        place[run] + cut * PIECE_ROWS,
        np.minimum(rows[run] - cut * PIECE_ROWS, PIECE_ROWS),
        column[run] + logit,
        np.arange(total) - logit,
        logits[run],
    )
    return Pieces(*made), begin.astype(np.int32)


def seat_more(
    seated: Sequence[Seat], waiting: list[Seat], room: Room, most: int | None = None
) -> list[Seat]:
    """Those seated, and as many of those waiting (the first come first) as there is room for.

    Args:
        seated: Who stays.
        waiting: Who may come; left with those for whom there is no place.
        room: Capacities.
        most: Fits that there is room for; None where columns and pieces alone decide.
    """
    together = list(seated)
    most = room.columns if most is None else most
    columns = sum(seat.fit.logits for seat in together)
    pieces = sum(seat.cost for seat in together)
    left = []
    for seat in waiting:
        wide, many = columns + seat.fit.logits, pieces + seat.cost
        if len(together) < most and wide <= room.columns and many <= room.pieces:
            together.append(seat)
            columns, pieces = wide, many
        else:
            left.append(seat)
    waiting[:] = left
    return together


def tables_of(seats: Sequence[Seat], room: Room) -> tuple[list[Seat], Tables]:
    """Give the seats columns from the first on; and the tables of them."""
    logits = np.array([seat.fit.logits for seat in seats])
    first = np.cumsum(logits) - logits
    placed = [
        Seat(seat.fit, seat.strength, seat.penalty, seat.place, int(column))
        for seat, column in zip(seats, first, strict=True)
    ]
    rows = np.array([seat.rows for seat in seats])
    place = np.array([seat.place for seat in seats])
    pieces, begin = cut_into_pieces(place, rows, first, logits, room.pieces)
    used = int(logits.sum())
    run = np.repeat(np.arange(len(seats)), logits)
    logit = np.arange(used) - first[run]

    def column(values: np.ndarray, rest: float, dtype: type = np.int32) -> Any:
        made: np.ndarray = np.full(room.columns, rest, dtype)
        made[:used] = values
        return made

    was = np.array([seat.column for seat in seats])[run]
    owner: Any = np.arange(room.columns, dtype=np.int32)
    owner[:used] = first[run]
    return placed, Tables(
        columns=Columns(owner, column(np.where(logit == 0, logits[run], 0), 0)),
        pieces=pieces,
        column_pieces=ColumnPieces(
            column(begin[run] + logit, 0),
            column(logits[run], 1),
            column(-(-rows // PIECE_ROWS)[run], 0),
        ),
        penalty=column(np.array([seat.penalty for seat in seats])[run], 1.0, np.float64),
        source=column(np.where(was < 0, -1, was + logit), -1),
    )
