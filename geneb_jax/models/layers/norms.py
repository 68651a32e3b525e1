"""LayerNorm and RMSNorm, computed in float32 whatever the compute dtype."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from geneb_jax.models.layers.parameters import declare, ones, zeros

__all__ = ["LayerNorm", "RMSNorm"]


class LayerNorm(nnx.Module):
    """``(x - mean) / sqrt(variance + eps)``, with scale and bias where the checkpoint has them."""

    def __init__(
        self,
        size: int,
        *,
        eps: float,
        scale: bool = True,
        bias: bool = True,
        stack: tuple[int, ...] = (),
    ) -> None:
        self.eps = eps
        self.scale = declare(*stack, size, initialiser=ones) if scale else None
        self.bias = declare(*stack, size, initialiser=zeros) if bias else None

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Normalise along the last axis; the result has the dtype of ``x``."""
        wide = x.astype(jnp.float32)
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return _affine(centred * jax.lax.rsqrt(variance + self.eps), self.scale, self.bias, x)


class RMSNorm(nnx.Module):
    """``x / sqrt(mean(x^2) + eps)`` with scale; eps inside the root."""

    def __init__(
        self, size: int, *, eps: float, scale: bool = True, stack: tuple[int, ...] = ()
    ) -> None:
        self.eps = eps
        self.scale = declare(*stack, size, initialiser=ones) if scale else None

    def __call__(self, x: Float[Array, "row token dim"]) -> Float[Array, "row token dim"]:
        """Normalise along the last axis; the result has the dtype of ``x``."""
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
        return _affine(wide * jax.lax.rsqrt(mean_square + self.eps), self.scale, None, x)


def _affine(
    normal: Array, scale: nnx.Param | None, bias: nnx.Param | None, like: Array
) -> Float[Array, "row token dim"]:
    axes = (1,) * (normal.ndim - 1) + (-1,)
    if scale is not None:
        normal = normal * scale[...].astype(jnp.float32).reshape(axes)
    if bias is not None:
        normal = normal + bias[...].astype(jnp.float32).reshape(axes)
    return normal.astype(like.dtype)
