"""Factors of the Hessians of many fits, kept side by side: Gram matrices in blocks, then batches.

A factor is of the weights and the intercept together, padded to a multiple of a tile. It serves as
a preconditioner alone, so that its Gram matrix is one of float32 products of a sample of the rows,
about any centre near their mean: what the centre leaves over is in the column of the intercept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from geneb_jax_kernels.factor_products import FACTOR_TILE
from geneb_jax_kernels.gram import inverse_cholesky
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.matrix.gram_sample import gram_sample
from geneb_jax_probes.programs import program

__all__ = [
    "AT_ONCE",
    "GRAM_BLOCK",
    "SPLIT",
    "Bend",
    "add_gram",
    "factor_size",
    "make_factors",
    "no_factors",
    "write_factors",
]

#: Rows of one product of a Gram matrix, and factors of one batch.
GRAM_BLOCK = 4096
AT_ONCE = 16
#: Products of three TF32 where a device has them: a tenth of the time of float32, and near its
#: digits (docs/accelerators.md, "Precision"); of fewer, the small shifts would not survive.
SPLIT = "TF32_TF32_F32_X3"


@dataclass(frozen=True, slots=True)
class Bend:
    """A Hessian to be factored: ``curvature * Z^T W Z``, and the penalty on the weights.

    Attributes:
        rows: Rows of the matrix that is held; Z is these less the centre, and a one.
        weights: W.
        centre: Near the mean of the rows, float32.
        curvature: 1 where it is in the weights.
        penalty: ``1 / (C n)``.
        place: Where the factor goes.
        anew: Whether another factor stands there that is better than none.
        key: Equal where rows, weights and centre are.
    """

    rows: Int[np.ndarray, " row"]
    weights: Float[np.ndarray, " row"]
    centre: Float[np.ndarray, " dim"]
    curvature: float
    penalty: float
    place: int
    anew: bool
    key: tuple[int, int, int]


def factor_size(width: int) -> int:
    """Rows of a factor of so many features, an intercept and padding."""
    return -(-(width + 1) // FACTOR_TILE) * FACTOR_TILE


@program("count", "size")
def no_factors(like: Array, *, count: int, size: int) -> Float[Array, "count size size"]:
    """Room for factors where ``like`` is."""
    del like  # says where
    return jnp.zeros((count, size, size), jnp.float32)


@program("products", donated=("grams",))
def add_gram(
    grams: Float[Array, "slot q q"],
    X: Float[Array, "row dim"],
    rows: Int[Array, " block"],
    weights: Float[Array, " block"],
    centre: Float[Array, " dim"],
    slot: Shaped[Array, ""],
    first: Shaped[Array, ""],
    *,
    products: str,
) -> Float[Array, "slot q q"]:
    """Some rows added to one Gram matrix, or set as its first.

    Args:
        grams: The matrices.
        X: Features.
        rows: Rows of X.
        weights: Their weights; 0 at padding.
        centre: Subtracted from each row.
        slot: Which matrix.
        first: Whether these are its first rows.
        products: Precision of the product.
    """
    size = grams.shape[1]
    centred = X[rows] - centre[None, :]
    ones = jnp.ones((len(rows), 1), centred.dtype)
    none = jnp.zeros((len(rows), size - centred.shape[1] - 1), centred.dtype)
    Z = jnp.concatenate([centred, ones, none], axis=1)
    with jax.default_matmul_precision(products):
        product = (Z * weights[:, None]).T @ Z
    before = jax.lax.dynamic_index_in_dim(grams, slot, keepdims=False)
    return jax.lax.dynamic_update_index_in_dim(
        grams, product + jnp.where(first, 0, before), slot, 0
    )


@program("width", "batched", donated=("table",))
def write_factors(
    table: Float[Array, "place q q"],
    grams: Float[Array, "slot q q"],
    slot: Int[Array, " batch"],
    curvature: Float[Array, " batch"],
    penalty: Float[Array, " batch"],
    place: Int[Array, " batch"],
    anew: Bool[Array, " batch"],
    *,
    width: int,
    batched: bool,
) -> Float[Array, "place q q"]:
    """Factors of shifted Gram matrices at their places.

    Args:
        table: All factors.
        grams: Gram matrices.
        slot: Which of them.
        curvature: Factor of each.
        penalty: Shift of the weights, raised to the rounding of the matrix; the intercept has that
            alone.
        place: Where a factor goes; beyond the table: nowhere.
        anew: Whether what stands there is kept where the matrix has no factor; else it is then the
            identity.
        width: Features.
        batched: Whether a decomposition may take many matrices at once
            (:attr:`~geneb_jax_probes.lanes.Lane.batches_lapack`).
    """
    size = table.shape[1]
    number = jnp.arange(size, dtype=jnp.int32)
    kind = table.dtype

    def one(given: tuple[Array, Array, Array]) -> Array:
        slot, curvature, penalty = given
        gram = curvature.astype(kind) * jax.lax.dynamic_index_in_dim(grams, slot, keepdims=False)
        rounding = 4 * jnp.finfo(kind).eps * jnp.trace(gram)
        floor = jnp.maximum(rounding, jnp.finfo(kind).tiny)
        shift = jnp.maximum(jnp.where(number < width, penalty.astype(kind), 0), floor)
        shift = jnp.where(number > width, 1, shift)
        made: Array = inverse_cholesky(gram + jnp.diag(shift))
        return made

    given = (slot, curvature, penalty)
    made = jax.vmap(one)(given) if batched else jax.lax.map(one, given)
    fine = jnp.isfinite(made).all(axis=(1, 2))[:, None, None]
    before = table.at[place].get(mode="clip")
    other = jnp.where(anew[:, None, None], before, jnp.eye(size, dtype=kind))
    return table.at[place].set(jnp.where(fine, made, other), mode="drop", unique_indices=True)


def make_factors(
    table: Float[Array, "place q q"],
    grams: Float[Array, "slot q q"],
    X: Float[Array, "row dim"],
    bends: Sequence[Bend],
    lane: Lane,
) -> tuple[Float[Array, "place q q"], Float[Array, "slot q q"]]:
    """Factor some Hessians, those of one Gram matrix in one batch; table and room for matrices."""
    width = X.shape[1]
    for batch in _batches(bends):
        slots: dict[tuple[int, int, int], int] = {}
        for bend in batch:
            if bend.key not in slots:
                slots[bend.key] = len(slots)
                grams = _gram(grams, X, bend, slots[bend.key], lane)
        nowhere = len(table) + np.arange(AT_ONCE, dtype=np.int32)
        slot, place = np.zeros(AT_ONCE, np.int32), nowhere
        numbers = np.ones((2, AT_ONCE), lane.state_dtype)
        anew = np.zeros(AT_ONCE, bool)
        for i, bend in enumerate(batch):
            slot[i], place[i], anew[i] = slots[bend.key], bend.place, bend.anew
            numbers[:, i] = bend.curvature, bend.penalty
        table = write_factors(
            table,
            grams,
            lane.put(slot),
            lane.put(numbers[0]),
            lane.put(numbers[1]),
            lane.put(place),
            lane.put(anew),
            width=width,
            batched=lane.batches_lapack,
        )
    return table, grams


def _gram(
    grams: Float[Array, "slot q q"], X: Float[Array, "row dim"], bend: Bend, slot: int, lane: Lane
) -> Float[Array, "slot q q"]:
    sample = gram_sample(bend.weights, X.shape[1]).weights
    used = np.flatnonzero(sample)
    centre = lane.put(bend.centre)
    for at in range(0, max(1, len(used)), GRAM_BLOCK):
        some = used[at : at + GRAM_BLOCK]
        rows, weights = np.zeros(GRAM_BLOCK, np.int32), np.zeros(GRAM_BLOCK, np.float32)
        rows[: len(some)], weights[: len(some)] = bend.rows[some], sample[some]
        grams = add_gram(
            grams,
            X,
            lane.put(rows),
            lane.put(weights),
            centre,
            lane.put(np.int32(slot)),
            lane.put(np.bool_(at == 0)),
            products=SPLIT if lane.compiles_triton else "highest",
        )
    return grams


def _batches(bends: Sequence[Bend]) -> Iterator[list[Bend]]:
    """As many as go at once; those of one Gram matrix are not torn apart without need."""
    batch: list[Bend] = []
    by_key: dict[tuple[int, int, int], list[Bend]] = {}
    for bend in bends:
        by_key.setdefault(bend.key, []).append(bend)
    for members in by_key.values():
        if batch and len(batch) + len(members) > AT_ONCE:
            yield batch
            batch = []
        batch = [*batch, *members]
        while len(batch) > AT_ONCE:
            yield batch[:AT_ONCE]
            batch = batch[AT_ONCE:]
    if batch:
        yield batch
