"""Inverses of many matrices times a vector each, by the factors that are kept of them.

Every column of a table names one factor ``L^-1`` of ``A = L L^T`` and wants ``A^-1`` times its own
vector: two products with a triangular matrix. Factors are large and vectors are not, so the time is
that of reading half of each factor twice. On NVIDIA GPUs the products are kernels of their own, in
which a column that is not wanted reads nothing; elsewhere columns take turns.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_kernels.plain_forms import fused_kernels_allowed

__all__ = ["FACTOR_TILE", "factor_products", "fused_factor_products"]

#: Rows and columns of a tile of a factor: 32 sums a thread. Sizes of factors are multiples.
FACTOR_TILE = 64
_PARAMETERS = triton.CompilerParams(num_warps=4, num_stages=2)


def factor_products(
    factors: Float[Array, "place q q"],
    place: Int[Array, " column"],
    vectors: Float[Array, "column q"],
    live: Bool[Array, " column"],
) -> Float[Array, "column q"]:
    """``F^T F v`` of every column, in the dtype of the factors.

    Args:
        factors: Lower triangular F; what stands above their diagonals is zero.
        place: Which of them is a column's.
        vectors: v.
        live: Which columns are wanted; what the others hold is undefined.
    """
    vectors = vectors.astype(factors.dtype)
    if not fused_kernels_allowed():
        return _plain(factors, place, vectors, live)
    return jax.lax.platform_dependent(
        factors, place, vectors, live, cuda=fused_factor_products, default=_plain
    )


def _plain(factors: Array, place: Array, vectors: Array, live: Array) -> Array:
    def one(given: tuple[Array, Array, Array]) -> Array:
        at, vector, wanted = given

        def product() -> Array:
            factor = factors[at]
            return (factor @ vector) @ factor

        return jax.lax.cond(wanted, product, lambda: jnp.zeros_like(vector))

    return jax.lax.map(one, (place, vectors, live))


def fused_factor_products(
    factors: Float[Array, "place q q"],
    place: Int[Array, " column"],
    vectors: Float[Array, "column q"],
    live: Bool[Array, " column"],
    *,
    interpret: bool = False,
) -> Float[Array, "column q"]:
    """The same as two kernels; the size of a factor is a multiple of :data:`FACTOR_TILE`."""
    tiles = factors.shape[1] // FACTOR_TILE

    def product(vectors: Array, *, turned: bool) -> Array:
        made: Array = pl.pallas_call(
            partial(_kernel, tiles=tiles, turned=turned),
            grid=(len(place), tiles),
            out_shape=jax.ShapeDtypeStruct(vectors.shape, factors.dtype),
            compiler_params=_PARAMETERS,
            interpret=interpret,
            name="factor_columns" if turned else "factor_rows",
        )(live.astype(jnp.int32), place, factors, vectors)
        return made

    return product(product(vectors, turned=False), turned=True)


def _kernel(
    live_ref: Any,
    place_ref: Any,
    factor_ref: Any,
    vector_ref: Any,
    out_ref: Any,
    *,
    tiles: int,
    turned: bool,
) -> None:
    """Some numbers of F v or, turned, of F^T v, from the tiles on and below the diagonal."""
    column, tile = pl.program_id(0), pl.program_id(1)

    @pl.when(live_ref[column] > 0)
    def _() -> None:
        place = place_ref[column]
        own = tile * FACTOR_TILE + jnp.arange(FACTOR_TILE, dtype=jnp.int32)

        def some(at: Array, sums: Array) -> Array:
            others = at * FACTOR_TILE + jnp.arange(FACTOR_TILE, dtype=jnp.int32)
            rows, across = (others, own) if turned else (own, others)
            part = triton.load(factor_ref.at[place, rows[:, None], across[None, :]])
            v = triton.load(vector_ref.at[column, others])
            return sums + part * (v[:, None] if turned else v[None, :])

        zero = jnp.zeros((FACTOR_TILE, FACTOR_TILE), out_ref.dtype)
        first, last = (tile, jnp.int32(tiles)) if turned else (jnp.int32(0), tile + 1)
        sums = jax.lax.fori_loop(first, last, some, zero)
        triton.store(out_ref.at[column, own], jnp.sum(sums, axis=0 if turned else 1))
