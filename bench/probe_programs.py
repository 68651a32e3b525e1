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
from bench.packed_programs import PACKED_PROGRAMS, WIDTH, Made, Shape, state_of
from geneb_jax.embed.pooled_program import CompiledForm
from geneb_jax_kernels.gram import weighted_gram
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.lbfgs.machines import REFERENCE as STEPS
from geneb_jax_probes.matrix.arithmetic import PLAIN
from geneb_jax_probes.matrix.feature_space import minimise_features
from geneb_jax_probes.matrix.gram_sample import GRAM_ROWS
from geneb_jax_probes.matrix.preconditioners import Preconditioner, precondition
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.matrix.small_features import minimise_small
from geneb_jax_probes.mlp import program as mlp
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.shapes import HELD_BLOCK, room_for_classes, room_for_features
from geneb_jax_probes.scoring import _count
from geneb_jax_probes.shapes import (
    block_rows_for,
    blocks_for,
    blocks_with_data,
    matrices_per_call,
    row_capacity,
    small_rows,
)
from geneb_jax_probes.solvers.exact import RULES as EXACT_RULES
from geneb_jax_probes.solvers.optax import _minimise as minimise_by_optax
from geneb_jax_probes.solvers.reference32 import AS_FLOAT32

__all__ = ["PROBES", "dtype_of", "probe"]

_ROWS, _SHOTS, _STRENGTHS = 10_000, 20, 5
#: Columns of one run over the matrix: all values of C for two classes, one for more.
_PROBLEMS = {2: 5, 5: 1, 20: 1}


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


def _stop(shape: Shape, platform: str) -> Stop:
    return Stop(*(shape((), state_of(platform)) for _ in range(2)))


def _by_features(classes: int, solver: str, shape: Shape, platform: str) -> Made:
    """L-BFGS over one matrix that the device holds."""
    exact, rounded = solver == "exact", solver == "reference32"
    compute = "float32" if exact or rounded or platform == "tpu" else "float64"
    problems = min(_PROBLEMS[classes], 3) if exact else _PROBLEMS[classes]
    logits = 1 if classes == 2 else classes
    cut = blocks_for(_ROWS, WIDTH, problems * logits, platform, compute)
    capacity = row_capacity(_ROWS, max(cut.rows, GRAM_ROWS), platform)
    state = state_of(platform)
    groups = shape((problems,), state)
    factors = Preconditioner(shape((problems, WIDTH, WIDTH), np.float32), groups)
    arguments = (
        shape((capacity, WIDTH), np.float32),
        shape((capacity,), np.int32),
        shape((capacity, 1), state if rounded else np.dtype(compute)),
        groups,
        shape((problems, logits, WIDTH + 1), state),
        factors if exact else None,
        None if blocks_with_data(_ROWS, cut.rows, platform) is None else shape((), np.int32),
        _stop(shape, platform),
    )
    static = {
        "compute": compute,
        "block_rows": cut.rows,
        "at_once": cut.at_once,
        "rules": EXACT_RULES["float32"] if exact else STEPS,
        "arithmetic": AS_FLOAT32 if rounded else PLAIN,
    }
    return minimise_features.on(platform), arguments, static


def _few_shot(solver: str, shape: Shape, platform: str) -> Made:
    """Many small matrices of two classes, in the coordinates of their rows."""
    rows, state = small_rows(_SHOTS), state_of(platform)
    matrices = matrices_per_call(rows, WIDTH, platform)
    dtype = "float32" if platform == "tpu" else "float64"
    packed = (
        shape((matrices, rows, WIDTH), np.float32),
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


def _gram(shape: Shape, platform: str) -> Made:
    capacity = row_capacity(_ROWS, GRAM_ROWS, platform)
    arguments = (
        shape((capacity, WIDTH), np.float32),
        shape((capacity,), np.float32),
        shape((), np.int32),
        shape((), np.int32),
    )
    return weighted_gram, arguments, {"block_rows": GRAM_ROWS}


def _factors(shape: Shape, platform: str) -> Made:
    state = state_of(platform)
    arguments = (shape((WIDTH, WIDTH), np.float32), shape((1,), state), shape((), state))
    return precondition.on(platform), arguments, {}


def _counts(shape: Shape, platform: str) -> Made:
    block_rows = block_rows_for(WIDTH, platform)
    capacity = row_capacity(_ROWS // 5, block_rows, platform)
    arguments = (
        shape((capacity, WIDTH), np.float32),
        shape((capacity,), np.int32),
        shape((_STRENGTHS, 1, WIDTH), np.float32),
        shape((_STRENGTHS, 1), np.float32),
        shape((2,), np.int32),
        shape((), np.int32),
        shape((), np.int32),
    )
    return _count.on(platform), arguments, {"block_rows": block_rows, "class_count": 2}


def _by_optax(shape: Shape, platform: str) -> Made:
    arguments = (
        shape((_ROWS, WIDTH), np.float32),
        shape((_ROWS,), np.int32),
        shape((_ROWS, 1), np.float32),
        shape((_STRENGTHS, 1), np.float32),
        shape((_STRENGTHS, 1, 1, WIDTH + 1), np.float32),
        Stop(shape((), np.float32), shape((), np.float32)),
    )
    return minimise_by_optax.on(platform), arguments, {}


def _mlp(shape: Shape, platform: str) -> Made:
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
        shape((slots, room_for_features(WIDTH)), np.float32),
        shape((slots,), np.int32),
        rows,
        size,
        shape((fits,), np.uint32),
    )
    static = {"room": room_for_classes(2), "recipe": MLPRecipe(), "together": True}
    return mlp.train.on(platform), arguments, static


#: Program by name.
PROBES: Mapping[str, Callable[[Shape, str], Made]] = MappingProxyType(
    {
        f"{solver}-features-{classes}": partial(_by_features, classes, solver)
        for solver in ("reference", "reference32", "exact")
        for classes in _PROBLEMS
    }
    | {
        f"{solver}-few-shot": partial(_few_shot, solver)
        for solver in ("reference", "reference32", "exact")
    }
    | PACKED_PROGRAMS
    | {
        "exact-gram": _gram,
        "exact-factors": _factors,
        "optax-features-2": _by_optax,
        "counts": _counts,
        "mlp": _mlp,
    }
)
