"""One hidden layer of ReLU units, trained with Adam and early stopping, many fits at once.

The recipe is that of scikit-learn's ``MLPClassifier(hidden_layer_sizes=(256,),
early_stopping=True)``: Adam, minibatches of 200, L2 1e-4 on the weights, a tenth of the training
rows held out (stratified), a stop after ten epochs without gain in held-out accuracy, the best
epoch's weights kept. Where fewer than 20 rows would be held out (few-shot draws) nothing is, and
the training loss is watched instead. Fits of one feature matrix are advanced together, each with
its own rows, seed, epochs and stop; a fit's result depends on its rows, labels and seed alone.
Rows, features and classes are padded to a few sizes (:mod:`geneb_jax_probes.mlp.shapes`), so that
many tasks and models share a compiled program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from geneb_jax_probes.mlp.chance import (
    MLPWeights,
    glorot_bounds,
    padded_weights,
    shuffled,
    split_rows,
)
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.shapes import (
    HELD_BLOCK,
    room_for_classes,
    room_for_features,
    room_for_rows,
)

__all__ = ["MLPFits", "train_mlps"]


@dataclass(frozen=True, slots=True)
class MLPFits:
    """Trained probes, ``F`` of them: weights, and for each its epochs, loss and status."""

    hidden_weights: Float[np.ndarray, "fit dim hidden"]
    hidden_bias: Float[np.ndarray, "fit hidden"]
    output_weights: Float[np.ndarray, "fit hidden class"]
    output_bias: Float[np.ndarray, "fit class"]
    epochs: Int[np.ndarray, " fit"]
    loss: Float[np.ndarray, " fit"]  # mean training loss of the last epoch
    stopped: Bool[np.ndarray, " fit"]  # whether early stopping ended the fit

    def logits(self, X: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "fit row class"]:
        """Logits of features."""
        found = []
        for f in range(len(self.epochs)):
            units = np.maximum(X @ self.hidden_weights[f] + self.hidden_bias[f], 0)
            found.append(units @ self.output_weights[f] + self.output_bias[f])
        return np.stack(found)


class _Rows(NamedTuple):
    """Rows of each fit, padded: those trained on and those held out."""

    kept: Int[Array, "*fit slot"]
    kept_count: Int[Array, "*fit"]
    held: Int[Array, "*fit held"]
    held_count: Int[Array, "*fit"]


class _Size(NamedTuple):
    """What the padded arrays really hold, and the bounds of the first weights."""

    width: Int[Array, ""]
    classes: Int[Array, ""]
    bounds: Float[Array, " layer"]


class _Training(NamedTuple):
    """The state of fits in training."""

    weights: MLPWeights
    best: MLPWeights
    optimiser: optax.OptState
    key: Key[Array, "*fit"]
    best_value: Float[Array, "*fit"]
    waited: Int[Array, "*fit"]  # epochs since the last gain
    epochs: Int[Array, "*fit"]
    loss: Float[Array, "*fit"]
    done: Bool[Array, "*fit"]


class _Trained(NamedTuple):
    """What is kept of a fit."""

    best: MLPWeights
    epochs: Int[Array, "*fit"]
    loss: Float[Array, "*fit"]
    done: Bool[Array, "*fit"]


def _logits(
    weights: MLPWeights, X: Float[Array, "row dim"], classes: Int[Array, ""]
) -> Float[Array, "row class"]:
    """Logits; those of classes that the probe does not have are never the largest, nor a share."""
    units = jax.nn.relu(X @ weights.w1 + weights.b1[None, :])
    found = units @ weights.w2 + weights.b2[None, :]
    return jnp.where((jnp.arange(found.shape[1]) < classes)[None, :], found, -1e30)


def _loss(
    weights: MLPWeights,
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    mask: Float[Array, " row"],
    classes: Int[Array, ""],
    l2: float,
) -> Float[Array, ""]:
    logits = _logits(weights, X, classes)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, codes)
    count = jnp.maximum(mask.sum(), 1.0)
    penalty = jnp.sum(weights.w1**2) + jnp.sum(weights.w2**2)
    return (jnp.sum(losses * mask) + 0.5 * l2 * penalty) / count


@partial(jax.jit, static_argnames=("room", "recipe"))
def _train(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    rows: _Rows,
    size: _Size,
    seeds: Shaped[Array, " fit"],
    *,
    room: int,
    recipe: MLPRecipe,
) -> _Trained:
    slots = rows.kept.shape[1]
    batch = min(recipe.batch_rows, slots)
    # Steps and blocks that hold rows of any fit: padded slots cost no step.
    steps = -(-rows.kept_count.max() // batch)
    blocks = -(-rows.held_count.max() // HELD_BLOCK)
    optimiser = optax.adam(recipe.learning_rate)

    def begin(seed: Shaped[Array, ""]) -> _Training:
        weights, key = padded_weights(
            seed, size.width, size.classes, size.bounds, (X.shape[1], recipe.hidden, room)
        )
        return _Training(
            weights=weights,
            best=weights,
            optimiser=optimiser.init(weights),
            key=key,
            best_value=jnp.float32(-jnp.inf),
            waited=jnp.int32(0),
            epochs=jnp.int32(0),
            loss=jnp.float32(0),
            done=jnp.bool_(False),
        )

    def epoch(old: _Training, rows: _Rows) -> _Training:
        count = rows.kept_count
        order, key = shuffled(old.key, count, slots)
        order = jnp.concatenate([order, jnp.zeros(-slots % batch, order.dtype)])

        def step(
            i: Shaped[Array, ""], carry: tuple[MLPWeights, optax.OptState, Float[Array, ""]]
        ) -> tuple[MLPWeights, optax.OptState, Float[Array, ""]]:
            weights, state, total = carry
            at = jax.lax.dynamic_slice(order, (i * batch,), (batch,))
            mask = ((i * batch + jnp.arange(batch)) < count).astype(jnp.float32)
            loss, gradient = jax.value_and_grad(_loss)(
                weights, X[rows.kept[at]], codes[rows.kept[at]], mask, size.classes, recipe.l2
            )
            # Optax mixes Python floats and int32 counts, which strict promotion refuses.
            with jax.numpy_dtype_promotion("standard"):
                change, new_state = optimiser.update(gradient, state, weights)
            live = mask.sum() > 0
            pick = partial(jax.tree.map, lambda new, old: jnp.where(live, new, old))
            return (
                pick(optax.apply_updates(weights, change), weights),
                pick(new_state, state),
                total + jnp.where(live, loss * mask.sum(), 0.0),
            )

        weights, state, total = jax.lax.fori_loop(
            0, steps, step, (old.weights, old.optimiser, jnp.float32(0))
        )
        loss = total / count.astype(jnp.float32)

        def judge(i: Shaped[Array, ""], hits: Float[Array, ""]) -> Float[Array, ""]:
            at = jax.lax.dynamic_slice(rows.held, (i * HELD_BLOCK,), (HELD_BLOCK,))
            guess = jnp.argmax(_logits(weights, X[at], size.classes), axis=1)
            real = i * HELD_BLOCK + jnp.arange(HELD_BLOCK) < rows.held_count
            return hits + jnp.sum(((guess == codes[at]) & real).astype(jnp.float32))

        hits = jax.lax.fori_loop(0, blocks, judge, jnp.float32(0))
        held_n = rows.held_count
        value = jnp.where(held_n > 0, hits / jnp.maximum(held_n, 1).astype(jnp.float32), -loss)
        gained = value > old.best_value + recipe.gain
        waited = jnp.where(gained, 0, old.waited + 1)
        better = value > old.best_value
        new = _Training(
            weights=weights,
            best=jax.tree.map(lambda a, b: jnp.where(better, a, b), weights, old.best),
            optimiser=state,
            key=key,
            best_value=jnp.maximum(value, old.best_value),
            waited=waited,
            epochs=old.epochs + 1,
            loss=loss,
            done=waited >= recipe.patience,
        )
        return jax.tree.map(lambda a, b: jnp.where(old.done, a, b), old, new)

    def going(carry: tuple[_Training, Int[Array, ""]]) -> Bool[Array, ""]:
        return (carry[1] < recipe.max_epochs) & ~carry[0].done.all()

    state, _ = jax.lax.while_loop(
        going,
        lambda carry: (jax.vmap(epoch)(carry[0], rows), carry[1] + 1),
        (jax.vmap(begin)(seeds), jnp.int32(0)),
    )
    return _Trained(state.best, state.epochs, state.loss, state.done)


def _padded(
    lists: Sequence[Int[np.ndarray, " _"]], room: int
) -> tuple[Int[Array, "fit slot"], Int[Array, " fit"]]:
    """Index lists as one matrix with ``room`` for each, and their lengths."""
    table = np.zeros((len(lists), room), np.int32)
    for slot, rows in zip(table, lists, strict=True):
        slot[: len(rows)] = rows
    return jnp.asarray(table), jnp.asarray(np.array([len(rows) for rows in lists], np.int32))


def _train_group(
    X: Float[np.ndarray, "row dim"],
    codes: Int[np.ndarray, " row"],
    class_count: int,
    splits: Sequence[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]],
    seeds: Sequence[int],
    recipe: MLPRecipe,
) -> _Trained:
    """Train fits whose rows have the same room; only rows that any of them uses are laid out."""
    used = np.unique(np.concatenate([rows for split in splits for rows in split]))
    width = X.shape[1]
    features = np.zeros((room_for_rows(len(used)), room_for_features(width)), np.float32)
    features[: len(used), :width] = X[used]
    labels = np.zeros(len(features), np.int32)
    labels[: len(used)] = codes[used]
    kept, held = (
        [np.searchsorted(used, split[part]).astype(np.int32) for split in splits] for part in (0, 1)
    )
    slots = room_for_rows(max(map(len, kept)))
    blocks = -(-max(map(len, held)) // HELD_BLOCK)
    rows = _Rows(
        *_padded(kept, slots), *_padded(held, max(slots // 8, blocks * HELD_BLOCK, HELD_BLOCK))
    )
    size = _Size(
        jnp.int32(width),
        jnp.int32(class_count),
        jnp.asarray(glorot_bounds(width, recipe.hidden, class_count)),
    )
    # float32 means float32: accelerators would otherwise multiply in TF32 or bfloat16.
    with jax.default_matmul_precision("highest"):
        trained = _train(
            jnp.asarray(features),
            jnp.asarray(labels),
            rows,
            size,
            jnp.asarray(np.array(seeds, np.uint32)),
            room=room_for_classes(class_count),
            recipe=recipe,
        )
    found: _Trained = jax.device_get(trained)
    w1, b1, w2, b2 = found.best
    own = MLPWeights(w1[:, :width], b1, w2[:, :, :class_count], b2[:, :class_count])
    return found._replace(best=own)


def train_mlps(
    X: Float[np.ndarray, "row dim"],
    codes: Int[np.ndarray, " row"],
    class_count: int,
    subsets: Sequence[Int[np.ndarray, " _"]],
    seeds: Sequence[int],
    recipe: MLPRecipe,
) -> MLPFits:
    """Train one probe a (subset, seed) pair over one feature matrix; float32.

    Args:
        X: Features.
        codes: Label codes.
        class_count: K.
        subsets: Rows of each fit.
        seeds: Seed of each fit: decides its held-out rows, initial weights and batches.
        recipe: How to train.
    """
    splits = [
        split_rows(codes, rows, seed, recipe.held_out)
        for rows, seed in zip(subsets, seeds, strict=True)
    ]
    # Fits of like size together: a full-data fit must not make few-shot fits as long as itself.
    rooms = [room_for_rows(len(kept)) for kept, _ in splits]
    ended: dict[int, _Trained] = {}
    for room in sorted(set(rooms)):
        members = [f for f, own in enumerate(rooms) if own == room]
        found = _train_group(
            X, codes, class_count, [splits[f] for f in members], [seeds[f] for f in members], recipe
        )
        for position, f in enumerate(members):
            ended[f] = jax.tree.map(lambda leaf, at=position: leaf[at], found)
    ordered = [ended[f] for f in range(len(splits))]
    return MLPFits(
        hidden_weights=np.stack([one.best.w1 for one in ordered]),
        hidden_bias=np.stack([one.best.b1 for one in ordered]),
        output_weights=np.stack([one.best.w2 for one in ordered]),
        output_bias=np.stack([one.best.b2 for one in ordered]),
        epochs=np.array([int(one.epochs) for one in ordered]),
        loss=np.array([float(one.loss) for one in ordered]),
        stopped=np.array([bool(one.done) for one in ordered]),
    )
