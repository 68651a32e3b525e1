"""Rounds of ticks over all fits that are seated; in between, places of ended fits go to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from geneb_jax_kernels.factor_products import factor_products
from geneb_jax_kernels.ragged_loss import ColumnPieces, ListedRows, Pieces, ragged_loss
from geneb_jax_probes.endings import Ending
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import OWN, SLOPE_0, Machine, Progress, Rules, begin
from geneb_jax_probes.lbfgs.side_by_side import (
    Columns,
    Found,
    at_work,
    move_on,
    over_columns,
    trial_columns,
)
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.packed.framing import Frame, Framing, in_features
from geneb_jax_probes.packed.room import Room, most_logits_for
from geneb_jax_probes.packed.seating import Seat, seat_more, tables_of
from geneb_jax_probes.programs import program

__all__ = ["empty_places", "rearrange", "run_rounds", "some_ticks"]


@program("columns", "width", "with_dual")
def empty_places(
    like: Shaped[Array, ""], *, columns: int, width: int, with_dual: bool = False
) -> Machine:
    """Places without machines."""
    return begin(jnp.zeros((columns, width), like.dtype), with_dual=with_dual)


@program()
def rearrange(
    machines: Machine,
    source: Int[Array, " column"],
    start: Float[Array, " column"] | None = None,
    anew: Bool[Array, " column"] | None = None,
) -> Machine:
    """Machines brought to other columns.

    Args:
        machines: The machines.
        source: Where each was; negative for one that begins.
        start: The intercepts that those begin at, zero for None; their weights are zero.
        anew: Which forget everything but the point they have come to, none for None.
    """
    begun = jnp.zeros_like(machines.base)
    if start is not None:
        begun = begun.at[:, -1].set(start)
    if anew is not None:
        there = machines.base[jnp.maximum(source, 0)]
        begun = jnp.where(((source >= 0) & anew)[:, None], there, begun)
        source = jnp.where(anew, -1, source)
    fresh = begin(begun, with_dual=machines.dual is not None)

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
    frame: Frame | None = None,
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
        frame: The coordinates that are searched in; None for those of the features.
        rules: Of the machines.
        most_logits: At least the logits of any fit.
    """

    def tick(carry: tuple[Machine, Array]) -> tuple[Machine, Array]:
        machines, done = carry
        theta = trial_columns(machines, columns)
        working = at_work(machines, columns)[columns.owner]
        live = working[pieces.column] & (pieces.rows > 0)
        raw = theta if frame is None else in_features(theta, frame.centre)
        loss, slope = ragged_loss(
            X, listed, raw, pieces, column_pieces, live, most_logits=most_logits
        )
        if frame is not None:
            slope = slope.at[:, :-1].add(-frame.centre.astype(slope.dtype) * slope[:, -1:])
        coef = theta.at[:, -1].set(0)
        gradient = slope + penalty[:, None] * coef
        loss = loss + 0.5 * penalty * jnp.sum(coef * coef, axis=1)
        found = Found(
            over_columns(loss, columns, most_logits),
            gradient,
            over_columns(jnp.max(jnp.abs(gradient), axis=1), columns, most_logits, largest=True),
        )
        if frame is not None:
            size = frame.factors.shape[1]
            padded = jnp.pad(gradient, ((0, 0), (0, size - gradient.shape[1])))
            vector = factor_products(frame.factors, frame.place, padded, working)
            vector = vector[:, : gradient.shape[1]].astype(gradient.dtype)
            found = found._replace(gradient=vector, dual=gradient)
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
    framing: Framing | None = None,
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
        framing: What knows the coordinates of the fits; None for those of the features.
    """
    waiting = sorted(seats, key=lambda seat: -seat.cost)
    most_logits = most_logits_for(max(seat.fit.logits for seat in seats))
    places = None if framing is None else framing.places
    machines = empty_places(
        lane.state(0.0), columns=room.columns, width=X.shape[1] + 1, with_dual=framing is not None
    )
    seated: list[Seat] = []
    ticks = lane.put(np.int32(room.ticks if framing is None else room.framed_ticks))
    while waiting or seated:
        seated, tables = tables_of(seat_more(seated, waiting, room, places), room)
        there = jax.tree.map(lane.put, tables)
        moves = None if framing is None else framing.ready(seated)
        machines = some_ticks(
            X,
            listed,
            rearrange(machines, there.source, *([] if moves is None else moves[1:])),
            there.columns,
            there.pieces,
            there.column_pieces,
            there.penalty,
            stop,
            ticks,
            None if moves is None else moves.frame,
            rules=rules,
            most_logits=most_logits,
        )
        round_ = _Round(np.asarray(jax.device_get(machines.scalars)), framing)
        over = [seat for seat in seated if round_.is_over(seat)]
        if over:
            base = np.asarray(jax.device_get(machines.base))
            for seat in over:
                take(seat, round_.end_of(seat, base[seat.column :][: seat.fit.logits]))
                if framing is not None:
                    framing.leave(seat)
        seated = [seat for seat in seated if not round_.is_over(seat)]
        if framing is not None and moves is not None:
            late = [
                (seat, int(round_.steps(seat)))
                for seat in seated
                if framing.late(seat, round_.steps(seat), round_.gap(seat))
            ]
            if late:
                framing.renew(late, machines.base, moves, tables=tables, on_lane=there)


@dataclass(frozen=True, slots=True)
class _Round:
    """What the host sees of the machines after a round."""

    scalars: Float[np.ndarray, "column scalar"]
    framing: Framing | None

    def _of(self, seat: Seat) -> Progress:
        return Progress(*self.scalars[seat.column, :OWN])

    def steps(self, seat: Seat) -> float:
        return float(self._of(seat).steps)

    def gap(self, seat: Seat) -> float:
        """As :func:`~geneb_jax_probes.lbfgs.machines.promised`."""
        size = max(abs(float(self._of(seat).value)), float(np.finfo(np.float64).tiny))
        return -0.5 * float(self.scalars[seat.column, SLOPE_0]) / size

    def is_over(self, seat: Seat) -> bool:
        found = self._of(seat)
        if found.ending != 0 or self.framing is None:
            return bool(found.ending != 0)
        return self.framing.hopeless(seat, float(found.steps), float(found.value))

    def end_of(self, seat: Seat, theta: Float[np.ndarray, "logit dim_and_one"]) -> EndPoints:
        found = self._of(seat)
        before = 0 if self.framing is None else self.framing.steps_before(seat)
        numbers: Any = [
            found.value,
            found.norm,
            found.steps + before,
            found.ending or float(Ending.MAX_ITER.code),  # given up
            np.float64(self.gap(seat)),
        ]
        return EndPoints(theta[:, :-1], theta[:, -1], *map(np.asarray, numbers))
