"""The inverse Hessian of L-BFGS in compact form, kept by rank-one updates of small matrices.

With the pairs s_i, y_i as rows of S and Y, R the upper triangle of S Y^T by age and D its diagonal
(R. H. Byrd, J. Nocedal, R. B. Schnabel, Mathematical Programming 63 (1994), theorem 2.2)::

    H g = gamma g + S^T a + Y^T b,    p = R^-1 (S g),    b = -gamma p,
    a = R^-T ((D + gamma Y Y^T) p - gamma Y g)

Dropping the oldest pair deletes the first row and column of R, and so of R^-1; adding a pair
appends a column to both. Indexed by slot instead of by age, dropping is writing zeros and adding is
one small product: no pair ever moves, no triangular system is solved, and an empty slot has zeros
in D and needs no other mark. A direction costs the 2m inner products that any form needs.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy import dtype as Dtype

__all__ = ["PAIRS", "PairMatrices", "empty_matrices", "renew", "write_pair"]

#: Pairs kept: scipy's ``maxcor``, which scikit-learn leaves at its default.
PAIRS = 10


class PairMatrices(NamedTuple):
    """The small matrices of one problem's ``m`` slots; the pairs themselves are kept apart."""

    inverse_R: Float[Array, "*problem m m"]
    YY: Float[Array, "*problem m m"]
    D: Float[Array, "*problem m"]


def empty_matrices(dtype: Dtype) -> PairMatrices:
    """No pairs: the direction is steepest descent."""
    square = jnp.zeros((PAIRS, PAIRS), dtype)
    return PairMatrices(square, square, jnp.zeros(PAIRS, dtype))


def write_pair(
    pairs: Float[Array, "row p"],
    slot: Float[Array, ""],
    s: Float[Array, " p"],
    y: Float[Array, " p"],
) -> Float[Array, "row p"]:
    """Write s and y at row ``slot`` of each half of ``pairs``; -1: nowhere."""
    row = jax.lax.broadcasted_iota(slot.dtype, pairs.shape, 0)
    wide = partial(jnp.broadcast_to, shape=pairs.shape)
    pairs = jnp.where(row == slot, wide(s[None, :]), pairs)
    return jnp.where((row == slot + PAIRS) & (slot >= 0), wide(y[None, :]), pairs)


def renew(
    old: PairMatrices,
    mark: Float[Array, " m"],
    kept: Float[Array, ""],
    scale: Float[Array, ""],
    gamma: Float[Array, ""],
    S_dots: Float[Array, "m 2"],
    Y_dots: Float[Array, "m 2"],
) -> tuple[PairMatrices, Float[Array, " m"], Float[Array, " m"]]:
    """Take a written pair into the matrices, and weigh the rows for ``H g``.

    Rows of S and Y from before a drop stay behind, but carry no weight: their rows and columns of
    R^-1 are zero.

    Args:
        old: The matrices before.
        mark: 1 where the new pair was written, else 0; all 0 where there is none.
        kept: 1, or 0 to drop the older pairs.
        scale: ``1 / s.y`` of the new pair.
        gamma: ``s.y / y.y`` of the newest pair, 1 without pairs.
        S_dots: ``S g`` and ``S y`` after the writing, y of the new pair.
        Y_dots: ``Y g`` and ``Y y`` likewise.

    Returns:
        The new matrices and the weights ``a`` and ``b`` of the rows of S and Y.
    """
    rest = (1 - mark) * kept
    older = rest[:, None] * rest[None, :]
    inverse_R = old.inverse_R * older
    known = inverse_R @ S_dots
    # The new last column of R^-1 is (-R^-1 S y, 1) / s.y; a marked entry of `known` is zero.
    column = (mark - known[:, 1]) * scale * jnp.sum(mark)
    inverse_R = inverse_R + column[:, None] * mark[None, :]
    p = known[:, 0] + column * (mark @ S_dots[:, 0])
    cross = Y_dots[:, 1]
    YY = old.YY * older + cross[:, None] * mark[None, :] + (rest * cross)[None, :] * mark[:, None]
    D = old.D * rest + mark * S_dots[:, 1]
    a = (D * p + gamma * (YY @ p - Y_dots[:, 0])) @ inverse_R
    return PairMatrices(inverse_R, YY, D), a, -gamma * p
