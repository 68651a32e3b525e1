"""Rounds of ticks over all fits that are seated; in between, places of ended fits go to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from geneb_jax_kernels.ragged_loss import ColumnPieces, ListedRows, Pieces, ragged_loss
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import OWN, Machine, Progress, Rules, begin
from geneb_jax_probes.lbfgs.side_by_side import (
    Columns,
    Found,
    at_work,
    move_on,
    over_columns,
    trial_columns,
)
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.packed.room import Room, most_logits_for
from geneb_jax_probes.packed.seating import Seat, seat_more, tables_of
from geneb_jax_probes.programs import program

__all__ = ["empty_places", "rearrange", "run_rounds", "some_ticks"]


@program("columns", "width")
def empty_places(like: Shaped[Array, ""], *, columns: int, width: int) -> Machine:
    """Places without machines."""
    return begin(jnp.zeros((columns, width), like.dtype), with_dual=False)


@program()
def rearrange(machines: Machine, source: Int[Array, " column"]) -> Machine:
    """Machines brought to other columns; where ``source`` is negative, one that begins at zero."""
    fresh = begin(jnp.zeros_like(machines.base), with_dual=False)

    def leaf(
        old: Float[Array, column * some], new: Float[Array, column * some]
    ) -> Float[Array, column * some]:
        kept = (source >= 0).reshape(-1, *[1] * (old.ndim - 1))
        return jnp.where(kept, old[jnp.maximum(source, 0)], new)

    return jax.tree.map(leaf, machines, fresh)


@program("rules", "most_logits", donated=("machines",))
def some_ticks(
    X: Float[Array, "row dim"],
    listed: ListedRows,
    machines: Machine,
    columns: Columns,
    pieces: Pieces,
    column_pieces: ColumnPieces,
    penalty: Float[Array, " column"],
    stop: Stop,
    ticks: Int[Array, ""],
    *,
    rules: Rules,
    most_logits: int,
) -> Machine:
    """Tick until every machine has ended, or so many times.

    Args:
        X: Features of all tasks.
        listed: The rows of their fits.
        machines: Their states, by column.
        columns: Whose the columns are.
        pieces: Pieces of the fits at work.
        column_pieces: The pieces of each column.
        penalty: ``1 / (C n)`` of each column's fit.
        stop: Limits of a fit.
        ticks: Of the round.
        rules: Of the machines.
        most_logits: At least the logits of any fit.
    """

    def tick(carry: tuple[Machine, Array]) -> tuple[Machine, Array]:
        machines, done = carry
        theta = trial_columns(machines, columns)
        live = at_work(machines, columns)[columns.owner[pieces.column]] & (pieces.rows > 0)
        loss, slope = ragged_loss(
            X, listed, theta, pieces, column_pieces, live, most_logits=most_logits
        )
        coef = theta.at[:, -1].set(0)
        gradient = slope + penalty[:, None] * coef
        loss = loss + 0.5 * penalty * jnp.sum(coef * coef, axis=1)
        found = Found(
            over_columns(loss, columns, most_logits),
            gradient,
            over_columns(jnp.max(jnp.abs(gradient), axis=1), columns, most_logits, largest=True),
        )
        return move_on(machines, found, columns, stop, rules, most_logits), done + 1

    def goes_on(carry: tuple[Machine, Array]) -> Array:
        machines, done = carry
        return jnp.any(at_work(machines, columns)) & (done < ticks)

    return jax.lax.while_loop(goes_on, tick, (machines, jnp.zeros_like(ticks)))[0]


def run_rounds(
    X: Float[Array, "row dim"],
    listed: ListedRows,
    seats: Sequence[Seat],
    stop: Stop,
    *,
    rules: Rules,
    room: Room,
    lane: Lane,
    take: Callable[[Seat, EndPoints], None],
) -> None:
    """Solve every fit, those of most work first.

    Args:
        X: Features of all tasks, on the lane.
        listed: The rows of the fits, on the lane.
        seats: The fits.
        stop: Limits of a fit.
        rules: Of the machines.
        room: Capacities.
        lane: Where.
        take: Told of each fit that has ended where.
    """
    waiting = sorted(seats, key=lambda seat: -seat.cost)
    most_logits = most_logits_for(max(seat.fit.logits for seat in seats))
    machines = empty_places(lane.state(0.0), columns=room.columns, width=X.shape[1] + 1)
    seated: list[Seat] = []
    ticks = lane.put(np.int32(room.ticks))
    while waiting or seated:
        seated, tables = tables_of(seat_more(seated, waiting, room), room)
        there = jax.tree.map(lane.put, tables)
        machines = some_ticks(
            X,
            listed,
            rearrange(machines, there.source),
            there.columns,
            there.pieces,
            there.column_pieces,
            there.penalty,
            stop,
            ticks,
            rules=rules,
            most_logits=most_logits,
        )
        scalars: Any = np.asarray(jax.device_get(machines.scalars))
        end = Progress(*scalars.T[:OWN])
        over = [seat for seat in seated if end.ending[seat.column] != 0]
        if over:
            base = np.asarray(jax.device_get(machines.base))
            for seat in over:
                at = seat.column
                theta = base[at : at + seat.fit.logits]
                # No solver that is packed asks for the gap.
                numbers: Any = [*(part[at] for part in end[:4]), np.asarray(np.nan)]
                take(seat, EndPoints(theta[:, :-1], theta[:, -1], *numbers))
        seated = [seat for seat in seated if end.ending[seat.column] == 0]
