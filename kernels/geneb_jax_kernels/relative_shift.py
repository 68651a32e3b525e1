"""Attention with logits that depend on the distance, as Enformer has it (Avsec et al. 2021).

The logit of a pair is ``(q_i + content_bias) k_j + (q_i + position_bias) r_(j - i)``. The plain
form makes the products with all distances, twice as many as there are keys, for every query, and
shifts row i by i. Here queries go in blocks: a block meets only the distances it can have, and no
array of all pairs is alive.

On CPU a row alone fills the cores and its blocks stay in cache: rows go one at a time. Accelerators
take all rows together; NVIDIA GPUs have a kernel (:mod:`.fused_relative_attention`).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from geneb_jax_kernels.plain_forms import fused_kernels_allowed

__all__ = [
    "relative_attention",
    "relative_attention_of_rows",
    "relative_attention_reference",
    "relative_shift",
]

_QUERY_BLOCK = 128


def relative_shift(
    logits: Float[Array, "head query distance"], key_count: int
) -> Float[Array, "head query key"]:
    """From logits by distance to logits by key.

    Args:
        logits: Of every query against ``query + key - 1`` distances, the last query's first key
            first.
        key_count: Number of keys.

    Returns:
        ``result[q, k] = logits[q, k - q + query - 1]``, without a gather: dropping the head of the
        flattened rows and cutting it into rows shorter by one shifts each by one more.
    """
    heads, queries, distances = logits.shape
    if distances != queries + key_count - 1:
        raise ValueError(f"{queries} queries and {key_count} keys are not {distances} apart")
    if queries == 1:
        return logits
    flat = logits.reshape(heads, -1)[:, queries - 1 :]
    rows = flat[:, : queries * (distances - 1)].reshape(heads, queries, distances - 1)
    return rows[:, :, :key_count]


@partial(jax.jit, static_argnames="query_block")
def relative_attention(
    query: Float[Array, "token head width"],
    key: Float[Array, "token head width"],
    value: Float[Array, "token head value"],
    distance_key: Float[Array, "distance head width"],
    content_bias: Float[Array, "head width"],
    position_bias: Float[Array, "head width"],
    *,
    query_block: int = _QUERY_BLOCK,
) -> Float[Array, "token head value"]:
    """Attend within one sequence; logits and softmax in float32.

    Args:
        query: Scaled queries.
        key: Keys.
        value: Values.
        distance_key: Keys of the distances ``1 - token`` to ``token - 1``.
        content_bias: Added to the query before it meets the keys.
        position_bias: Added to the query before it meets the distances.
        query_block: Queries at a time.
    """
    length = query.shape[0]
    size = min(query_block, length)
    count = -(-length // size)
    extra = count * size - length
    padded = jnp.pad(query, ((0, extra), (0, 0), (0, 0)))
    # Queries that are not there, behind the end, are farther from the first key than any token.
    distances = jnp.pad(distance_key, ((extra, 0), (0, 0), (0, 0)))

    def block(index: Array) -> Array:
        start = index * size
        part = jax.lax.dynamic_slice_in_dim(padded, start, size, 0)
        near = jax.lax.dynamic_slice_in_dim(
            distances, (count - 1 - index) * size, length + size - 1, 0
        )
        content = _logits(part + content_bias[None], key)
        by_distance = _logits(part + position_bias[None], near)
        weights = jax.nn.softmax(content + relative_shift(by_distance, length), axis=-1)
        return jnp.einsum("hqk,khv->qhv", weights.astype(value.dtype), value)

    result = jax.lax.map(block, jnp.arange(count))
    return result.reshape(count * size, *value.shape[1:])[:length]


def relative_attention_of_rows(
    query: Float[Array, "row token head width"],
    key: Float[Array, "row token head width"],
    value: Float[Array, "row token head value"],
    distance_key: Float[Array, "distance head width"],
    content_bias: Float[Array, "head width"],
    position_bias: Float[Array, "head width"],
) -> Float[Array, "row token head value"]:
    """:func:`relative_attention` within each row; by platform."""
    return jax.lax.platform_dependent(
        query,
        key,
        value,
        distance_key,
        content_bias,
        position_bias,
        cpu=_row_by_row,
        cuda=_fused if fused_kernels_allowed() else _together,
        default=_together,
    )


def _row_by_row(query: Array, key: Array, value: Array, *shared: Array) -> Array:
    return jax.lax.map(lambda row: relative_attention(*row, *shared), (query, key, value))


def _fused(query: Array, key: Array, value: Array, *shared: Array) -> Array:
    # Here, so that Pallas is loaded by the first use and not by naming this module.
    from geneb_jax_kernels.fused_relative_attention import fused_relative_attention, takes

    taken = takes(query.shape[-1], value.shape[-1], query.dtype)
    form = fused_relative_attention if taken else _together
    return form(query, key, value, *shared)


def _together(query: Array, key: Array, value: Array, *shared: Array) -> Array:
    return jax.vmap(lambda *row: relative_attention(*row, *shared))(query, key, value)


def relative_attention_reference(
    query: Float[Array, "token head width"],
    key: Float[Array, "token head width"],
    value: Float[Array, "token head value"],
    distance_key: Float[Array, "distance head width"],
    content_bias: Float[Array, "head width"],
    position_bias: Float[Array, "head width"],
) -> Float[Array, "token head value"]:
    """The same with all pairs at once and a gather by distance: the plain form."""
    order = jnp.arange(query.shape[0])
    distance = order[None, :] - order[:, None] + query.shape[0] - 1
    content = jnp.einsum("qhw,khw->hqk", query + content_bias[None], key, precision="highest")
    by_distance = jnp.einsum(
        "qhw,qkhw->hqk", query + position_bias[None], distance_key[distance], precision="highest"
    )
    weights = jax.nn.softmax(content + by_distance, axis=-1)
    return jnp.einsum("hqk,khv->qhv", weights, value, precision="highest")


def _logits(query: Array, key: Array) -> Array:
    return jnp.einsum("qhw,khw->hqk", query, key, preferred_element_type=jnp.float32)
