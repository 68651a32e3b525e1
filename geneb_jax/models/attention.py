"""Attention, through one function: every family's masks, biases and devices meet here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["attend"]

_CUDNN_DTYPES = (jnp.bfloat16, jnp.float16)
_CUDNN_WIDEST_HEAD = 128


def attend(
    query: Float[Array, "row token head width"],
    key: Float[Array, "row key kv_head width"],
    value: Float[Array, "row key kv_head width"],
    *,
    mask: Bool[Array, "row key"] | None = None,
    bias: Float[Array, "row_or_1 head_or_1 token key"] | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Array, "row token head width"]:
    """Softmax attention in float32 logits; grouped queries where ``key`` has fewer heads.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        mask: Which keys are tokens; padding is on the right. A row without any gives zeros.
        bias: Added to the logits (ALiBi, relative positions, arbitrary masks as large negatives).
        causal: Whether a token sees itself and earlier ones only.
        scale: Factor of the logits; the usual width^-0.5 when None.
    """
    # JAX promotes low precision to float32 logits by implicit rules inside; ours stay strict.
    with jax.numpy_dtype_promotion("standard"):
        result = _attend(query, key, value, mask=mask, bias=bias, causal=causal, scale=scale)
    if mask is None:
        return result
    has_keys = jnp.any(mask, axis=-1)[:, None, None, None]
    return jnp.where(has_keys, result, jnp.zeros((), result.dtype))


def _attend(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    scale: float | None,
) -> Array:
    if bias is None and _cudnn_may_help(query):
        lengths = None if mask is None else jnp.sum(mask, axis=-1, dtype=jnp.int32)
        try:
            return jax.nn.dot_product_attention(
                query,
                key,
                value,
                key_value_seq_lengths=lengths,
                is_causal=causal,
                scale=scale,
                implementation="cudnn",
            )
        except (ValueError, RuntimeError, NotImplementedError):
            pass  # a shape or version that cuDNN does not take
    return jax.nn.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=None if mask is None else mask[:, None, None, :],
        is_causal=causal,
        scale=scale,
        implementation="xla",
    )


def _cudnn_may_help(query: Array) -> bool:
    """Whether the default device has cuDNN's fused attention for this dtype and head width."""
    width = query.shape[-1]
    return (
        jax.default_backend() == "gpu"
        and query.dtype in _CUDNN_DTYPES
        and width % 8 == 0
        and width <= _CUDNN_WIDEST_HEAD
    )
