"""Attention, through one function: every family's masks, biases and devices meet here.

Three forms give the same numbers to rounding. On GPU cuDNN's fused kernel in 16 bits, which takes
heads of up to 256 features on Hopper and 128 before (others are padded to a multiple of eight) and
any bias that is added to the logits; elsewhere on accelerators XLA's form. On CPU, and elsewhere
where the logits would fill the memory, our own, which works on a block of logits at a time. On two
cores, where a block stays in cache, it takes a sixth of the time of the library's for 16 heads of
32 and 128 or 256 tokens, a third at 512, and a quarter for 8192 causal tokens whose eight heads
share two key heads. Memory grows with length, not its square.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_kernels.plain_forms import fused_kernels_allowed

__all__ = ["attend"]

_CUDNN_DTYPES = (jnp.bfloat16, jnp.float16)
#: Of the newest devices; JAX asks the one at hand, and says no where it takes less.
_CUDNN_WIDEST_HEAD = 256
_CUDNN_WIDTH_MULTIPLE = 8
#: Added to the logits of keys that do not count: their weights are exactly zero, and a row without
#: any key stays finite.
_EXCLUDED = -1e30
_FEWEST_QUERIES = 16


class _Budget(NamedTuple):
    """Logits up to ``whole_bytes`` and ``whole_keys`` are made at once, others in blocks.

    A block is several heads, or a part of one head's queries where all of them are too many.
    """

    whole_bytes: int
    whole_keys: int
    block_bytes: int


#: From 257 keys on, XLA's batched products on CPU allocate scratch anew in every call, and the page
#: faults take two thirds of the time; blocks are small enough to be kept.
_CPU = _Budget(whole_bytes=1 << 26, whole_keys=256, block_bytes=1 << 22)
_ACCELERATOR = _Budget(whole_bytes=1 << 30, whole_keys=1 << 30, block_bytes=1 << 28)


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
        mask: Which keys are tokens; padding is on the right. A row without any gives zeros on CPU,
            and finite numbers elsewhere: no pooling counts them, and a pass over all results to
            erase them takes half as long as the attention itself.
        bias: Added to the logits (ALiBi, relative positions, arbitrary masks as large negatives).
        causal: Whether a token sees itself and earlier ones only.
        scale: Factor of the logits; the usual width^-0.5 when None.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if jax.default_backend() != "cpu":
        return _library(query, key, value, mask=mask, bias=bias, causal=causal, scale=scale)
    result = _in_blocks(
        query, key, value, mask=mask, bias=bias, causal=causal, scale=scale, budget=_CPU
    )
    if mask is None:
        return result
    has_keys = jnp.any(mask, axis=-1)[:, None, None, None]
    return jnp.where(has_keys, result, jnp.zeros((), result.dtype))


class _Units(NamedTuple):
    """Attention of one key head of one row is a unit; leaves have units as their leading axis."""

    query: Float[Array, "unit part shared query width"]  # scaled, cut into parts of equal length
    key: Float[Array, "unit width key"]
    value: Float[Array, "unit key width"]
    hidden: Float[Array, "unit key"]  # 0 or the exclusion
    bias_row: Int[Array, " unit"]  # which slice of the bias


def _in_blocks(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    scale: float,
    budget: _Budget,
) -> Array:
    """Logits, exponentials, products, in blocks; masks are added, as selecting doubles the time."""
    rows, tokens, heads, width = query.shape
    keys, groups = key.shape[1], key.shape[2]
    shared, count = heads // groups, rows * groups
    units_at_once, part = _block_shape(budget, count, shared=shared, tokens=tokens, keys=keys)
    parts = -(-tokens // part)
    padding = parts * part - tokens
    hidden = jnp.zeros((rows, keys)) if mask is None else jnp.where(mask, 0.0, _EXCLUDED)
    biases, bias_row = _bias_slices(bias, rows=rows, groups=groups, padding=padding)
    # The queries are scaled, not the logits: that would keep XLA from working in place, at four
    # times the time. In float32, so that no bit is lost to it; CPUs multiply nothing less anyway.
    dtype = query.dtype
    query, key, value = (x.astype(jnp.float32) for x in (query, key, value))
    query = query * scale
    units = _Units(
        query=jnp.pad(query, ((0, 0), (0, padding), (0, 0), (0, 0)))
        .reshape(rows, parts, part, groups, shared, width)
        .transpose(0, 3, 1, 4, 2, 5)
        .reshape(count, parts, shared, part, width),
        key=key.transpose(0, 2, 3, 1).reshape(count, width, keys),
        value=value.transpose(0, 2, 1, 3).reshape(count, keys, width),
        hidden=jnp.repeat(hidden, groups, axis=0),
        bias_row=bias_row,
    )

    def mix(block: _Units) -> Array:
        """Some units, each one's parts in turn: ``[unit, part, shared, query, width]``."""
        block_bias = None if biases is None else jnp.take(biases, block.bias_row, axis=0)

        def mix_part(at: tuple[Array, Array]) -> Array:
            index, query = at
            flat = query.reshape(query.shape[0], shared * part, width)
            logits = jnp.matmul(flat, block.key).reshape(*query.shape[:3], keys)
            added = block.hidden[:, None, None, :]
            if causal:
                places = index * part + jnp.arange(part) + (keys - tokens)
                later = jnp.arange(keys)[None, :] > places[:, None]
                added = added + jnp.where(later, _EXCLUDED, 0.0)[None, None]
            logits = logits + jnp.broadcast_to(added, logits.shape)
            if block_bias is not None:
                here = jax.lax.dynamic_slice_in_dim(block_bias, index * part, part, axis=2)
                logits = logits + jnp.broadcast_to(here, logits.shape)
            weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
            total = jnp.sum(weights, axis=-1, keepdims=True)
            mixed = jnp.matmul(weights.reshape(-1, shared * part, keys), block.value)
            return mixed.reshape(query.shape) / total

        at = (jnp.arange(parts), jnp.moveaxis(block.query, 1, 0))
        if parts == 1:
            return mix_part((at[0][0], at[1][0]))[:, None]
        return jnp.moveaxis(jax.lax.map(mix_part, at), 0, 1)

    if units_at_once == count:
        mixed = mix(units)
    else:
        blocks = jax.tree.map(lambda leaf: leaf.reshape(-1, units_at_once, *leaf.shape[1:]), units)
        mixed = jax.lax.map(mix, blocks)
    mixed = mixed.reshape(rows, groups, parts, shared, part, width).transpose(0, 2, 4, 1, 3, 5)
    return mixed.reshape(rows, parts * part, heads, width)[:, :tokens].astype(dtype)


def _block_shape(
    budget: _Budget, count: int, *, shared: int, tokens: int, keys: int
) -> tuple[int, int]:
    """Units and queries of each to work on at once: all of both, some units, or a part of one."""
    unit_bytes = 4 * shared * tokens * keys
    if keys <= budget.whole_keys and count * unit_bytes <= budget.whole_bytes:
        return count, tokens
    most = budget.block_bytes // unit_bytes
    if most:
        return max(size for size in range(1, most + 1) if count % size == 0), tokens
    longest = max(_FEWEST_QUERIES, budget.block_bytes // (4 * shared * keys))
    return 1, -(-tokens // -(-tokens // longest))


def _bias_slices(
    bias: Array | None, *, rows: int, groups: int, padding: int
) -> tuple[Array | None, Array]:
    """The bias as float32 ``[slice, shared, query, key]``, and each unit's slice."""
    every = jnp.arange(rows * groups)
    if bias is None:
        return None, every
    bias_groups = 1 if bias.shape[1] == 1 else groups
    padded = jnp.pad(bias.astype(jnp.float32), ((0, 0), (0, 0), (0, padding), (0, 0)))
    slices = padded.reshape(bias.shape[0] * bias_groups, -1, *padded.shape[2:])
    row = (every // groups) % bias.shape[0]
    return slices, row * bias_groups + (every % groups) % bias_groups


def _library(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    scale: float,
) -> Array:
    """``jax.nn.dot_product_attention``: cuDNN where it takes the case, XLA where memory does."""
    # JAX promotes low precision to float32 logits by implicit rules inside; ours stay strict.
    with jax.numpy_dtype_promotion("standard"):
        if _cudnn_may_help(query, bias):
            try:
                return _fused(query, key, value, mask=mask, bias=bias, causal=causal, scale=scale)
            except (ValueError, RuntimeError, NotImplementedError):
                pass  # a shape, device or version that cuDNN does not take
        rows, tokens, heads, _ = query.shape
        if 4 * rows * heads * tokens * key.shape[1] > _ACCELERATOR.whole_bytes:
            form = partial(_in_blocks, budget=_ACCELERATOR)
            return form(query, key, value, mask=mask, bias=bias, causal=causal, scale=scale)
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


def _fused(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    scale: float,
) -> Array:
    """Call cuDNN: heads padded with zeros to a width it takes, the bias in its dtype.

    A bias loses at most its 2^-9th to bfloat16: far keys, whose distance is inexact by then, have
    no weight. Logits are float32 inside.
    """
    width = query.shape[-1]
    padding = -width % _CUDNN_WIDTH_MULTIPLE
    if padding:
        wider = ((0, 0), (0, 0), (0, 0), (0, padding))
        query, key, value = (jnp.pad(part, wider) for part in (query, key, value))
    if bias is not None:
        # Half of the least number, so that the sum with a logit is still one.
        bias = jnp.maximum(bias, jnp.finfo(query.dtype).min / 2).astype(query.dtype)
    lengths = None
    if mask is not None:
        lengths = jnp.maximum(jnp.sum(mask, axis=-1, dtype=jnp.int32), 1)
    mixed = jax.nn.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        key_value_seq_lengths=lengths,
        is_causal=causal,
        scale=scale,
        implementation="cudnn",
    )
    return mixed[..., :width]


def _cudnn_may_help(query: Array, bias: Array | None) -> bool:
    """Whether the default device may have cuDNN's fused attention for this case."""
    return (
        jax.default_backend() == "gpu"
        and fused_kernels_allowed()
        and query.dtype in _CUDNN_DTYPES
        and query.shape[-1] <= _CUDNN_WIDEST_HEAD
        # A bias is in memory whole, where blocks would not have it so.
        and (bias is None or 2 * bias.size <= _ACCELERATOR.whole_bytes)
    )
