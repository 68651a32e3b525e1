"""Rotary position embeddings (Su et al. 2021), split-half and interleaved."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from geneb_jax.models.layers.parameters import declare

__all__ = [
    "declare_frequencies",
    "interleaved_rotary",
    "rotary_angles",
    "rotate_interleaved",
    "split_half_rotary",
]


def declare_frequencies(
    head_width: int, *, theta: float, stack: tuple[int, ...] = ()
) -> nnx.Param[Any]:
    """Stored frequencies, one a rotated pair: theta^(-2i / head_width) in an untrained model."""
    half = head_width // 2

    def initialise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = theta ** -(np.arange(half) / half)
        return np.broadcast_to(values, shape).astype(np.float32)

    return declare(*stack, half, initialiser=initialise, keep_float32=True)


def rotary_angles(
    positions: Int[Array, " token"], head_width: int, *, theta: float
) -> Float[Array, "token half"]:
    """Angles position * theta^(-2i / head_width) in float32, one a rotated pair of features."""
    # On the host: a device's power function is off by several units in the last place, and long
    # positions multiply that.
    exponents = np.arange(0, head_width, 2, dtype=np.float32) / np.float32(head_width)
    frequencies = np.float32(1) / np.float32(theta) ** exponents
    return positions.astype(jnp.float32)[:, None] * frequencies[None, :]


def split_half_rotary(
    x: Float[Array, "row token head width"], angles: Float[Array, "token half"]
) -> Float[Array, "row token head width"]:
    """Rotate the pairs (i, i + width/2), as LLaMA, ESM and most transformers models do."""
    cosine, sine = _tables(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)


def interleaved_rotary(
    x: Float[Array, "row token head width"], angles: Float[Array, "token half"]
) -> Float[Array, "row token head width"]:
    """Rotate the pairs (2i, 2i + 1), as RoFormer does."""
    return rotate_interleaved(x, jnp.cos(angles), jnp.sin(angles))


def rotate_interleaved(
    x: Float[Array, "row token head width"],
    cosines: Float[Array, "token half"],
    sines: Float[Array, "token half"],
) -> Float[Array, "row token head width"]:
    """The same with tables of cosines and sines."""
    cosine, sine = cosines[None, :, None, :], sines[None, :, None, :]
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    rotated = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.stack(rotated, axis=-1).reshape(x.shape).astype(x.dtype)


def _tables(angles: Float[Array, "token half"]) -> tuple[Array, Array]:
    return jnp.cos(angles)[None, :, None, :], jnp.sin(angles)[None, :, None, :]
