"""Logistic losses of many fits at once, whose rows lie anywhere in one feature matrix.

A fit is a run of places in a list of rows, and one column of weights a logit. Its rows are cut into
*pieces* of at most :data:`PIECE_ROWS`, one for each of its logits, and pieces of all fits lie in
one table: whatever sizes and numbers of classes there are, the shapes are the same, and so is the
program. Nothing of X is copied: rows are read where they are, in float32, and widened between the
read and the product. On NVIDIA GPUs the passes are kernels of their own
(:mod:`~geneb_jax_kernels.fused_ragged_loss`); pieces of fits that have ended are not read there.
A piece has the rows of one fit alone, and pieces are summed in their order: what a fit gets does
not depend on its company.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_kernels.fused_ragged_loss import (
    PIECE_ROWS,
    fused_gradient,
    fused_products,
    fused_residuals,
)
from geneb_jax_kernels.logistic_loss import binary_terms, multinomial_terms
from geneb_jax_kernels.plain_forms import fused_kernels_allowed

__all__ = ["PIECE_ROWS", "ColumnPieces", "ListedRows", "Pieces", "ragged_loss", "ragged_products"]

#: Pieces whose rows are gathered at a time where XLA compiles the passes.
_GATHERED = 32


class Pieces(NamedTuple):
    """Some rows of a fit with one of its logits; those of a fit's logits follow one another."""

    start: Int[Array, " piece"]  # first place in the list of rows
    rows: Int[Array, " piece"]
    column: Int[Array, " piece"]  # of the weights
    first: Int[Array, " piece"]  # the piece of the same rows for the first logit
    logits: Int[Array, " piece"]


class ColumnPieces(NamedTuple):
    """Where the pieces of a column are: ``first``, and every ``step`` from there."""

    first: Int[Array, " column"]
    step: Int[Array, " column"]
    pieces: Int[Array, " column"]


class ListedRows(NamedTuple):
    """The rows of all fits, one fit after the other."""

    rows: Int[Array, " place"]  # of the feature matrix
    codes: Int[Array, " place"]  # class in the fit
    shares: Float[Array, " place"]  # weight in the fit


def ragged_products(
    X: Float[Array, "row dim"],
    rows: Int[Array, " place"],
    theta: Float[Array, "column dim_and_one"],
    pieces: Pieces,
    live: Bool[Array, " piece"],
) -> Float[Array, "piece piece_row"]:
    """Logits of the rows of every piece, in the dtype of ``theta``.

    Args:
        X: Features.
        rows: Row of X at each place.
        theta: Weights and, last, the intercept.
        pieces: The pieces.
        live: Which are wanted; what the others and places beyond ``rows`` hold is undefined.
    """

    def plain(
        X: Array, rows: Array, theta: Array, pieces: Pieces, live: Array
    ) -> Float[Array, "piece piece_row"]:
        del live

        def one(piece: Pieces) -> Array:
            coef = theta[piece.column]
            x = X[rows[_places(piece, len(rows))]].astype(theta.dtype)
            return x @ coef[:-1] + coef[-1]

        return jax.lax.map(one, pieces, batch_size=_GATHERED)

    if not fused_kernels_allowed():
        return plain(X, rows, theta, pieces, live)
    return jax.lax.platform_dependent(
        X, rows, theta, pieces, live, cuda=fused_products, default=plain
    )


def ragged_loss(
    X: Float[Array, "row dim"],
    listed: ListedRows,
    theta: Float[Array, "column dim_and_one"],
    pieces: Pieces,
    columns: ColumnPieces,
    live: Bool[Array, " piece"],
    *,
    most_logits: int,
) -> tuple[Float[Array, " column"], Float[Array, "column dim_and_one"]]:
    """Weighted loss of every fit and its gradient, in the dtype of ``theta``, without penalty.

    Args:
        X: Features.
        listed: The rows of the fits.
        theta: Weights and, last, the intercept; a column a logit.
        pieces: The pieces.
        columns: Which of them are a column's.
        live: Which pieces are wanted; columns of others hold nothing of use.
        most_logits: At least the logits of any fit.

    Returns:
        Loss by column, that of a fit in the column of its first logit, 0 in the others; gradient.
    """
    z = ragged_products(X, listed.rows, theta, pieces, live)
    plain = partial(_plain_rest, most_logits=most_logits)
    arguments = (X, listed, z, pieces, columns, live)
    if not fused_kernels_allowed():
        return plain(*arguments)
    return jax.lax.platform_dependent(*arguments, cuda=_fused_rest, default=plain)


def _fused_rest(
    X: Array, listed: ListedRows, z: Array, pieces: Pieces, columns: ColumnPieces, live: Array
) -> tuple[Array, Array]:
    losses, residuals = fused_residuals(*listed[1:], z, pieces, live)
    sums = fused_gradient(X, listed.rows, residuals, losses, pieces, columns, live)
    return sums[:, -1], sums[:, :-1]


def _places(piece: Pieces, count: int) -> Int[Array, " piece_row"]:
    """Places of a piece's rows; those beyond its rows are some place of the list."""
    numbers = jnp.arange(PIECE_ROWS, dtype=piece.start.dtype)
    return jnp.minimum(piece.start + numbers, count - 1)


def _plain_rest(
    X: Array,
    listed: ListedRows,
    z: Array,
    pieces: Pieces,
    columns: ColumnPieces,
    live: Array,
    *,
    most_logits: int,
) -> tuple[Array, Array]:
    """Losses and gradient from logits, as XLA compiles them."""
    numbers = jnp.arange(len(pieces.start), dtype=pieces.first.dtype)

    def one(given: tuple[Pieces, Array, Array]) -> tuple[Array, Array]:
        piece, number, wanted = given
        places = _places(piece, len(listed.rows))
        inside = (jnp.arange(PIECE_ROWS, dtype=piece.rows.dtype) < piece.rows) & wanted
        logit = jnp.arange(most_logits, dtype=piece.first.dtype)
        at = jnp.minimum(piece.first + logit, len(z) - 1)
        codes = listed.codes[places]
        loss, residual = binary_terms(z[piece.first], codes > 0)
        if most_logits > 1:
            there = (logit < piece.logits)[None, :]
            several, of_each = multinomial_terms(jnp.where(there, z[at].T, -jnp.inf), codes)
            own = jnp.sum(jnp.where(logit[None, :] == number - piece.first, of_each, 0), axis=1)
            loss = jnp.where(piece.logits == 1, loss, several)
            residual = jnp.where(piece.logits == 1, residual, own)
        share = listed.shares[places]
        residual = jnp.where(inside, residual * share, 0)
        loss = jnp.where(inside & (number == piece.first), loss * share, 0)
        x = jnp.where(inside[:, None], X[listed.rows[places]].astype(z.dtype), 0)
        return jnp.sum(loss), jnp.append(residual @ x, jnp.sum(residual))

    losses, slopes = jax.lax.map(one, (pieces, numbers, live), batch_size=_GATHERED)
    columns_there = len(columns.first)
    wanted = jnp.where(live, pieces.column, columns_there)
    sums = partial(jax.ops.segment_sum, segment_ids=wanted, num_segments=columns_there + 1)
    return sums(losses)[:-1], sums(slopes)[:-1]
