"""Attention, through one function: every family's masks, biases and devices meet here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["attend"]

_CUDNN_DTYPES = (jnp.bfloat16, jnp.float16)
_CUDNN_WIDEST_HEAD = 128
#: Above this many tokens, queries are taken a block at a time: the logits of a block stay in cache.
#: With two cores, 4096 tokens and 8 heads of 64, blocks of 256 take a third of the time of all at
#: once and a twentieth of the memory.
_PLAIN_UP_TO_TOKENS = 512
_BLOCK_TOKENS = 256


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
    keys = None if mask is None else mask[:, None, None, :]
    if query.shape[1] > _PLAIN_UP_TO_TOKENS:
        return _in_blocks(query, key, value, keys=keys, bias=bias, causal=causal, scale=scale)
    return jax.nn.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=keys,
        is_causal=causal,
        scale=scale,
        implementation="xla",
    )


def _in_blocks(
    query: Array,
    key: Array,
    value: Array,
    *,
    keys: Bool[Array, "row 1 1 key"] | None,
    bias: Array | None,
    causal: bool,
    scale: float | None,
) -> Array:
    """The same a block of queries at a time, so that memory grows with length, not its square."""
    rows, token_count, heads, width = query.shape
    blocks = -(-token_count // _BLOCK_TOKENS)
    padding = blocks * _BLOCK_TOKENS - token_count
    query = jnp.pad(query, ((0, 0), (0, padding), (0, 0), (0, 0)))
    if bias is not None:
        bias = jnp.pad(bias, ((0, 0), (0, 0), (0, padding), (0, 0)))
    key_places = jnp.arange(key.shape[1])

    def one_block(start: Array) -> Array:
        allowed = keys
        if causal:
            places = start + jnp.arange(_BLOCK_TOKENS)
            earlier = (key_places[None, :] <= places[:, None])[None, None]
            allowed = earlier if keys is None else earlier & keys
        return jax.nn.dot_product_attention(
            jax.lax.dynamic_slice_in_dim(query, start, _BLOCK_TOKENS, axis=1),
            key,
            value,
            bias=None
            if bias is None
            else jax.lax.dynamic_slice_in_dim(bias, start, _BLOCK_TOKENS, axis=2),
            mask=allowed,
            scale=scale,
            implementation="xla",
        )

    result = jax.lax.map(one_block, jnp.arange(blocks) * _BLOCK_TOKENS)
    return jnp.moveaxis(result, 0, 1).reshape(rows, -1, heads, width)[:, :token_count]


def _cudnn_may_help(query: Array) -> bool:
    """Whether the default device has cuDNN's fused attention for this dtype and head width."""
    width = query.shape[-1]
    return (
        jax.default_backend() == "gpu"
        and query.dtype in _CUDNN_DTYPES
        and width % 8 == 0
        and width <= _CUDNN_WIDEST_HEAD
    )
