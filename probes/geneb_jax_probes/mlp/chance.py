"""All that chance decides in the training of an MLP probe: rows held out, first weights, batches.

Everything else about a fit follows from these.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

__all__ = [
    "MLPWeights",
    "first_weights",
    "glorot_bounds",
    "padded_weights",
    "shuffled",
    "split_rows",
]

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


def glorot_bounds(width: int, hidden: int, classes: int) -> Float[np.ndarray, " layer"]:
    """Bounds of the first weights and biases of both layers: sqrt(6 / fan sum), as scikit-learn."""
    return np.sqrt(6.0 / np.array([width + hidden, hidden + classes])).astype(np.float32)


def first_weights(
    seed: Shaped[Array, ""], width: int, hidden: int, classes: int
) -> tuple[MLPWeights, Key[Array, ""]]:
    """Glorot-uniform weights and biases of a probe of this very size.

    Returns:
        The weights, and the key that the batches are drawn with.
    """
    bounds = jnp.asarray(glorot_bounds(width, hidden, classes))
    return padded_weights(
        seed, jnp.int32(width), jnp.int32(classes), bounds, (width, hidden, classes)
    )


def padded_weights(
    seed: Shaped[Array, ""],
    width: Int[Array, ""],
    classes: Int[Array, ""],
    bounds: Float[Array, " layer"],
    room: tuple[int, int, int],
) -> tuple[MLPWeights, Key[Array, ""]]:
    """The same weights, bit for bit, in arrays with room for more; what is over is zero.

    A counter-based generator (JAX's partitionable Threefry) gives the first n of many draws the
    values of n draws, so what a probe starts from does not depend on the room.

    Args:
        seed: Of the fit.
        width: Features of the probe.
        classes: Classes of the probe.
        bounds: See :func:`glorot_bounds`.
        room: Features, hidden units and classes of the arrays.
    """
    most_features, hidden, most_classes = room
    key, draw = jax.random.split(jax.random.key(seed))
    keys = jax.random.split(draw, 4)

    def uniform(key: Key[Array, ""], count: int, bound: Float[Array, ""]) -> Float[Array, " count"]:
        return jax.random.uniform(key, (count,), jnp.float32, -bound, bound)

    row, column = jnp.arange(most_features), jnp.arange(most_classes)
    first = uniform(keys[0], most_features * hidden, bounds[0]).reshape(most_features, hidden)
    # Output weights are drawn hidden unit by hidden unit, `classes` each.
    place = jnp.arange(hidden)[:, None] * classes + column[None, :]
    last = uniform(keys[2], hidden * most_classes, bounds[1])[
        jnp.minimum(place, hidden * most_classes - 1)
    ]
    biases = uniform(keys[3], most_classes, bounds[1])
    weights = MLPWeights(
        w1=jnp.where(row[:, None] < width, first, 0),
        b1=uniform(keys[1], hidden, bounds[0]),
        w2=jnp.where(column[None, :] < classes, last, 0),
        b2=jnp.where(column < classes, biases, 0),
    )
    return weights, key


def shuffled(
    key: Key[Array, ""], count: Int[Array, ""], slots: int
) -> tuple[Int[Array, " slots"], Key[Array, ""]]:
    """An epoch's order of ``count`` rows, padding slots last, and the key of the next epoch."""
    key, draw = jax.random.split(key)
    noise = jax.random.uniform(draw, (slots,))
    return jnp.argsort(jnp.where(jnp.arange(slots) < count, noise, 2.0)), key
