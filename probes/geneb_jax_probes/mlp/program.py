"""The compiled training of one MLP probe, and of several that share a feature matrix.

On CPU fits run one after the other, each until its own stop: products of one fit fill the cores,
and products of many are no faster (1.6 times slower, measured with jaxlib 0.10.2 at 4,096
features). On accelerators they run side by side.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from geneb_jax_probes.mlp.chance import MLPWeights, padded_weights, shuffled
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.shapes import HELD_BLOCK
from geneb_jax_probes.programs import program

__all__ = ["FitRows", "RealSize", "Trained", "train"]


class FitRows(NamedTuple):
    """Rows of each fit, padded: those trained on and those held out."""

    kept: Int[Array, "*fit slot"]
    kept_count: Int[Array, "*fit"]
    held: Int[Array, "*fit held"]
    held_count: Int[Array, "*fit"]


class RealSize(NamedTuple):
    """What the padded arrays really hold, and the bounds of the first weights."""

    width: Int[Array, ""]
    classes: Int[Array, ""]
    bounds: Float[Array, " layer"]


class Trained(NamedTuple):
    """What is kept of a fit."""

    best: MLPWeights
    epochs: Int[Array, "*fit"]
    loss: Float[Array, "*fit"]
    done: Bool[Array, "*fit"]


class _Training(NamedTuple):
    """The state of a fit in training."""

    weights: MLPWeights
    best: MLPWeights
    optimiser: optax.OptState
    key: Key[Array, ""]
    best_value: Float[Array, ""]
    waited: Int[Array, ""]  # epochs since the last gain
    epochs: Int[Array, ""]
    loss: Float[Array, ""]
    done: Bool[Array, ""]


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


def _fit(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    size: RealSize,
    room: int,
    recipe: MLPRecipe,
    rows: FitRows,
    seed: Shaped[Array, ""],
) -> Trained:
    """Train one fit until it stops."""
    slots = rows.kept.shape[0]
    batch = min(recipe.batch_rows, slots)
    count = rows.kept_count
    optimiser = optax.adam(recipe.learning_rate)

    def begin() -> _Training:
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

    def epoch(old: _Training) -> _Training:
        order, key = shuffled(old.key, count, slots)
        order = jnp.concatenate([order, jnp.zeros(-slots % batch, order.dtype)])

        def step(
            i: Shaped[Array, ""], carry: tuple[MLPWeights, optax.OptState, Float[Array, ""]]
        ) -> tuple[MLPWeights, optax.OptState, Float[Array, ""]]:
            weights, state, total = carry
            at = rows.kept[jax.lax.dynamic_slice(order, (i * batch,), (batch,))]
            mask = ((i * batch + jnp.arange(batch)) < count).astype(jnp.float32)
            loss, gradient = jax.value_and_grad(_loss)(
                weights, X[at], codes[at], mask, size.classes, recipe.l2
            )
            # Optax mixes Python floats and int32 counts, which strict promotion refuses.
            with jax.numpy_dtype_promotion("standard"):
                change, state = optimiser.update(gradient, state, weights)
            return optax.apply_updates(weights, change), state, total + loss * mask.sum()

        # Steps and blocks that hold rows: padded slots cost none.
        weights, state, total = jax.lax.fori_loop(
            0, -(-count // batch), step, (old.weights, old.optimiser, jnp.float32(0))
        )
        loss = total / count.astype(jnp.float32)

        def judge(i: Shaped[Array, ""], hits: Float[Array, ""]) -> Float[Array, ""]:
            at = jax.lax.dynamic_slice(rows.held, (i * HELD_BLOCK,), (HELD_BLOCK,))
            guess = jnp.argmax(_logits(weights, X[at], size.classes), axis=1)
            real = i * HELD_BLOCK + jnp.arange(HELD_BLOCK) < rows.held_count
            return hits + jnp.sum(((guess == codes[at]) & real).astype(jnp.float32))

        held_n = rows.held_count
        hits = jax.lax.fori_loop(0, -(-held_n // HELD_BLOCK), judge, jnp.float32(0))
        value = jnp.where(held_n > 0, hits / jnp.maximum(held_n, 1).astype(jnp.float32), -loss)
        waited = jnp.where(value > old.best_value + recipe.gain, 0, old.waited + 1)
        better = value > old.best_value
        return _Training(
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

    ended = jax.lax.while_loop(
        lambda state: (state.epochs < recipe.max_epochs) & ~state.done, epoch, begin()
    )
    return Trained(ended.best, ended.epochs, ended.loss, ended.done)


@program("room", "recipe", "together")
def train(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    rows: FitRows,
    size: RealSize,
    seeds: Shaped[Array, " fit"],
    *,
    room: int,
    recipe: MLPRecipe,
    together: bool,
) -> Trained:
    """Train fits of one matrix.

    Args:
        X: Features, padded with zeros.
        codes: Label codes of its rows.
        rows: Rows of each fit.
        size: What of the arrays is real.
        seeds: uint32, of each fit.
        room: Classes that the output layer has room for.
        recipe: How to train.
        together: Whether fits advance side by side; else one after the other.
    """
    fit = partial(_fit, X, codes, size, room, recipe)
    if together:
        return jax.vmap(fit)(rows, seeds)
    return jax.lax.map(lambda one: fit(*one), (rows, seeds))
