"""The passes of :mod:`~geneb_jax_kernels.ragged_loss` as kernels, through Pallas and Triton.

Four of them: logits of every piece; losses and residuals; each piece's part of the gradient; and
the sum of a column's parts, in their order. A program takes one piece (or, of the sums, some
features of one column) and leaves at once where its fit has ended. Features are read in tiles of a
few rows and many columns, whose products are kept apart until the end: no exchange between threads
in a loop. They come in float32 and are widened in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_kernels.logistic_loss import binary_terms

if TYPE_CHECKING:
    from geneb_jax_kernels.ragged_loss import ColumnPieces, Pieces

__all__ = ["PIECE_ROWS", "fused_gradient", "fused_products", "fused_residuals"]

#: Rows of a piece. A piece's part of the gradient is written and read once, in float64, which is
#: four reads of one row of features in float32: 3 % of the two reads of all its rows.
PIECE_ROWS = 128
#: Rows and, at most, features of a tile: 32 sums a thread.
_TILE_ROWS, _TILE_WIDTH = 16, 256
#: Parts of a gradient that are on their way at a time, and features of them.
_PARTS, _PART_WIDTH = 16, 128
_PARAMETERS = triton.CompilerParams(num_warps=4, num_stages=2)


def fused_products(
    X: Float[Array, "row dim"],
    rows: Int[Array, " place"],
    theta: Float[Array, "column dim_and_one"],
    pieces: Pieces,
    live: Bool[Array, " piece"],
    *,
    interpret: bool = False,
) -> Float[Array, "piece piece_row"]:
    """As :func:`~geneb_jax_kernels.ragged_loss.ragged_products`."""
    return pl.pallas_call(
        partial(_products_kernel, width=X.shape[1]),
        grid=(len(live),),
        out_shape=jax.ShapeDtypeStruct((len(live), PIECE_ROWS), theta.dtype),
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="ragged_products",
    )(live.astype(jnp.int32), pieces.start, pieces.rows, pieces.column, rows, X, theta)


def fused_residuals(
    codes: Int[Array, " place"],
    shares: Float[Array, " place"],
    z: Float[Array, "piece piece_row"],
    pieces: Pieces,
    live: Bool[Array, " piece"],
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "piece piece_row"], Float[Array, "piece PIECE_ROWS"]]:
    """Weighted losses (0 but in pieces of first logits) and residuals of every row."""
    shape = jax.ShapeDtypeStruct(z.shape, z.dtype)
    of_pieces = (pieces.start, pieces.rows, pieces.first, pieces.logits)
    losses, residuals = pl.pallas_call(
        _residuals_kernel,
        grid=(len(live),),
        out_shape=[shape, shape],
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="ragged_residuals",
    )(live.astype(jnp.int32), *of_pieces, codes, shares, z)
    return losses, residuals


def fused_gradient(
    X: Float[Array, "row dim"],
    rows: Int[Array, " place"],
    residuals: Float[Array, "piece piece_row"],
    losses: Float[Array, "piece piece_row"],
    pieces: Pieces,
    columns: ColumnPieces,
    live: Bool[Array, " piece"],
    *,
    interpret: bool = False,
) -> Float[Array, "column dim_and_two"]:
    """By column the sums of features times residuals, of residuals, and of losses."""
    wanted, dtype, width = live.astype(jnp.int32), residuals.dtype, X.shape[1]
    parts = pl.pallas_call(
        partial(_parts_kernel, width=width),
        grid=(len(live),),
        out_shape=jax.ShapeDtypeStruct((len(live), width + 2), dtype),
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="ragged_parts",
    )(wanted, pieces.start, pieces.rows, rows, X, residuals, losses)
    return pl.pallas_call(
        partial(_sums_kernel, width=width + 2),
        grid=(len(columns.first), pl.cdiv(width + 2, _PART_WIDTH)),
        out_shape=jax.ShapeDtypeStruct((len(columns.first), width + 2), dtype),
        compiler_params=_PARAMETERS,
        interpret=interpret,
        name="ragged_sums",
    )(wanted, *columns, parts)


def _in_turn(count: int | Array, step: Callable[[Array, Any], Any], carry: Any) -> Any:
    """A loop whose counter is 32 bits wide, whatever the types of the caller."""
    return jax.lax.fori_loop(jnp.int32(0), jnp.asarray(count, jnp.int32), step, carry)


def _groups(count: Array, size: int) -> Array:
    return jax.lax.div(count + jnp.int32(size - 1), jnp.int32(size))


def _tile_width(width: int) -> int:
    return min(_TILE_WIDTH, pl.next_power_of_2(width))


def _tile(
    rows_ref: Any, X_ref: Any, place: Array, there: Array, features: Array, width: int, dtype: Any
) -> Array:
    """Features of some rows, widened; zero where there is none."""
    rows = triton.load(rows_ref.at[place], mask=there, other=0)
    mask = there[:, None] & (features < width)[None, :]
    found = triton.load(X_ref.at[rows[:, None], features[None, :]], mask=mask, other=0)
    return found.astype(dtype)


def _products_kernel(
    live_ref: Any,
    start_ref: Any,
    count_ref: Any,
    column_ref: Any,
    rows_ref: Any,
    X_ref: Any,
    theta_ref: Any,
    z_ref: Any,
    *,
    width: int,
) -> None:
    piece = pl.program_id(0)
    across = _tile_width(width)

    @pl.when(live_ref[piece] > 0)
    def _() -> None:
        start, count, column = start_ref[piece], count_ref[piece], column_ref[piece]
        offset = theta_ref[column, width]

        def some_rows(tile: Array, nothing: None) -> None:
            row = tile * _TILE_ROWS + jnp.arange(_TILE_ROWS, dtype=jnp.int32)

            def some_features(at: Array, sums: Array) -> Array:
                features = at * across + jnp.arange(across, dtype=jnp.int32)
                x = _tile(rows_ref, X_ref, start + row, row < count, features, width, sums.dtype)
                mask = features < width
                coef = triton.load(theta_ref.at[column, features], mask=mask, other=0)
                return sums + x * coef[None, :]

            zero = jnp.zeros((_TILE_ROWS, across), z_ref.dtype)
            sums = _in_turn(pl.cdiv(width, across), some_features, zero)
            triton.store(z_ref.at[piece, row], jnp.sum(sums, axis=1) + offset, mask=row < count)

        _in_turn(_groups(count, _TILE_ROWS), some_rows, None)


def _residuals_kernel(
    live_ref: Any,
    start_ref: Any,
    count_ref: Any,
    first_ref: Any,
    logits_ref: Any,
    codes_ref: Any,
    shares_ref: Any,
    z_ref: Any,
    loss_ref: Any,
    residual_ref: Any,
) -> None:
    """The terms of :mod:`~geneb_jax_kernels.logistic_loss`, for one logit of any number."""
    piece = pl.program_id(0)

    @pl.when(live_ref[piece] > 0)
    def _() -> None:
        start, first, logits = start_ref[piece], first_ref[piece], logits_ref[piece]
        row = jnp.arange(PIECE_ROWS, dtype=jnp.int32)
        there = row < count_ref[piece]
        codes = triton.load(codes_ref.at[start + row], mask=there, other=0)
        shares = triton.load(shares_ref.at[start + row], mask=there, other=0)

        def of(logit: Array) -> Array:
            return triton.load(z_ref.at[first + logit, row], mask=there, other=0)

        own = of(piece - first)
        loss, residual = binary_terms(own, codes > 0)
        top = _in_turn(logits, lambda k, top: jnp.maximum(top, of(k)), of(jnp.int32(0)))
        zero = jnp.zeros_like(own)

        def add(k: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
            rest, highest, others, chosen = sums
            z = of(k)
            power = jnp.exp(z - top)
            return (
                rest + jnp.where(z == top, zero, power),
                highest + (z == top).astype(z.dtype),
                others + jnp.where(codes == k, zero, power),
                jnp.where(codes == k, z, chosen),
            )

        rest, highest, others, chosen = _in_turn(logits, add, (zero,) * 4)
        rest = rest + (highest - 1)
        hit = codes == piece - first
        several = jnp.where(hit, -others, jnp.exp(own - top)) / (1 + rest)
        residual = jnp.where(logits == 1, residual, several)
        loss = jnp.where(logits == 1, loss, jnp.log1p(rest) + (top - chosen))
        loss = jnp.where(piece == first, loss * shares, zero)
        triton.store(residual_ref.at[piece, row], jnp.where(there, residual * shares, zero))
        triton.store(loss_ref.at[piece, row], jnp.where(there, loss, zero))


def _parts_kernel(
    live_ref: Any,
    start_ref: Any,
    count_ref: Any,
    rows_ref: Any,
    X_ref: Any,
    residual_ref: Any,
    loss_ref: Any,
    part_ref: Any,
    *,
    width: int,
) -> None:
    piece = pl.program_id(0)
    across = _tile_width(width)

    @pl.when(live_ref[piece] > 0)
    def _() -> None:
        start, count = start_ref[piece], count_ref[piece]
        every = jnp.arange(PIECE_ROWS, dtype=jnp.int32)
        part_ref[piece, width] = jnp.sum(triton.load(residual_ref.at[piece, every]))
        part_ref[piece, width + 1] = jnp.sum(triton.load(loss_ref.at[piece, every]))

        def some_features(at: Array, nothing: None) -> None:
            features = at * across + jnp.arange(across, dtype=jnp.int32)

            def some_rows(tile: Array, sums: Array) -> Array:
                row = tile * _TILE_ROWS + jnp.arange(_TILE_ROWS, dtype=jnp.int32)
                x = _tile(rows_ref, X_ref, start + row, row < count, features, width, sums.dtype)
                return sums + x * triton.load(residual_ref.at[piece, row])[:, None]

            zero = jnp.zeros((_TILE_ROWS, across), part_ref.dtype)
            sums = _in_turn(_groups(count, _TILE_ROWS), some_rows, zero)
            total = jnp.sum(sums, axis=0)
            triton.store(part_ref.at[piece, features], total, mask=features < width)

        _in_turn(pl.cdiv(width, across), some_features, None)


def _sums_kernel(
    live_ref: Any,
    first_ref: Any,
    step_ref: Any,
    count_ref: Any,
    part_ref: Any,
    sum_ref: Any,
    *,
    width: int,
) -> None:
    column = pl.program_id(0)
    features = pl.program_id(1) * _PART_WIDTH + jnp.arange(_PART_WIDTH, dtype=jnp.int32)
    first, count = first_ref[column], count_ref[column]

    @pl.when((count > 0) & (live_ref[first] > 0))
    def _() -> None:
        step = step_ref[column]

        def some(at: Array, sums: Array) -> Array:
            number = at * _PARTS + jnp.arange(_PARTS, dtype=jnp.int32)
            mask = (number < count)[:, None] & (features < width)[None, :]
            pieces = first + number * step
            return sums + triton.load(
                part_ref.at[pieces[:, None], features[None, :]], mask=mask, other=0
            )

        zero = jnp.zeros((_PARTS, _PART_WIDTH), sum_ref.dtype)
        sums = _in_turn(_groups(count, _PARTS), some, zero)
        triton.store(sum_ref.at[column, features], jnp.sum(sums, axis=0), mask=features < width)
