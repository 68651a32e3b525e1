"""Forwards on the devices at hand: compiled, counted, and filled with numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.compile_targets import read_target
from bench.forward_programs import forward, without_weights
from bench.hlo_text import read_module
from bench.roofline import costs_of
from geneb_jax.embed.matrix_flops import matrix_flops
from geneb_jax.embed.placement import Placement
from geneb_jax.models.layers.parameters import compute_dtype, nested, normal, parameter_shapes
from geneb_jax.models.registry import registry

__all__ = ["Ready", "drawn", "families", "ready"]

_DEVIATION = 0.02
_TARGETS = {"gpu": "h100", "tpu": "v5e", "cpu": "cpu"}


@dataclass(frozen=True, slots=True)
class Ready:
    """A forward that can be run, and what its compiled program says of itself."""

    run: Callable[[], Any]
    tokens: int
    flops: int
    estimated_ms: float
    kernels: int
    custom_calls: dict[str, int]
    temp_bytes: int
    without: str
    compile_seconds: float


def families(most_parameters: int | None = None) -> tuple[str, ...]:
    """The smallest published model of every family, smallest first."""
    found: dict[str, str] = {}
    for spec in sorted(registry().values(), key=lambda spec: spec.parameters):
        if most_parameters is None or spec.parameters <= most_parameters:
            found.setdefault(spec.family, spec.model_id)
    return tuple(found.values())


def ready(model: str, dtype: str, *, tokens: int, length: int | None) -> Ready:
    """Compile a forward for all local devices and draw its weights there."""
    platform, placement = jax.default_backend(), Placement()
    made = forward(model, dtype, placement.mesh, platform, tokens=tokens, length=length)
    began = time.perf_counter()
    program, without, _ = made.compile()
    taken = time.perf_counter() - began
    costs = costs_of(read_module(program.as_text()), read_target(_TARGETS[platform]))
    encoder, _ = without_weights(model, dtype)
    params = placement.put_parameters(drawn(model, dtype))
    ids, lengths = inputs(model, made.rows, made.length_tokens)
    placed = placement.put_rows(ids, lengths)
    mask = np.ones(ids.shape, bool)
    return Ready(
        run=lambda: program(params, *placed),
        tokens=ids.size,
        flops=matrix_flops(encoder.pooled, made.arguments[0], ids.astype(np.int32), mask),
        estimated_ms=1e3 * costs.seconds,
        kernels=costs.kernels,
        custom_calls=dict(costs.custom_calls),
        temp_bytes=program.memory_analysis().temp_size_in_bytes,
        without=without,
        compile_seconds=round(taken, 2),
    )


def inputs(model: str, rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Random ids of letters, uint16 ``[row, token]``, and full lengths, int32."""
    encoder, _ = without_weights(model, "float32")
    generator = np.random.default_rng(0)
    most = min(encoder.config.vocab_size, 1000)
    ids = generator.integers(most // 2, most, (rows, length)).astype(np.uint16)
    return ids, np.full(rows, length, np.int32)


def drawn(model: str, dtype: str, seed: int = 0) -> Any:
    """Untrained weights on the default device: matrices are drawn there, the rest as ever."""
    _, module = without_weights(model, dtype)
    key = jax.random.key(seed)
    flat = {}
    for index, (path, variable) in enumerate(parameter_shapes(module).items()):
        shape, kind = variable.get_value().shape, compute_dtype(variable, dtype)
        initialiser = variable.get_metadata()["initialiser"]
        if initialiser is normal:
            values = jax.random.normal(jax.random.fold_in(key, index), shape, kind)
            flat[path] = values * jnp.asarray(_DEVIATION, kind)
        else:
            generator = np.random.default_rng([seed, index])
            flat[path] = jnp.asarray(initialiser(generator, shape), kind)
    return nested(flat)
