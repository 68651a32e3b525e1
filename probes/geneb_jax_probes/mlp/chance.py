"""All that chance decides in the training of an MLP probe: rows held out, first weights, batches.

Everything else about a fit follows from these.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

__all__ = ["MLPWeights", "first_weights", "shuffled", "split_rows"]

#: Fewer held-out rows than this judge an epoch worse than the training loss does: at 20 rows one
#: row is five points of accuracy.
_LEAST_HELD_OUT = 20


class MLPWeights(NamedTuple):
    """Weights and biases of the hidden and the output layer."""

    w1: Float[Array, "*fit dim hidden"]
    b1: Float[Array, "*fit hidden"]
    w2: Float[Array, "*fit hidden class"]
    b2: Float[Array, "*fit class"]


def split_rows(
    codes: Int[np.ndarray, " row"], rows: Int[np.ndarray, " chosen"], seed: int, held_out: float
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " held"]]:
    """Rows to train on and rows held out, each class in proportion; none held out if few."""
    counts = np.bincount(codes[rows])
    if counts[counts > 0].min() * held_out < 1 or len(rows) * held_out < _LEAST_HELD_OUT:
        return rows, rows[:0]
    rng = np.random.default_rng(seed)
    kept, held = [], []
    for code in np.flatnonzero(counts):
        members = rng.permutation(rows[codes[rows] == code])
        cut = round(len(members) * held_out)
        held.append(members[:cut])
        kept.append(members[cut:])
    return np.concatenate(kept), np.concatenate(held)


def first_weights(
    seed: Shaped[Array, ""], width: int, hidden: int, classes: int
) -> tuple[MLPWeights, Key[Array, ""]]:
    """Glorot-uniform weights and biases, as scikit-learn draws them (bound sqrt(6 / fan sum)).

    Returns:
        The weights, and the key that the batches are drawn with.
    """
    key, draw = jax.random.split(jax.random.key(seed))
    keys = jax.random.split(draw, 4)

    def uniform(
        key: Key[Array, ""], fans: tuple[int, int], shape: tuple[int, ...]
    ) -> Float[Array, "*shape"]:
        bound = float(np.sqrt(6.0 / sum(fans)))
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    weights = MLPWeights(
        w1=uniform(keys[0], (width, hidden), (width, hidden)),
        b1=uniform(keys[1], (width, hidden), (hidden,)),
        w2=uniform(keys[2], (hidden, classes), (hidden, classes)),
        b2=uniform(keys[3], (hidden, classes), (classes,)),
    )
    return weights, key


def shuffled(
    key: Key[Array, ""], count: Int[Array, ""], slots: int
) -> tuple[Int[Array, " slots"], Key[Array, ""]]:
    """An epoch's order of ``count`` rows, padding slots last, and the key of the next epoch."""
    key, draw = jax.random.split(key)
    noise = jax.random.uniform(draw, (slots,))
    return jnp.argsort(jnp.where(jnp.arange(slots) < count, noise, 2.0)), key
