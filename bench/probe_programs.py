"""Every program that probes compile, as shapes: a task of 10,000 rows, a few-shot group, a test.

Loops of a solver end when it has converged, which no compiler knows: figures are those of a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from bench.forward_programs import Traced
from geneb_jax.embed.pooled_program import CompiledForm
from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_kernels.ragged_loss import ColumnPieces, ListedRows, Pieces
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import REFERENCE as STEPS
from geneb_jax_probes.lbfgs.machines import begin
from geneb_jax_probes.lbfgs.side_by_side import Columns
from geneb_jax_probes.matrix.arithmetic import PLAIN
from geneb_jax_probes.matrix.feature_space import minimise_features
from geneb_jax_probes.matrix.gram_sample import GRAM_ROWS
from geneb_jax_probes.matrix.preconditioners import Preconditioner, precondition
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.matrix.small_features import minimise_small
from geneb_jax_probes.mlp import program as mlp
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.shapes import HELD_BLOCK, room_for_classes, room_for_features
from geneb_jax_probes.packed.decide import decisions
from geneb_jax_probes.packed.resident import BLOCK_ROWS, nothing, resident_rows, write_block
from geneb_jax_probes.packed.room import Room, most_logits_for
from geneb_jax_probes.packed.rounds import empty_places, rearrange, some_ticks
from geneb_jax_probes.packed.seating import Tables
from geneb_jax_probes.scoring import _count
from geneb_jax_probes.shapes import (
    block_rows_for,
    blocks_at_once,
    blocks_with_data,
    matrices_per_call,
    row_capacity,
    small_rows,
    step_up,
)
from geneb_jax_probes.solvers.exact import RULES as EXACT_RULES
from geneb_jax_probes.solvers.optax import _minimise as minimise_by_optax
from geneb_jax_probes.solvers.reference32 import AS_FLOAT32

__all__ = ["PACKED_ROWS", "PROBES", "dtype_of", "probe"]

_WIDTH, _ROWS, _SHOTS, _STRENGTHS = 2560, 10_000, 20, 5
#: Columns of one run over the matrix: all values of C for two classes, one for more.
_PROBLEMS = {2: 5, 5: 1, 20: 1}

#: Distinct rows of a suite, of training and of test sets.
PACKED_ROWS = 3_100_000

_Shape = Callable[..., jax.ShapeDtypeStruct]
_Made = tuple[Any, tuple[Any, ...], dict[str, Any]]  # jitted, arguments, static arguments


def probe(name: str, mesh: Any, platform: str) -> Traced:
    """Trace one of :data:`PROBES` for the first device of a mesh.

    Scalars and small vectors are float64, but on TPU, which has none.

    Args:
        name: Which.
        mesh: Devices of the target.
        platform: ``gpu`` or ``tpu``, as lanes call it.
    """
    one = jax.sharding.Mesh(mesh.devices.reshape(-1)[:1], ("data",))
    on_device = NamedSharding(one, PartitionSpec())
    with _as_on_lanes(name, platform):
        shape = partial(jax.ShapeDtypeStruct, sharding=on_device)
        function, arguments, static = PROBES[name](shape, platform)
        traced = function.trace(*arguments, **static)
        leaves = [*jax.tree.leaves(arguments), *jax.tree.leaves(traced.out_info)]
        needed = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        lowered = traced.lower()
    return Traced(needed, _ROWS, 0, lambda: CompiledForm(lowered.compile(), "", None), arguments)


def dtype_of(name: str, platform: str) -> str:
    """Precision of the scalars and small vectors of a program."""
    return "float32" if platform == "tpu" or name == "mlp" else "float64"


@contextmanager
def _as_on_lanes(name: str, platform: str) -> Iterator[None]:
    wide = dtype_of(name, platform) == "float64"
    with jax.enable_x64(wide), jax.default_matmul_precision("highest"):
        yield


def _state(platform: str) -> Any:
    return np.float32 if platform == "tpu" else np.float64


def _stop(shape: _Shape, platform: str) -> Stop:
    return Stop(*(shape((), _state(platform)) for _ in range(2)))


def _by_features(classes: int, solver: str, shape: _Shape, platform: str) -> _Made:
    """L-BFGS over one matrix that the device holds."""
    exact, rounded = solver == "exact", solver == "reference32"
    compute = "float32" if exact or rounded or platform == "tpu" else "float64"
    problems = min(_PROBLEMS[classes], 3) if exact else _PROBLEMS[classes]
    logits = 1 if classes == 2 else classes
    block_rows = block_rows_for(max(_WIDTH, problems * logits), platform)
    capacity = row_capacity(_ROWS, max(block_rows, GRAM_ROWS), platform)
    state = _state(platform)
    groups = shape((problems,), state)
    factors = Preconditioner(shape((problems, _WIDTH, _WIDTH), np.float32), groups)
    arguments = (
        shape((capacity, _WIDTH), np.float32),
        shape((capacity,), np.int32),
        shape((capacity, 1), state if rounded else np.dtype(compute)),
        groups,
        shape((problems, logits, _WIDTH + 1), state),
        factors if exact else None,
        None if blocks_with_data(_ROWS, block_rows, platform) is None else shape((), np.int32),
        _stop(shape, platform),
    )
    static = {
        "compute": compute,
        "block_rows": block_rows,
        "at_once": blocks_at_once(platform),
        "rules": EXACT_RULES["float32"] if exact else STEPS,
        "arithmetic": AS_FLOAT32 if rounded else PLAIN,
    }
    return minimise_features.on(platform), arguments, static


def _few_shot(solver: str, shape: _Shape, platform: str) -> _Made:
    """Many small matrices of two classes, in the coordinates of their rows."""
    rows, state = small_rows(_SHOTS), _state(platform)
    matrices = matrices_per_call(rows, _WIDTH, platform)
    dtype = "float32" if platform == "tpu" else "float64"
    packed = (
        shape((matrices, rows, _WIDTH), np.float32),
        shape((matrices, rows), np.int32),
        shape((matrices, rows), state),
        shape((matrices, _STRENGTHS), state),
        shape((matrices, 1), state),
    )
    if solver == "reference32":
        counts = shape((matrices,), np.int32)
        static = {"rules": STEPS, "arithmetic": AS_FLOAT32}
        return minimise_small.on(platform), (*packed, counts, _stop(shape, platform)), static
    static = {
        "rules": EXACT_RULES[dtype] if solver == "exact" else STEPS,
        "preconditioned": solver == "exact",
        "batched_lapack": True,
    }
    return minimise_rows.on(platform), (*packed, _stop(shape, platform)), static


def _packed(shape: _Shape, platform: str) -> tuple[_Shape, Room, Any, Any, Any, Any]:
    """Arrays of the packed programs: features, the list of rows, machines, tables."""
    room, state = Room(), _state(platform)
    X = shape((resident_rows(PACKED_ROWS), _WIDTH), np.float32)
    place = (step_up(PACKED_ROWS, 1024),)
    listed = ListedRows(shape(place, np.int32), shape(place, np.int32), shape(place, state))
    column, piece = shape((room.columns,), np.int32), shape((room.pieces,), np.int32)
    made = jax.eval_shape(
        lambda points: begin(points, with_dual=False),
        jax.ShapeDtypeStruct((room.columns, _WIDTH + 1), state),
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


def _packed_ticks(shape: _Shape, platform: str) -> _Made:
    shape, _, X, listed, machines, tables = _packed(shape, platform)
    arguments = (X, listed, machines, *tables[:4], _stop(shape, platform), shape((), np.int32))
    return some_ticks.on(platform), arguments, {"rules": STEPS, "most_logits": most_logits_for(2)}


def _packed_places(shape: _Shape, platform: str) -> _Made:
    machines, tables = _packed(shape, platform)[4:]
    return rearrange.on(platform), (machines, tables.source), {}


def _packed_decisions(shape: _Shape, platform: str) -> _Made:
    shape, room, X, listed, _, tables = _packed(shape, platform)
    theta = shape((room.columns, _WIDTH + 1), _state(platform))
    return decisions.on(platform), (X, listed.rows, theta, tables.pieces), {}


def _packed_rows(shape: _Shape, platform: str) -> _Made:
    X = _packed(shape, platform)[2]
    block = shape((BLOCK_ROWS, _WIDTH), np.float32)
    return write_block.on(platform), (X, block, shape((), np.int32)), {}


def _packed_nothing(shape: _Shape, platform: str) -> _Made:
    static = {"rows": resident_rows(PACKED_ROWS), "width": _WIDTH}
    return nothing.on(platform), (shape((), np.int32),), static


def _packed_empty(shape: _Shape, platform: str) -> _Made:
    static = {"columns": Room().columns, "width": _WIDTH + 1}
    return empty_places.on(platform), (shape((), _state(platform)),), static


def _gram(shape: _Shape, platform: str) -> _Made:
    capacity = row_capacity(_ROWS, GRAM_ROWS, platform)
    arguments = (
        shape((capacity, _WIDTH), np.float32),
        shape((capacity,), np.float32),
        shape((), np.int32),
        shape((), np.int32),
    )
    return weighted_gram, arguments, {"block_rows": GRAM_ROWS}


def _factors(shape: _Shape, platform: str) -> _Made:
    state = _state(platform)
    arguments = (shape((_WIDTH, _WIDTH), np.float32), shape((1,), state), shape((), state))
    return precondition.on(platform), arguments, {}


def _counts(shape: _Shape, platform: str) -> _Made:
    block_rows = block_rows_for(_WIDTH, platform)
    capacity = row_capacity(_ROWS // 5, block_rows, platform)
    arguments = (
        shape((capacity, _WIDTH), np.float32),
        shape((capacity,), np.int32),
        shape((_STRENGTHS, 1, _WIDTH), np.float32),
        shape((_STRENGTHS, 1), np.float32),
        shape((2,), np.int32),
        shape((), np.int32),
        shape((), np.int32),
    )
    return _count.on(platform), arguments, {"block_rows": block_rows, "class_count": 2}


def _by_optax(shape: _Shape, platform: str) -> _Made:
    arguments = (
        shape((_ROWS, _WIDTH), np.float32),
        shape((_ROWS,), np.int32),
        shape((_ROWS, 1), np.float32),
        shape((_STRENGTHS, 1), np.float32),
        shape((_STRENGTHS, 1, 1, _WIDTH + 1), np.float32),
        Stop(shape((), np.float32), shape((), np.float32)),
    )
    return minimise_by_optax.on(platform), arguments, {}


def _mlp(shape: _Shape, platform: str) -> _Made:
    """Five fits of one matrix; computed in float32 with 64-bit types off."""
    fits, slots, held = 5, 2048, HELD_BLOCK
    rows = mlp.FitRows(
        shape((fits, slots), np.int32),
        shape((fits,), np.int32),
        shape((fits, held), np.int32),
        shape((fits,), np.int32),
    )
    size = mlp.RealSize(shape((), np.int32), shape((), np.int32), shape((2,), np.float32))
    arguments = (
        shape((slots, room_for_features(_WIDTH)), np.float32),
        shape((slots,), np.int32),
        rows,
        size,
        shape((fits,), np.uint32),
    )
    static = {"room": room_for_classes(2), "recipe": MLPRecipe(), "together": True}
    return mlp.train.on(platform), arguments, static


#: Program by name.
PROBES: Mapping[str, Callable[[_Shape, str], _Made]] = MappingProxyType(
    {
        f"{solver}-features-{classes}": partial(_by_features, classes, solver)
        for solver in ("reference", "reference32", "exact")
        for classes in _PROBLEMS
    }
    | {
        f"{solver}-few-shot": partial(_few_shot, solver)
        for solver in ("reference", "reference32", "exact")
    }
    | {
        "packed-nothing": _packed_nothing,
        "packed-rows": _packed_rows,
        "packed-empty": _packed_empty,
        "packed-places": _packed_places,
        "packed-ticks": _packed_ticks,
        "packed-decisions": _packed_decisions,
    }
    | {
        "exact-gram": _gram,
        "exact-factors": _factors,
        "optax-features-2": _by_optax,
        "counts": _counts,
        "mlp": _mlp,
    }
)
