"""Pointwise logistic losses rounded where scikit-learn 1.9 rounds them on float32 features.

Its compiled losses compute in double and store float32 (``sklearn/_loss/_loss.pyx.tp``); NumPy adds
up what they store. Both orders are given away by the score: rows whose decision value is zero but
for rounding are common in few-shot fits on counts, and go to whichever side the last bits say.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from geneb_jax_kernels.logistic_loss import binary_terms

__all__ = [
    "PAIRWISE_ROWS",
    "pairwise_sum",
    "rounded",
    "rounded_terms",
    "running_sum",
    "squared_length",
]

#: Up to so many numbers NumPy's pairwise sum is one block of eight running sums.
PAIRWISE_ROWS = 128
_RUNNING = 8
#: OpenBLAS's float32 inner product where a core has AVX-512: four registers of sixteen numbers.
_REGISTERS, _LANES = 4, 16
_UNROLLED = 16


def rounded(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The nearest float32, in the dtype of x.

    There and back by ``astype`` would not do: XLA takes such pairs for excess precision and drops
    them.
    """
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=23)


def rounded_terms(
    z: Float[Array, "*batch logit"], codes: Int[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch logit"]]:
    """Losses and residuals of float32 logits: float32 numbers in the widest dtype there is.

    Args:
        z: Logits; one is a binary problem, more are a multinomial one.
        codes: Class of each row; broadcasts against the leading axes of ``z``.
    """
    wide = jax.dtypes.canonicalize_dtype(jnp.float64)
    codes = jnp.broadcast_to(codes, z.shape[:-1])
    if z.shape[-1] == 1:
        loss, residual = binary_terms(z[..., 0].astype(wide), codes > 0)
        return rounded(loss), rounded(residual)[..., None]
    hit = codes[..., None] == jax.lax.broadcasted_iota(codes.dtype, z.shape, z.ndim - 1)
    z, hits = z.astype(wide), hit.astype(wide)
    top = jnp.max(z, axis=-1, keepdims=True)
    powers = rounded(jnp.exp(z - top))
    total = rounded(jnp.sum(powers, axis=-1))
    loss = rounded(rounded(jnp.log(total) + top[..., 0]) - jnp.sum(z * hits, axis=-1))
    # A float64 quotient of two float32, rounded again, is their float32 quotient.
    chance = rounded(powers / total[..., None])
    return loss, rounded(chance - hits)


def pairwise_sum(
    values: Float[Array, "matrix *batch row"], counts: Int[Array, " matrix"]
) -> Float[Array, matrix * batch]:
    """NumPy's sum of the first ``counts`` rows; the others must be zero.

    In NumPy's order up to :data:`PAIRWISE_ROWS` rows; beyond, the rounded sum of the widest dtype.
    """
    rows = values.shape[-1]
    if rows > PAIRWISE_ROWS:
        return _wide_sum(values, -1)
    counts = counts.reshape(-1, *[1] * (values.ndim - 1))
    whole = jnp.where(counts < _RUNNING, 0, counts - counts % _RUNNING)
    at = jax.lax.broadcasted_iota(counts.dtype, values.shape, values.ndim - 1)
    padding = [(0, 0)] * (values.ndim - 1) + [(0, -rows % _RUNNING)]
    head = jnp.pad(jnp.where(at < whole, values, 0), padding)
    head = head.reshape(*values.shape[:-1], -1, _RUNNING)
    eight = head[..., 0, :]
    for block in range(1, head.shape[-2]):
        eight = eight + head[..., block, :]
    four = eight[..., 0::2] + eight[..., 1::2]
    total = (four[..., 0] + four[..., 1]) + (four[..., 2] + four[..., 3])
    for offset in range(_RUNNING - 1):
        place = jnp.broadcast_to(whole + offset, (*values.shape[:-1], 1))
        rest = jnp.take_along_axis(values, jnp.minimum(place, rows - 1), axis=-1)
        total = total + jnp.where(place < counts, rest, 0)[..., 0]
    return total


def running_sum(values: Float[Array, "*batch row logit"]) -> Float[Array, "*batch logit"]:
    """NumPy's sum over the rows of a matrix, one row after the other; padding must be zero."""
    if values.shape[-2] > PAIRWISE_ROWS:
        return _wide_sum(values, -2)
    total = values[..., 0, :]
    for row in range(1, values.shape[-2]):
        total = total + values[..., row, :]
    return total


def squared_length(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """``x @ x`` of float32 numbers in the order of OpenBLAS's AVX-512 kernel, in the dtype of x.

    Bit for bit where the length is a multiple of 64; elsewhere its last numbers are taken in
    another order. The penalty is made of it, and a line search sees the last bit of a penalty.
    """
    block = _REGISTERS * _LANES
    padding = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % block)]
    squares = jnp.pad(x * x, padding).reshape(*x.shape[:-1], -1, block)
    total = squares[..., 0, :]
    total = rounded(total)
    if squares.shape[-2] <= _UNROLLED:
        for i in range(1, squares.shape[-2]):
            total = rounded(total + squares[..., i, :])
    else:
        ahead = jnp.moveaxis(squares, -2, 0)
        total = jax.lax.fori_loop(1, len(ahead), lambda i, sums: rounded(sums + ahead[i]), total)
    halves = total.reshape(*x.shape[:-1], _REGISTERS, 2, _LANES // 2)
    registers = rounded(halves[..., 0, :] + halves[..., 1, :])
    eight = registers[..., 0, :]
    for i in range(1, _REGISTERS):
        eight = rounded(eight + registers[..., i, :])
    four = rounded(eight[..., :4] + eight[..., 4:])
    return rounded(rounded(four[..., 0] + four[..., 1]) + rounded(four[..., 2] + four[..., 3]))


def _wide_sum(values: Float[Array, ...], axis: int) -> Float[Array, ...]:
    wide = jax.dtypes.canonicalize_dtype(jnp.float64)
    return jnp.sum(values.astype(wide), axis=axis).astype(values.dtype)
