"""Decide the test rows of a task with all its fits, and count, in one pass over the test set."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from geneb_jax_kernels.confusion import confusion_counts
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.programs import program
from geneb_jax_probes.shapes import aligned_zeros, block_rows_for, row_capacity

__all__ = ["Decided", "decide_and_count"]


@dataclass(frozen=True, slots=True)
class Decided:
    """What all fits of one task say of its test rows."""

    counts: Int[np.ndarray, "fit class class"]  # row: true class, column: predicted
    guesses: Int[np.ndarray, "row fit"]  # positions among the classes of the fits
    logits: Float[np.ndarray, "fit row logit"]  # in the precision of the fits


@program("block_rows", "class_count")
def _count(
    X: Float[Array, "row dim"],
    truth: Int[Array, " row"],
    coef: Float[Array, "fit logit dim"],
    intercept: Float[Array, "fit logit"],
    names: Int[Array, " known"],
    block_count: Shaped[Array, ""],
    row_count: Shaped[Array, ""],
    *,
    block_rows: int,
    class_count: int,
) -> tuple[Int[Array, "fit class class"], Int[Array, "row fit"], Float[Array, "row column"]]:
    """Confusion counts, predicted positions, and the decision values of fits times logits."""
    fits, logits, width = coef.shape
    flat = coef.reshape(fits * logits, width).T
    offset = intercept.reshape(1, -1)

    def one_block(
        i: Shaped[Array, ""],
        carry: tuple[
            Int[Array, "fit class class"], Int[Array, "row fit"], Float[Array, "row column"]
        ],
    ) -> tuple[Int[Array, "fit class class"], Int[Array, "row fit"], Float[Array, "row column"]]:
        counts, guesses, decided = carry
        start = i * block_rows
        part = jax.lax.dynamic_slice_in_dim(X, start, block_rows).astype(coef.dtype)
        label = jax.lax.dynamic_slice_in_dim(truth, start, block_rows)
        values = part @ flat + offset
        z = values.reshape(block_rows, fits, logits)
        # Binary as scikit-learn: the second class only above zero; ties go to the first.
        found = (z[..., 0] > 0).astype(jnp.int32) if logits == 1 else jnp.argmax(z, 2)
        guess = names[found.astype(jnp.int32)]
        inside = (start + jnp.arange(block_rows, dtype=row_count.dtype)) < row_count
        return (
            counts + confusion_counts(label, guess, inside, class_count=class_count),
            jax.lax.dynamic_update_slice_in_dim(guesses, found.astype(jnp.int32), start, axis=0),
            jax.lax.dynamic_update_slice_in_dim(decided, values, start, axis=0),
        )

    zeros = (
        jnp.zeros((fits, class_count, class_count), jnp.int32),
        jnp.zeros((X.shape[0], fits), jnp.int32),
        jnp.zeros((X.shape[0], fits * logits), coef.dtype),
    )
    return jax.lax.fori_loop(0, block_count, one_block, zeros)


def decide_and_count(
    X_test: Float[np.ndarray, "row dim"],
    truth: Int[np.ndarray, " row"],
    coef: Float[np.ndarray, "fit logit dim"],
    intercept: Float[np.ndarray, "fit logit"],
    names: Int[np.ndarray, " known"],
    class_count: int,
    lane: Lane,
) -> Decided:
    """Decision values, predictions and confusion matrices of all fits of one task.

    Args:
        X_test: Features.
        truth: Class of each row, 0..class_count-1.
        coef: Weights of the fits.
        intercept: Minus infinity for a class that is never predicted.
        names: For each class of the fits its number among ``class_count`` (test sets may hold
            classes of their own).
        class_count: Classes of training and test set together.
        lane: Where to compute.
    """
    rows, width = X_test.shape
    block_rows = block_rows_for(width, lane.platform)
    capacity = row_capacity(rows, block_rows, lane.platform)
    features = aligned_zeros((capacity, width), X_test.dtype)
    features[:rows] = X_test
    labels = np.zeros(capacity, np.int32)
    labels[:rows] = truth
    counts, guesses, values = lane.call(
        _count,
        lane.put(features, owned=True),
        lane.put(labels),
        lane.put(coef),
        lane.put(intercept),
        lane.put(names.astype(np.int32)),
        lane.put(np.int32(-(-rows // block_rows))),
        lane.put(np.int32(rows)),
        block_rows=block_rows,
        class_count=class_count,
    )
    decided = np.asarray(values)[:rows].reshape(rows, *coef.shape[:2])
    return Decided(
        np.asarray(counts).astype(np.int64),
        np.asarray(guesses)[:rows],
        np.moveaxis(decided, 0, 1),
    )
