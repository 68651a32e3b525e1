"""Pointwise logistic losses with their residuals, and one pass over X for value and gradient.

The XLA form is the only one: on CPU it runs at the speed of memory, on GPU the two products are
cuBLAS calls. What makes it fast is the order of work: rows are read in blocks that stay in cache
between ``X @ W`` and ``X.T @ R``, so each value-and-gradient reads X once, in the dtype it is
stored in, and neither a transposed nor a widened copy of X ever exists.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

__all__ = [
    "binary_terms",
    "log1p_unit",
    "loss_and_gradient",
    "multinomial_terms",
    "pointwise_terms",
    "weighted_terms",
]

_ATANH_TERMS = {"float64": 17, "float32": 8}


def log1p_unit(u: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """``log(1 + u)`` for u in [0, 1], to one or two units in the last place.

    ``log1p(u) = 2 atanh(u / (2 + u))`` with the argument at most 1/3, so that a fixed number of
    terms is exact and the loop vectorises; XLA's own float64 ``log1p`` on CPU is four times slower.
    """
    s = u / (2 + u)
    q = s * s
    terms = _ATANH_TERMS[u.dtype.name]
    series = jnp.full_like(q, 1 / (2 * terms + 1))
    for k in range(terms - 1, -1, -1):
        series = series * q + jnp.asarray(1 / (2 * k + 1), q.dtype)
    return 2 * s * series


def binary_terms(
    z: Float[Array, "*batch"], positive: Bool[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Loss ``log(1 + exp(-m))`` of the margin ``m = z`` or ``-z``, and its derivative by z.

    One exponential; no difference of large numbers, so that confident rows keep their digits.
    """
    against = jax.lax.select(positive, -z, z)
    tail = jnp.exp(-jnp.abs(z))
    near_one = 1 / (1 + tail)
    loss = jnp.maximum(against, 0) + log1p_unit(tail)
    chance = near_one * jax.lax.select(against >= 0, jnp.ones_like(tail), tail)
    return loss, jax.lax.select(positive, -chance, chance)


def multinomial_terms(
    z: Float[Array, "*batch class"], codes: Int[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch class"]]:
    """Loss ``logsumexp(z) - z[code]`` and its derivative ``softmax(z) - onehot(code)``.

    Both are sums over the other classes, so that confident rows keep their digits.
    """
    classes = jax.lax.broadcasted_iota(codes.dtype, z.shape, z.ndim - 1)
    hit = jnp.broadcast_to(codes[..., None], z.shape) == classes
    top = jnp.max(z, axis=-1, keepdims=True)
    highest = z == top
    powers = jnp.exp(z - top)
    zero = jnp.zeros_like(z)
    rest = jnp.sum(jax.lax.select(highest, zero, powers), axis=-1)
    rest = rest + (jnp.sum(highest.astype(z.dtype), axis=-1) - 1)
    chosen = jnp.sum(jax.lax.select(hit, z, zero), axis=-1)
    chance = powers / (1 + rest)[..., None]
    others = jax.lax.select(hit, zero, chance)
    missing = jnp.broadcast_to(jnp.sum(others, axis=-1)[..., None], z.shape)
    return jnp.log1p(rest) + (top[..., 0] - chosen), jax.lax.select(hit, -missing, others)


def pointwise_terms(
    z: Float[Array, "*batch logit"], codes: Int[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch logit"]]:
    """Losses and residuals of logits: one logit is a binary problem, more are a multinomial one.

    ``codes`` broadcasts against the leading axes of ``z``.
    """
    if z.shape[-1] > 1:
        return multinomial_terms(z, jnp.broadcast_to(codes, z.shape[:-1]))
    loss, residual = binary_terms(z[..., 0], jnp.broadcast_to(codes, z.shape[:-1]) > 0)
    return loss, residual[..., None]


def weighted_terms(
    z: Float[Array, "row problem logit"],
    codes: Int[Array, "row 1"],
    share: Float[Array, "row problem_or_one"],
) -> tuple[Float[Array, "row problem"], Float[Array, "row problem logit"]]:
    """Losses and residuals by the weight of each row in each problem, all in one dtype."""
    losses, residual = pointwise_terms(z, codes)
    return losses * share, residual * share[..., None]


@partial(jax.jit, static_argnames=("block_rows", "blocks_at_once", "sums", "terms"))
def loss_and_gradient(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    shares: Float[Array, "row problem_or_one"],
    coef: Float[Array, "problem logit dim"],
    intercept: Float[Array, "problem logit"],
    block_count: Shaped[Array, ""] | None = None,
    *,
    block_rows: int,
    blocks_at_once: int = 1,
    sums: str | None = None,
    terms: Callable[..., tuple[Any, Any]] = weighted_terms,
) -> tuple[Any, Any, Any]:
    """Weighted loss of every problem, and its gradient, in one pass over X.

    Args:
        X: Features, float32 or float64; widened block by block to the dtype of ``coef``.
        codes: Class of each row; padding rows hold any class and a share of 0.
        shares: Weight of each row in each problem (their sum over rows is 1).
        coef: Weights of every problem.
        intercept: Intercepts.
        block_count: Blocks that hold rows (the rest of X is padding); all of them if None.
        block_rows: Rows of a block; X must hold a multiple.
        blocks_at_once: Blocks that are multiplied together while so many are left: starting a
            product costs more than a small one takes, and padding a large one costs as much again.
        sums: Dtype that blocks are summed up in; that of ``coef`` if None.
        terms: From logits, codes and shares to weighted losses and residuals; another rounds
            otherwise.

    Returns:
        Loss ``[problem]``, gradient of ``coef`` and of ``intercept``, without the penalty.
    """
    problems, logits, width = coef.shape
    dtype, wide = coef.dtype, jnp.dtype(sums or coef.dtype)
    flat = coef.reshape(problems * logits, width).T
    offset = intercept.reshape(1, -1)
    rows = X.shape[0]

    def some_rows(start: Any, size: int, carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        loss, slope, balance = carry
        part = jax.lax.dynamic_slice_in_dim(X, start, size).astype(dtype)
        label = jax.lax.dynamic_slice_in_dim(codes, start, size)
        share = jax.lax.dynamic_slice_in_dim(shares, start, size)
        z = (part @ flat + offset).reshape(size, problems, logits)
        losses, residual = terms(z, label[:, None], share)
        residual = residual.reshape(size, problems * logits)
        return (
            loss + jnp.sum(losses.astype(wide), axis=0),
            slope + (residual.T @ part).astype(wide),
            balance + jnp.sum(residual.astype(wide), axis=0),
        )

    zero = (
        jnp.zeros(problems, wide),
        jnp.zeros((problems * logits, width), wide),
        jnp.zeros(problems * logits, wide),
    )
    if rows == block_rows:
        loss, slope, balance = some_rows(0, rows, zero)
    else:
        count = rows // block_rows if block_count is None else block_count
        together = min(blocks_at_once, rows // block_rows)
        large = together * block_rows
        whole = count // together
        sums_so_far = jax.lax.fori_loop(
            0, whole, lambda i, carry: some_rows(i * large, large, carry), zero
        )
        if together > 1:
            sums_so_far = jax.lax.fori_loop(
                whole * together,
                count,
                lambda i, carry: some_rows(i * block_rows, block_rows, carry),
                sums_so_far,
            )
        loss, slope, balance = sums_so_far
    return loss, slope.reshape(coef.shape), balance.reshape(intercept.shape)
