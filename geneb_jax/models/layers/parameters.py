"""Declaring parameters by shape, and filling them with seeded random numbers.

Modules hold shapes until a checkpoint or a seed fills them, so building a module costs nothing
whatever its size. Random weights are drawn by NumPy, one parameter at a time and each from its own
stream (seed, name of the parameter): the same bytes on every device, and a parameter more or less
changes no other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

__all__ = [
    "Parameters",
    "compute_dtype",
    "declare",
    "nested",
    "normal",
    "ones",
    "parameter_shapes",
    "place",
    "random_parameters",
    "zeros",
]

#: Nested dict of arrays; leaves are addressed by dotted paths (``layers.attention.query.kernel``).
Parameters = dict[str, Any]
Initialiser = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

_STANDARD_DEVIATION = 0.02  # transformers' initializer_range


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers of standard deviation 0.02, as transformers initialises matrices."""
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= np.float32(_STANDARD_DEVIATION)
    return values


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros: biases."""
    return np.zeros(shape, np.float32)


def ones(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Ones: scales of norms."""
    return np.ones(shape, np.float32)


def declare(
    *shape: int, initialiser: Initialiser = normal, keep_float32: bool = False
) -> nnx.Param[Any]:
    """A parameter of this shape without values.

    Args:
        *shape: Its shape; leading axes stack layers (see
            :mod:`geneb_jax.models.layers.scanned_layers`).
        initialiser: Draws it for untrained models.
        keep_float32: Whether it stays in float32 whatever the compute dtype (poles, decay rates).
    """
    return nnx.Param(
        jax.ShapeDtypeStruct(shape, jnp.float32), initialiser=initialiser, keep_float32=keep_float32
    )


def parameter_shapes(module: nnx.Module) -> dict[str, nnx.Param[Any]]:
    """Dotted path to declared parameter, in path order."""
    state = nnx.state(module, nnx.Param)
    return {
        ".".join(str(part) for part in path): variable
        for path, variable in sorted(nnx.to_flat_state(state), key=lambda item: str(item[0]))
    }


def nested(flat: Mapping[str, Any]) -> Parameters:
    """Dotted paths to the nested dict that ``nnx.merge`` takes."""
    tree: Parameters = {}
    for path, value in flat.items():
        *folders, name = path.split(".")
        place_in = tree
        for folder in folders:
            place_in = place_in.setdefault(folder, {})
        place_in[name] = value
    return tree


def compute_dtype(variable: nnx.Param[Any], dtype: str) -> np.dtype[Any]:
    """The dtype a parameter has on the device: ``dtype``, or float32 where it was declared so."""
    return jnp.dtype("float32" if variable.get_metadata()["keep_float32"] else dtype)


def place(values: np.ndarray, variable: nnx.Param[Any], dtype: str) -> jax.Array:
    """Put one parameter on the default device in its compute dtype, and wait until it is there."""
    values = values.astype(compute_dtype(variable, dtype), copy=False)
    return jax.block_until_ready(jax.device_put(values))


def random_parameters(module: nnx.Module, *, seed: int, dtype: str) -> Parameters:
    """Untrained parameters of a module, decided by ``seed`` alone, on the default device."""
    flat = {}
    for path, variable in parameter_shapes(module).items():
        generator = np.random.default_rng([seed, zlib.crc32(path.encode())])
        initialiser: Initialiser = variable.get_metadata()["initialiser"]
        flat[path] = place(initialiser(generator, variable.get_value().shape), variable, dtype)
    return nested(flat)
