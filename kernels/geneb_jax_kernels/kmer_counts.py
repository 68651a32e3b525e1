"""Count the k-mers of padded base batches: windows to codes, codes to frequencies."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

__all__ = ["kmer_counts", "kmer_frequencies"]

_LETTERS = 4
_LONGEST_K = 12  # 4**12 columns of int32 are 64 MiB a row; beyond it a table is the wrong tool.


@partial(jax.jit, static_argnames="k")
def kmer_counts(
    bases: Int32[Array, "row token"], mask: Bool[Array, "row token"], *, k: int
) -> Int32[Array, "row kmer"]:
    """Count overlapping windows of ``k`` bases in each row.

    A window counts when all its positions are marked by ``mask`` and hold 0, 1, 2 or 3. Its column
    is the base-4 number of its letters, the first letter the most significant. Memory is a few
    int32 arrays ``[row, token]`` and the result: one scatter-add, no one-hot of the windows.

    Args:
        bases: Codes of the letters; anything outside 0..3 breaks the windows that hold it.
        mask: True at the bases of a sequence, False at padding.
        k: Window length in bases, 1 to 12.

    Returns:
        Counts, int32 ``[row, 4**k]``.
    """
    if not 1 <= k <= _LONGEST_K:
        raise ValueError(f"k must be 1 to {_LONGEST_K}, got {k}")
    columns = _LETTERS**k
    row_count, length = bases.shape
    window_count = length - k + 1
    if window_count < 1:
        return jnp.zeros((row_count, columns), jnp.int32)
    usable = mask & (bases >= 0) & (bases < _LETTERS)
    code = jnp.zeros((row_count, window_count), jnp.int32)
    whole = jnp.ones((row_count, window_count), bool)
    for offset in range(k):
        code = code * _LETTERS + bases[:, offset : offset + window_count]
        whole = whole & usable[:, offset : offset + window_count]
    # Broken windows point past the last column, where the scatter drops them.
    column = jnp.where(whole, code, columns)

    def tally(one_row: Int32[Array, " window"]) -> Int32[Array, " kmer"]:
        return jnp.zeros(columns, jnp.int32).at[one_row].add(1, mode="drop")

    return jax.vmap(tally)(column)


@partial(jax.jit, static_argnames="k")
def kmer_frequencies(
    bases: Int32[Array, "row token"], mask: Bool[Array, "row token"], *, k: int
) -> Float[Array, "row kmer"]:
    """Counts of :func:`kmer_counts` divided by the row's number of windows; zeros without any.

    Returns:
        Frequencies, float32 ``[row, 4**k]``: one correctly rounded float32 division a cell.
    """
    counts = kmer_counts(bases, mask, k=k)
    total = counts.sum(axis=1, keepdims=True, dtype=jnp.int32)
    divisor = jnp.broadcast_to(jnp.maximum(total, 1).astype(jnp.float32), counts.shape)
    # Without the barrier XLA multiplies by one reciprocal a row, which is an ulp off.
    return counts.astype(jnp.float32) / jax.lax.optimization_barrier(divisor)
