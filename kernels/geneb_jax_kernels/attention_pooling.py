"""Enformer's pooling: a softmax over each pair of neighbours, channel by channel.

The logits are linear in the input without a bias, and a softmax of two needs only their difference,
so one product with the difference of the neighbours does: half the work of the plain form.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["attention_pooling", "attention_pooling_reference"]


@jax.jit
def attention_pooling(
    x: Float[Array, "row token channel"], kernel: Float[Array, "channel channel_out"]
) -> Float[Array, "row pair channel"]:
    """Halve the tokens.

    Args:
        x: Input; a last token without a neighbour is kept as it is.
        kernel: Of the logits, [in, out].
    """
    if x.shape[1] % 2:
        x = jnp.pad(x, ((0, 0), (0, 1), (0, 0)), mode="edge")
    pairs = x.reshape(x.shape[0], -1, 2, x.shape[2])
    difference = pairs[:, :, 0] - pairs[:, :, 1]
    logits = jnp.matmul(difference, kernel, preferred_element_type=jnp.float32)
    share = jax.nn.sigmoid(logits)
    return (pairs[:, :, 1].astype(jnp.float32) + share * difference.astype(jnp.float32)).astype(
        x.dtype
    )


def attention_pooling_reference(
    x: Float[Array, "row token channel"], kernel: Float[Array, "channel channel_out"]
) -> Float[Array, "row pair channel"]:
    """The same as it is written, for an even number of tokens: the plain form."""
    pairs = x.reshape(x.shape[0], -1, 2, x.shape[2])
    logits = jnp.einsum("rpsc,cd->rpsd", pairs, kernel, precision="highest")
    return jnp.sum(pairs * jax.nn.softmax(logits, axis=2), axis=2)
