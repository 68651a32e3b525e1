"""The programs of packed fits, as shapes: a suite of a hundred tasks on one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from geneb_jax_kernels.ragged_loss import ColumnPieces, ListedRows, Pieces
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import REFERENCE as STEPS
from geneb_jax_probes.lbfgs.machines import begin
from geneb_jax_probes.lbfgs.side_by_side import Columns
from geneb_jax_probes.packed.decide import decisions
from geneb_jax_probes.packed.factors import (
    AT_ONCE,
    GRAM_BLOCK,
    SPLIT,
    add_gram,
    factor_size,
    no_factors,
    write_factors,
)
from geneb_jax_probes.packed.framing import Frame, curvatures
from geneb_jax_probes.packed.resident import BLOCK_ROWS, nothing, resident_rows, write_block
from geneb_jax_probes.packed.room import Room, most_logits_for
from geneb_jax_probes.packed.rounds import empty_places, rearrange, some_ticks
from geneb_jax_probes.packed.seating import Tables
from geneb_jax_probes.shapes import step_up
from geneb_jax_probes.solvers.exact import POLISH

__all__ = ["FACTOR_PLACES", "PACKED_PROGRAMS", "PACKED_ROWS", "WIDTH", "Made", "Shape", "state_of"]

WIDTH = 2560
#: Distinct rows of a suite, of training and of test sets.
PACKED_ROWS = 3_100_000
#: Factors beside them: of fits in ticks together, 13 GB.
FACTOR_PLACES = Room().columns

Shape = Callable[..., jax.ShapeDtypeStruct]
Made = tuple[Any, tuple[Any, ...], dict[str, Any]]  # jitted, arguments, static arguments


def state_of(platform: str) -> Any:
    """The dtype of scalars and small vectors."""
    return np.float32 if platform == "tpu" else np.float64


def _packed(
    shape: Shape, platform: str, *, with_dual: bool = False
) -> tuple[Shape, Room, Any, Any, Any, Any]:
    """Arrays of the packed programs: features, the list of rows, machines, tables."""
    room, state = Room(), state_of(platform)
    X = shape((resident_rows(PACKED_ROWS), WIDTH), np.float32)
    place = (step_up(PACKED_ROWS, 1024),)
    listed = ListedRows(shape(place, np.int32), shape(place, np.int32), shape(place, state))
    column, piece = shape((room.columns,), np.int32), shape((room.pieces,), np.int32)
    made = jax.eval_shape(
        partial(begin, with_dual=with_dual),
        jax.ShapeDtypeStruct((room.columns, WIDTH + 1), state),
    )
    machines = jax.tree.map(lambda leaf: shape(leaf.shape, leaf.dtype), made)
    tables = Tables(
        Columns(column, column),
        Pieces(*[piece] * 5),
        ColumnPieces(*[column] * 3),
        shape((room.columns,), state),
        column,
    )
    return shape, room, X, listed, machines, tables


def _packed_ticks(shape: Shape, platform: str) -> Made:
    shape, _, X, listed, machines, tables = _packed(shape, platform)
    arguments = (
        X,
        listed,
        machines,
        *tables[:4],
        Stop(*(shape((), state_of(platform)) for _ in range(2))),
        shape((), np.int32),
    )
    return some_ticks.on(platform), arguments, {"rules": STEPS, "most_logits": most_logits_for(2)}


def _packed_places(shape: Shape, platform: str) -> Made:
    machines, tables = _packed(shape, platform)[4:]
    return rearrange.on(platform), (machines, tables.source), {}


def _packed_decisions(shape: Shape, platform: str) -> Made:
    shape, room, X, listed, _, tables = _packed(shape, platform)
    theta = shape((room.columns, WIDTH + 1), state_of(platform))
    return decisions.on(platform), (X, listed.rows, theta, tables.pieces), {}


def _packed_rows(shape: Shape, platform: str) -> Made:
    X = _packed(shape, platform)[2]
    block = shape((BLOCK_ROWS, WIDTH), np.float32)
    return write_block.on(platform), (X, block, shape((), np.int32)), {}


def _packed_nothing(shape: Shape, platform: str) -> Made:
    static = {"rows": resident_rows(PACKED_ROWS), "width": WIDTH}
    return nothing.on(platform), (shape((), np.int32),), static


def _packed_empty(shape: Shape, platform: str) -> Made:
    static = {"columns": Room().columns, "width": WIDTH + 1}
    return empty_places.on(platform), (shape((), state_of(platform)),), static


def _framed(shape: Shape, platform: str) -> tuple[Frame, Any]:
    """Coordinates of all columns, and room for Gram matrices."""
    columns, size = Room().columns, factor_size(WIDTH)
    frame = Frame(
        shape((columns, WIDTH), np.float32),
        shape((FACTOR_PLACES, size, size), np.float32),
        shape((columns,), np.int32),
    )
    return frame, shape((AT_ONCE, size, size), np.float32)


def _framed_ticks(shape: Shape, platform: str) -> Made:
    shape, _, X, listed, machines, tables = _packed(shape, platform, with_dual=True)
    frame = _framed(shape, platform)[0]
    stop = Stop(*(shape((), state_of(platform)) for _ in range(2)))
    arguments = (X, listed, machines, *tables[:4], stop, shape((), np.int32), frame)
    return some_ticks.on(platform), arguments, {"rules": POLISH, "most_logits": most_logits_for(2)}


def _framed_places(shape: Shape, platform: str) -> Made:
    shape, room, _, _, machines, tables = _packed(shape, platform, with_dual=True)
    start, anew = shape((room.columns,), state_of(platform)), shape((room.columns,), bool)
    return rearrange.on(platform), (machines, tables.source, start, anew), {}


def _framed_empty(shape: Shape, platform: str) -> Made:
    static = {"columns": Room().columns, "width": WIDTH + 1, "with_dual": True}
    return empty_places.on(platform), (shape((), state_of(platform)),), static


def _framed_room(count: int, shape: Shape, platform: str) -> Made:
    static = {"count": count, "size": factor_size(WIDTH)}
    return no_factors.on(platform), (shape((), np.int32),), static


def _framed_gram(shape: Shape, platform: str) -> Made:
    X, grams = _packed(shape, platform)[2], _framed(shape, platform)[1]
    arguments = (
        grams,
        X,
        shape((GRAM_BLOCK,), np.int32),
        shape((GRAM_BLOCK,), np.float32),
        shape((WIDTH,), np.float32),
        shape((), np.int32),
        shape((), bool),
    )
    products = SPLIT if platform == "gpu" else "highest"
    return add_gram.on(platform), arguments, {"products": products}


def _framed_factors(shape: Shape, platform: str) -> Made:
    frame, grams = _framed(shape, platform)
    number, at = shape((AT_ONCE,), state_of(platform)), shape((AT_ONCE,), np.int32)
    arguments = (frame.factors, grams, at, number, number, at, shape((AT_ONCE,), bool))
    return write_factors.on(platform), arguments, {"width": WIDTH, "batched": True}


def _framed_curvatures(shape: Shape, platform: str) -> Made:
    shape, room, X, listed, machines, tables = _packed(shape, platform)
    centre, wanted = shape((room.columns, WIDTH), np.float32), shape((room.columns,), bool)
    arguments = (X, listed, machines.base, centre, tables.pieces, wanted)
    return curvatures.on(platform), arguments, {}


#: Program by name.
PACKED_PROGRAMS: Mapping[str, Callable[[Shape, str], Made]] = MappingProxyType(
    {
        "packed-nothing": _packed_nothing,
        "packed-rows": _packed_rows,
        "packed-empty": _packed_empty,
        "packed-places": _packed_places,
        "packed-ticks": _packed_ticks,
        "packed-decisions": _packed_decisions,
        "framed-empty": _framed_empty,
        "framed-places": _framed_places,
        "framed-ticks": _framed_ticks,
        "framed-room": partial(_framed_room, FACTOR_PLACES),
        "framed-room-of-grams": partial(_framed_room, AT_ONCE),
        "framed-gram": _framed_gram,
        "framed-factors": _framed_factors,
        "framed-curvatures": _framed_curvatures,
    }
)
