"""Weighted Gram matrices and the inverse Cholesky factors of their shifts.

Both are matrix products from end to end, which the vendor libraries already do at the speed of the
machine. What is ours is which products: half of a symmetric matrix is never computed, and a
triangular inverse is built from products of blocks instead of solved for, so that only the small
diagonal blocks go through LAPACK.

A Gram matrix has two forms. On CPU it is BLAS's symmetric product by way of NumPy, a thread a part
of the rows: at (10000, 1024) and (20000, 2560) two parts on two cores take 0.6 and 0.7 times what
the XLA form takes on both. Elsewhere it is the XLA form. ``bench/probe_kernels.py`` measures both.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

__all__ = ["host_gram", "inverse_cholesky", "weighted_gram"]

_FEWEST_COLUMNS = 64
#: Rows that the host form scales at a time, where rows have weights.
_SCALED_ROWS = 2048


def host_gram(
    X: Shaped[np.ndarray, "row dim"], weights: Float[np.ndarray, " row"] | float
) -> Float[np.ndarray, "dim dim"]:
    """``X^T diag(weights) X`` in float32, by BLAS on the calling thread.

    Args:
        X: Features, float32 or float64.
        weights: Row weights, none negative, or one weight that all rows have.

    Returns:
        The symmetric matrix, exactly equal to its transpose.
    """
    if np.ndim(weights) == 0 and X.dtype == np.float32:
        # The product of a matrix with its own transpose: NumPy takes the symmetric one of BLAS.
        gram: np.ndarray = X.T @ X
        gram *= np.float32(weights)
        return gram
    width = X.shape[1]
    roots = np.sqrt(np.broadcast_to(weights, len(X))).astype(np.float32)[:, None]
    scaled = np.empty((min(len(X), _SCALED_ROWS), width), np.float32)
    gram, more = np.zeros((width, width), np.float32), np.empty((width, width), np.float32)
    for start in range(0, len(X), _SCALED_ROWS):
        rows = slice(start, start + _SCALED_ROWS)
        part = scaled[: len(X[rows])]
        np.multiply(X[rows], roots[rows], out=part, casting="same_kind")
        gram += np.matmul(part.T, part, out=more)
    return gram


def _panels(width: int, count: int) -> list[tuple[int, int]]:
    """Column ranges of nearly equal width."""
    edges = [width * i // count for i in range(count + 1)]
    return list(pairwise(edges))


@partial(jax.jit, static_argnames=("block_rows", "panels", "dtype"))
def weighted_gram(
    X: Float[Array, "row dim"],
    weights: Float[Array, " row"],
    block_count: Shaped[Array, ""],
    stride: Shaped[Array, ""],
    *,
    block_rows: int,
    panels: int = 4,
    dtype: str = "float32",
) -> Float[Array, "dim dim"]:
    """``X^T diag(weights) X`` over every ``stride``-th block of rows.

    Only the panels on and below the diagonal are multiplied: with four, 10/16 of the work.

    Args:
        X: Features.
        weights: Row weights; 0 at padding.
        block_count: Blocks of ``block_rows`` rows that hold data.
        stride: 1 to use every block; more to sample them evenly.
        block_rows: Rows of a block; X must hold a multiple.
        panels: Column panels that the symmetry is used over.
        dtype: Dtype of the products and of the result.

    Returns:
        The symmetric matrix, exactly equal to its transpose.
    """
    width = X.shape[1]
    ranges = _panels(width, max(1, min(panels, width // _FEWEST_COLUMNS)))
    pairs = [(i, j) for i in range(len(ranges)) for j in range(i + 1)]

    def one_block(i: Any, sums: list[Any]) -> list[Any]:
        start = i * stride * block_rows
        part = jax.lax.dynamic_slice_in_dim(X, start, block_rows).astype(dtype)
        weight = jax.lax.dynamic_slice_in_dim(weights, start, block_rows).astype(dtype)
        scaled = part * weight[:, None]
        return [
            total + part[:, slice(*ranges[a])].T @ scaled[:, slice(*ranges[b])]
            for total, (a, b) in zip(sums, pairs, strict=True)
        ]

    zeros = [
        jnp.zeros((ranges[a][1] - ranges[a][0], ranges[b][1] - ranges[b][0]), dtype)
        for a, b in pairs
    ]
    steps = (block_count + stride - 1) // stride
    products = dict(zip(pairs, jax.lax.fori_loop(0, steps, one_block, zeros), strict=True))
    rows = [
        [products[i, j] if j <= i else products[j, i].T for j in range(len(ranges))]
        for i in range(len(ranges))
    ]
    gram = jnp.block(rows)
    return (gram + gram.T) / 2


def inverse_cholesky(A: Float[Array, "dim dim"], *, leaf: int | None = None) -> Any:
    """``L^-1`` of ``A = L L^T``, lower triangular; NaN where A is not positive definite.

    With the blocks of A and of L::

        L21 = A21 L11^-T,   L22 L22^T = A22 - L21 L21^T,   (L^-1)21 = -L22^-1 L21 L11^-1

    Args:
        A: A symmetric matrix; only the lower triangle is read.
        leaf: Size at and below which LAPACK (or its like) takes over; an eighth of the size, and
            at least 64, by default.

    Returns:
        The inverse factor ``[dim, dim]``.
    """
    size = A.shape[0]
    smallest = max(_FEWEST_COLUMNS, -(-size // 8)) if leaf is None else leaf
    if size <= smallest:
        factor = jax.lax.linalg.cholesky(A, symmetrize_input=False)
        eye = jnp.eye(size, dtype=A.dtype)
        return jax.lax.linalg.triangular_solve(factor, eye, left_side=True, lower=True)
    half = size // 2
    first = inverse_cholesky(A[:half, :half], leaf=smallest)
    below = A[half:, :half] @ first.T
    second = inverse_cholesky(A[half:, half:] - below @ below.T, leaf=smallest)
    corner = -(second @ below) @ first
    return jnp.block([[first, jnp.zeros((half, size - half), A.dtype)], [corner, second]])
