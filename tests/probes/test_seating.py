"""Tables of fits that are seated, against a plain list of what they say."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax_kernels.ragged_loss import PIECE_ROWS
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.seating import Seat, seat_more, tables_of
from geneb_jax_probes.plan import Fit

_ROOM = Room(columns=24, pieces=40, ticks=4)


def seats_of(sizes: list[tuple[int, int]]) -> list[Seat]:
    """Fits of so many rows and logits, one after the other in the list of rows."""
    place, seats = 0, []
    for number, (rows, logits) in enumerate(sizes):
        classes = np.arange(2 if logits == 1 else logits)
        codes, shares = np.zeros(rows, np.int32), np.full(rows, 1 / rows)
        seats.append(
            Seat(Fit(number, 0, None, codes, classes, shares, 1.0), 0, 0.5 + number, place)
        )
        place += rows
    return seats


@pytest.mark.parametrize("seed", range(5))
def test_every_row_of_every_logit_is_in_one_piece(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(int(rng.integers(1, 400)), int(rng.choice([1, 1, 3, 7]))) for _ in range(40)]
    waiting = seats_of(sizes)
    seated: list[Seat] = []
    done: set[int] = set()
    while waiting or seated:
        before = {seat.fit.problem: seat.column for seat in seated}
        seated, tables = tables_of(seat_more(seated, waiting, _ROOM), _ROOM)
        columns, pieces, parts = tables.columns, tables.pieces, tables.column_pieces
        covered: dict[int, list[int]] = {}
        for start, rows, column, first, logits in zip(*pieces, strict=True):
            if rows:
                assert rows <= PIECE_ROWS
                assert columns.logits[columns.owner[column]] == logits
                assert pieces.column[first] == columns.owner[column]
                assert pieces.start[first] == start
                covered.setdefault(int(column), []).extend(range(start, start + rows))
        taken: list[int] = []
        for seat in seated:
            own = [seat.column + k for k in range(seat.fit.logits)]
            taken += own
            for column in own:
                assert covered.pop(column) == list(range(seat.place, seat.place + seat.rows))
                assert tables.penalty[column] == seat.penalty
                its = parts.first[column] + parts.step[column] * np.arange(parts.pieces[column])
                assert set(pieces.column[its]) == {column}
                was = before.get(seat.fit.problem, -1)
                expected = -1 if was < 0 else was + column - seat.column
                assert tables.source[column] == expected
        assert not covered and len(set(taken)) == len(taken) <= _ROOM.columns
        assert (np.delete(columns.logits, [seat.column for seat in seated]) == 0).all()
        over = {seat.fit.problem for seat in seated if rng.random() < 0.5}
        done |= over
        seated = [seat for seat in seated if seat.fit.problem not in over]
    assert done == set(range(len(sizes)))


def test_a_large_fit_does_not_keep_small_ones_waiting() -> None:
    waiting = seats_of([(10, 20), (10, 20), (10, 1)])
    seated = seat_more([], waiting, _ROOM)
    assert [seat.fit.problem for seat in seated] == [0, 2]
    assert [seat.fit.problem for seat in waiting] == [1]
