"""Attention with logits by distance as one kernel, through Pallas and Triton, for NVIDIA GPUs.

A program takes 128 queries of one head of one row and meets the keys 64 at a time: logits, their
running maximum and sum, and the weighted values stay in registers. Only the logits by distance go
through memory, once out and once in: they come from one product of all rows, and what a query needs
of them lies one place further with every query. A reshape would have to copy them for that; an
address costs nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

from geneb_jax_kernels.staged_reads import read

__all__ = ["fused_relative_attention"]

_QUERIES, _KEYS = 128, 64
#: Columns of a product are whole vectors of this many numbers.
_ALIGNED = 8
#: The narrowest product of a tensor core.
_NARROWEST = 16
_PARAMETERS = triton.CompilerParams(num_warps=8, num_stages=2)


def takes(width: int, value_width: int, dtype: jnp.dtype) -> bool:
    """Whether there is a kernel for heads of these widths and this dtype.

    Products of float32 proper have no tensor core; XLA's are better there.
    """
    return (
        dtype in (jnp.bfloat16, jnp.float16)
        and width >= _NARROWEST
        and width == pl.next_power_of_2(width)
        and value_width % _NARROWEST == 0
    )


def fused_relative_attention(
    query: Float[Array, "row token head width"],
    key: Float[Array, "row token head width"],
    value: Float[Array, "row token head value"],
    distance_key: Float[Array, "distance head width"],
    content_bias: Float[Array, "head width"],
    position_bias: Float[Array, "head width"],
    *,
    interpret: bool = False,
) -> Float[Array, "row token head value"]:
    """Attend within each row; logits and softmax in float32.

    Args:
        query: Scaled queries.
        key: Keys.
        value: Values, a multiple of 16 wide.
        distance_key: Keys of the distances ``1 - token`` to ``token - 1``.
        content_bias: Added to the query before it meets the keys.
        position_bias: Added to the query before it meets the distances.
        interpret: Whether to run the kernel's operations one by one on any device: for tests.
    """
    rows, length, heads, width = query.shape
    blocks = -(-length // _QUERIES)
    extra = blocks * _QUERIES - length
    padded = jnp.pad(query, ((0, 0), (0, extra), (0, 0), (0, 0)))
    columns = -(-(length + _QUERIES) // _ALIGNED) * _ALIGNED
    # Of a block of queries: its distances, the last query's first key first.
    ends = ((extra, columns - length - extra), (0, 0), (0, 0))
    distances = jnp.pad(distance_key, ends)
    starts = [(blocks - 1 - block) * _QUERIES for block in range(blocks)]
    near = jnp.stack([distances[start : start + columns] for start in starts])
    cut = (padded + position_bias[None, None]).reshape(rows, blocks, _QUERIES, heads, width)
    by_distance = jnp.einsum(
        "rbqhw,bdhw->bhrqd", cut, near, preferred_element_type=jnp.float32
    ).reshape(blocks, heads, rows, _QUERIES * columns)
    of_row = partial(pl.BlockSpec, index_map=lambda block, head, row: (row, 0, head, 0))
    of_block = partial(pl.BlockSpec, index_map=lambda block, head, row: (row, block, head, 0))
    result: Array = pl.pallas_call(
        partial(_kernel, length=length, stride=columns - 1, parts=_powers(value.shape[3])),
        grid=(blocks, heads, rows),
        in_specs=[
            of_block((None, _QUERIES, None, width)),
            of_row((None, length, None, width)),
            of_row((None, length, None, value.shape[3])),
            pl.BlockSpec(
                (None, None, None, _QUERIES * columns),
                lambda block, head, row: (block, head, row, 0),
            ),
        ],
        out_specs=of_block((None, _QUERIES, None, value.shape[3])),
        out_shape=jax.ShapeDtypeStruct((*padded.shape[:3], value.shape[3]), value.dtype),
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="relative_attention",
    )(padded + content_bias[None, None], key, value, by_distance)
    return result[:, :length]


def _powers(width: int) -> tuple[tuple[int, int], ...]:
    """First column and width of the parts of a value: Triton's arrays have powers of two."""
    parts, first = [], 0
    while width:
        power = 1 << (width.bit_length() - 1)
        parts.append((first, power))
        first, width = first + power, width - power
    return tuple(parts)


def _kernel(
    query_ref: Any,
    key_ref: Any,
    value_ref: Any,
    distance_ref: Any,
    result_ref: Any,
    *,
    length: int,
    stride: int,
    parts: tuple[tuple[int, int], ...],
) -> None:
    query = query_ref[:, :]
    rows, columns = jnp.arange(_QUERIES)[:, None], jnp.arange(_KEYS)[None, :]

    def block(number: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        most, total, sums = carry
        first = number * _KEYS
        there = None if length % _KEYS == 0 else jnp.arange(_KEYS) + first < length
        keys = read(key_ref.at[pl.ds(first, _KEYS), :], _tall(there, query.shape[1]))
        logits = _product(query, keys, 1)
        places = rows * stride + (columns + first + _QUERIES - 1)
        wide = None if there is None else jnp.broadcast_to(there[None, :], places.shape)
        logits = logits + read(distance_ref.at[places], wide)
        if wide is not None:
            logits = jnp.where(wide, logits, -jnp.inf)
        largest = jnp.maximum(most, jnp.max(logits, axis=1))
        weights = jnp.exp(logits - largest[:, None])
        shrunk = jnp.exp(most - largest)
        total = total * shrunk + jnp.sum(weights, axis=1)
        added = []
        for (start, width), before in zip(parts, sums, strict=True):
            at = value_ref.at[pl.ds(first, _KEYS), pl.ds(start, width)]
            values = read(at, _tall(there, width))
            added.append(
                before * shrunk[:, None] + _product(weights.astype(values.dtype), values, 0)
            )
        return largest, total, tuple(added)

    most = jnp.full((_QUERIES,), -jnp.inf, jnp.float32)
    sums = tuple(jnp.zeros((_QUERIES, width), jnp.float32) for _, width in parts)
    carry = (most, jnp.zeros_like(most), sums)
    steps = np.int32(-(-length // _KEYS))
    _, total, sums = jax.lax.fori_loop(np.int32(0), steps, block, carry)
    for (start, width), part in zip(parts, sums, strict=True):
        result = (part / total[:, None]).astype(result_ref.dtype)
        triton.store(result_ref.at[:, pl.ds(start, width)], result)


def _tall(there: Array | None, width: int) -> Array | None:
    return None if there is None else jnp.broadcast_to(there[:, None], (_KEYS, width))


def _product(left: Array, right: Array, axis: int) -> Array:
    """Over the last axis of the one and this axis of the other, summed in float32."""
    return jax.lax.dot_general(
        left, right, (((1,), (axis,)), ((), ())), preferred_element_type=jnp.float32
    )
