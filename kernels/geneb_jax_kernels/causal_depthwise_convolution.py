"""Short causal convolution of each channel with its own few taps, as state-space blocks use it.

Summed shifts: one fused pass over the input on CPU, where a grouped convolution runs channel by
channel. There is no Pallas form: no GPU was at hand to show that one would be faster.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["causal_depthwise_convolution", "causal_depthwise_convolution_reference"]


@partial(jax.jit, static_argnames="reverse")
def causal_depthwise_convolution(
    x: Float[Array, "row token channel"],
    taps: Float[Array, "channel tap"],
    bias: Float[Array, " channel"] | None = None,
    *,
    mask: Bool[Array, "row token"] | None = None,
    reverse: bool = False,
) -> Float[Array, "row token channel"]:
    """Convolve along the tokens; a token sees itself and the ``tap - 1`` before it.

    Args:
        x: Input, any float dtype.
        taps: Weights, the last one for the token itself, as torch's ``conv1d`` stores them.
        bias: Added to every token.
        mask: True where there is a token; the others count as zeros, so that padding on either
            side is the same as no padding.
        reverse: Whether a token sees those after it instead.

    Returns:
        float32 sums in the dtype of ``x``.
    """
    length, count = x.shape[1], taps.shape[1]
    wide = x.astype(jnp.float32)
    if mask is not None:
        wide = jnp.where(mask[:, :, None], wide, 0.0)
    before = count - 1
    padded = jnp.pad(wide, ((0, 0), (0, before) if reverse else (before, 0), (0, 0)))
    total = jnp.zeros_like(wide)
    for lag in range(count):
        start = lag if reverse else before - lag
        tap = taps[:, before - lag].astype(jnp.float32)[None, None, :]
        total = total + tap * padded[:, start : start + length]
    if bias is not None:
        total = total + bias.astype(jnp.float32)[None, None, :]
    return total.astype(x.dtype)


def causal_depthwise_convolution_reference(
    x: Float[Array, "row token channel"],
    taps: Float[Array, "channel tap"],
    bias: Float[Array, " channel"] | None = None,
    *,
    mask: Bool[Array, "row token"] | None = None,
    reverse: bool = False,
) -> Float[Array, "row token channel"]:
    """The same as XLA's grouped convolution over explicitly reversed tokens: the plain form."""
    if mask is not None:
        x = jnp.where(mask[:, :, None], x, jnp.zeros((), x.dtype))
    if reverse:
        x = jnp.flip(x, 1)
    result = jax.lax.conv_general_dilated(
        x,
        taps.T[:, None, :],
        window_strides=(1,),
        padding=[(taps.shape[1] - 1, 0)],
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=x.shape[2],
        precision="highest",
    )
    if bias is not None:
        result = result + bias[None, None, :]
    return jnp.flip(result, 1) if reverse else result
