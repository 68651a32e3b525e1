"""The pooled forwards of the published configurations, as shapes: no weight is ever allocated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from geneb_jax.embed.pooled_program import CompiledForm, compile_pooled, pooled_program
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import compute_dtype, nested, parameter_shapes
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.registry import find_spec

__all__ = ["Traced", "forward", "without_weights"]

_LENGTH_TOKENS = 512


class Traced(NamedTuple):
    """A program to compile, and the bytes it would move if it moved each once."""

    bytes_needed: int
    rows: int
    length_tokens: int
    compile: Callable[[], CompiledForm]
    arguments: tuple[Any, ...]


def forward(
    model: str, dtype: str, mesh: Any, platform: str, *, tokens: int, length: int | None = None
) -> Traced:
    """Trace what :class:`~geneb_jax.embed.forward.Forward` compiles for a batch.

    Args:
        model: Id of a published or built-in model.
        dtype: Compute dtype.
        mesh: Devices of the target.
        platform: ``gpu`` or ``tpu``, as JAX calls it.
        tokens: Of the batch, over all devices; a batch has at least one row a device.
        length: Tokens a row; 512, or as many as the model takes.
    """
    encoder, module = without_weights(model, dtype)
    length = _length(length or _LENGTH_TOKENS, encoder)
    devices = mesh.devices.size
    rows = max(1, tokens // length // devices) * devices
    divided, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    params = nested(
        {
            path: jax.ShapeDtypeStruct(
                variable.get_value().shape, compute_dtype(variable, dtype), sharding=whole
            )
            for path, variable in parameter_shapes(module).items()
        }
    )
    make = partial(pooled_program, encoder, mesh)
    arguments = (
        params,
        jax.ShapeDtypeStruct((rows, length), np.uint16, sharding=divided),
        jax.ShapeDtypeStruct((rows,), np.int32, sharding=divided),
    )
    weights = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    needed = weights + _activations(make().trace(*arguments).jaxpr.jaxpr)
    made = partial(compile_pooled, make, arguments, platform=platform)
    return Traced(needed, rows, length, made, arguments)


def without_weights(model: str, dtype: str) -> tuple[NativeEncoder, nnx.Module]:
    """A registered model that knows its sizes and has neither weights nor a tokenizer."""
    spec = find_spec(model)
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=model)
    module = family.module(config)
    encoder = NativeEncoder(
        spec=spec,
        family=family,
        config=config,
        read_parameters=dict,
        tokenizer=SimpleNamespace(pad_id=0, max_tokens=None, unknown_id=None),  # type: ignore[arg-type]
        identity=EncoderIdentity(model, "", "", "", spec.pooling.default, -1, dtype, family.code),
    )
    return encoder, module


def _length(asked: int, encoder: NativeEncoder) -> int:
    context = encoder.spec.context if encoder.spec else None
    limits = [encoder.config.longest_tokens]
    if context is not None and context.unit == "tokens":
        limits.append(context.limit)
    length = min([asked, *(limit for limit in limits if limit)])
    return -(-length // encoder.length_multiple) * encoder.length_multiple


def _activations(jaxpr: Any) -> int:
    """Bytes that enter and leave products with weights, convolutions and transforms, once each.

    A product with weights is one without axes of a batch. Results count in the dtype of the
    operands, whatever they are accumulated in; what is fused into either end costs nothing.
    """
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    operands = [variable.aval for variable in equation.invars]
    if name == "dot_general":
        _, (batch, _) = parameters["dimension_numbers"]
        if batch:
            return 0
        activation = max(operands, key=lambda aval: math.prod(aval.shape))
        numbers = math.prod(activation.shape) + math.prod(equation.outvars[0].aval.shape)
        return int(numbers * activation.dtype.itemsize)
    if name in ("conv_general_dilated", "fft"):
        numbers = math.prod(operands[0].shape) + math.prod(equation.outvars[0].aval.shape)
        return int(numbers * operands[0].dtype.itemsize)
    inner = [_activations(jaxpr) for jaxpr in _inner(parameters.values())]
    if name == "scan":
        return int(parameters["length"]) * sum(inner)
    return max(inner, default=0) if name == "cond" else sum(inner)


def _inner(values: Iterable[Any]) -> Iterable[Any]:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _inner(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
