"""One hidden layer of ReLU units, trained with Adam and early stopping, many fits at once.

The recipe is that of scikit-learn's ``MLPClassifier(hidden_layer_sizes=(256,),
early_stopping=True)``: Adam, minibatches of 200, L2 1e-4 on the weights, a tenth of the training
rows held out (stratified), a stop after ten epochs without gain in held-out accuracy, the best
epoch's weights kept. Where fewer than 20 rows would be held out (few-shot draws) nothing is, and
the training loss is watched instead. Fits of one feature matrix are advanced together, each with
its own rows, seed, epochs and stop; a fit's result depends on its rows, labels and seed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

__all__ = ["MLPFits", "MLPRecipe", "train_mlps"]


#: Fewer held-out rows than this judge an epoch worse than the training loss does.
_LEAST_HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class MLPRecipe:
    """How the probe is trained; the defaults are scikit-learn's.

    Attributes:
        hidden: Units of the hidden layer.
        learning_rate: Of Adam.
        batch_rows: Rows of a minibatch.
        l2: Penalty on the weights, divided by the rows of the minibatch.
        held_out: Share of the training rows kept for early stopping.
        patience: Epochs without gain before the stop.
        gain: Smallest rise in held-out accuracy (or fall in training loss) that counts.
        max_epochs: Most passes over the training rows.
    """

    hidden: int = 256
    learning_rate: float = 1e-3
    batch_rows: int = 200
    l2: float = 1e-4
    held_out: float = 0.1
    patience: int = 10
    gain: float = 1e-4
    max_epochs: int = 200


@dataclass(frozen=True, slots=True)
class MLPFits:
    """Trained probes, ``F`` of them: weights, and for each its epochs, loss and status."""

    hidden_weights: np.ndarray  # [F, d, hidden]
    hidden_bias: np.ndarray  # [F, hidden]
    output_weights: np.ndarray  # [F, hidden, K]
    output_bias: np.ndarray  # [F, K]
    epochs: np.ndarray  # [F]
    loss: np.ndarray  # [F] mean training loss of the last epoch
    stopped: np.ndarray  # [F] whether early stopping ended the fit

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Logits ``[F, n, K]`` of features ``[n, d]``."""
        found = []
        for f in range(len(self.epochs)):
            units = np.maximum(X @ self.hidden_weights[f] + self.hidden_bias[f], 0)
            found.append(units @ self.output_weights[f] + self.output_bias[f])
        return np.stack(found)


def split_rows(
    codes: np.ndarray, rows: np.ndarray, seed: int, held_out: float
) -> tuple[np.ndarray, np.ndarray]:
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


def _initial(key: Any, width: int, hidden: int, classes: int) -> dict[str, Any]:
    """Glorot-uniform weights and biases, as scikit-learn draws them (bound sqrt(6 / fan sum))."""
    keys = jax.random.split(key, 4)

    def draw(key: Any, fans: tuple[int, int], shape: tuple[int, ...]) -> Any:
        bound = float(np.sqrt(6.0 / sum(fans)))
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    return {
        "w1": draw(keys[0], (width, hidden), (width, hidden)),
        "b1": draw(keys[1], (width, hidden), (hidden,)),
        "w2": draw(keys[2], (hidden, classes), (hidden, classes)),
        "b2": draw(keys[3], (hidden, classes), (classes,)),
    }


def _logits(params: dict[str, Any], X: Any) -> Any:
    units = jax.nn.relu(X @ params["w1"] + params["b1"][None, :])
    return units @ params["w2"] + params["b2"][None, :]


def _loss(params: dict[str, Any], X: Any, codes: Any, mask: Any, l2: float) -> Any:
    losses = optax.softmax_cross_entropy_with_integer_labels(_logits(params, X), codes)
    count = jnp.maximum(mask.sum(), 1.0)
    penalty = jnp.sum(params["w1"] ** 2) + jnp.sum(params["w2"] ** 2)
    return (jnp.sum(losses * mask) + 0.5 * l2 * penalty) / count


@partial(jax.jit, static_argnames=("classes", "recipe"))
def _train(
    X: Any, codes: Any, kept: Any, kept_count: Any, held: Any, held_count: Any, seeds: Any,
    *, classes: int, recipe: MLPRecipe,
) -> dict[str, Any]:  # fmt: skip
    slots = kept.shape[1]
    batch = min(recipe.batch_rows, slots)
    steps = -(-slots // batch)
    optimiser = optax.adam(recipe.learning_rate)
    held_codes = codes[held]
    held_mask = jnp.arange(held.shape[1])[None, :] < held_count[:, None]

    def begin(seed: Any) -> dict[str, Any]:
        key, draw = jax.random.split(jax.random.key(seed))
        params = _initial(draw, X.shape[1], recipe.hidden, classes)
        return {
            "params": params, "best": params, "opt": optimiser.init(params), "key": key,
            "best_value": jnp.float32(-jnp.inf), "waited": jnp.int32(0), "epochs": jnp.int32(0),
            "loss": jnp.float32(0), "done": jnp.bool_(False),
        }  # fmt: skip

    def epoch(state: dict[str, Any], mine: tuple[Any, ...]) -> dict[str, Any]:
        rows, count, held_rows, held_y, held_in, held_n = mine
        key, draw = jax.random.split(state["key"])
        noise = jax.random.uniform(draw, (slots,))
        order = jnp.argsort(jnp.where(jnp.arange(slots) < count, noise, 2.0))
        order = jnp.concatenate([order, jnp.zeros(steps * batch - slots, order.dtype)])

        def step(i: Any, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            params, opt, total = carry
            at = jax.lax.dynamic_slice(order, (i * batch,), (batch,))
            mask = ((i * batch + jnp.arange(batch)) < count).astype(jnp.float32)
            loss, gradient = jax.value_and_grad(_loss)(
                params, X[rows[at]], codes[rows[at]], mask, recipe.l2
            )
            # Optax mixes Python floats and int32 counts, which strict promotion refuses.
            with jax.numpy_dtype_promotion("standard"):
                change, new_opt = optimiser.update(gradient, opt, params)
            live = mask.sum() > 0
            pick = partial(jax.tree.map, lambda new, old: jnp.where(live, new, old))
            return (
                pick(optax.apply_updates(params, change), params),
                pick(new_opt, opt),
                total + jnp.where(live, loss * mask.sum(), 0.0),
            )

        params, opt, total = jax.lax.fori_loop(
            0, steps, step, (state["params"], state["opt"], jnp.float32(0))
        )
        loss = total / count.astype(jnp.float32)
        guess = jnp.argmax(_logits(params, X[held_rows]), axis=1)
        hits = jnp.sum(((guess == held_y) & held_in).astype(jnp.float32))
        value = jnp.where(held_n > 0, hits / jnp.maximum(held_n, 1).astype(jnp.float32), -loss)
        gained = value > state["best_value"] + recipe.gain
        waited = jnp.where(gained, 0, state["waited"] + 1)
        better = value > state["best_value"]
        new = {
            "params": params,
            "best": jax.tree.map(lambda a, b: jnp.where(better, a, b), params, state["best"]),
            "opt": opt, "key": key, "waited": waited, "epochs": state["epochs"] + 1,
            "best_value": jnp.maximum(value, state["best_value"]), "loss": loss,
            "done": waited >= recipe.patience,
        }  # fmt: skip
        return jax.tree.map(lambda old, fresh: jnp.where(state["done"], old, fresh), state, new)

    state = jax.vmap(begin)(seeds)
    mine = (kept, kept_count, held, held_codes, held_mask, held_count)

    def going(carry: tuple[Any, Any]) -> Any:
        return (carry[1] < recipe.max_epochs) & ~carry[0]["done"].all()

    state, _ = jax.lax.while_loop(
        going, lambda carry: (jax.vmap(epoch)(carry[0], mine), carry[1] + 1), (state, jnp.int32(0))
    )
    return {name: state[name] for name in ("best", "epochs", "loss", "done")}


def _padded(lists: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Index lists as one matrix, rows padded to a power of two, and their lengths."""
    counts = np.array([len(rows) for rows in lists], np.int32)
    width = 1 << int(max(int(counts.max()), 1) - 1).bit_length()
    table = np.zeros((len(lists), width), np.int32)
    for slot, rows in zip(table, lists, strict=True):
        slot[: len(rows)] = rows
    return table, counts


def train_mlps(
    X: np.ndarray,
    codes: np.ndarray,
    class_count: int,
    subsets: list[np.ndarray],
    seeds: list[int],
    recipe: MLPRecipe,
) -> MLPFits:
    """Train one probe a (subset, seed) pair over one feature matrix; float32.

    Args:
        X: Features ``[n, d]``.
        codes: Label codes ``[n]``.
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
    sizes = [len(kept).bit_length() for kept, _ in splits]
    features = jnp.asarray(X.astype(np.float32, copy=False))
    labels = jnp.asarray(codes, jnp.int32)
    parts: dict[int, dict[str, Any]] = {}
    for size in sorted(set(sizes)):
        members = [f for f, own in enumerate(sizes) if own == size]
        kept, kept_count = _padded([splits[f][0] for f in members])
        held, held_count = _padded([splits[f][1] for f in members])
        found = jax.device_get(
            _train(
                features, labels, kept, kept_count, held, held_count,
                np.array([seeds[f] for f in members], np.uint32),
                classes=class_count, recipe=recipe,
            )
        )  # fmt: skip
        for position, f in enumerate(members):
            parts[f] = jax.tree.map(lambda leaf, at=position: leaf[at], found)
    ordered = [parts[f] for f in range(len(splits))]
    return MLPFits(
        hidden_weights=np.stack([part["best"]["w1"] for part in ordered]),
        hidden_bias=np.stack([part["best"]["b1"] for part in ordered]),
        output_weights=np.stack([part["best"]["w2"] for part in ordered]),
        output_bias=np.stack([part["best"]["b2"] for part in ordered]),
        epochs=np.array([int(part["epochs"]) for part in ordered]),
        loss=np.array([float(part["loss"]) for part in ordered]),
        stopped=np.array([bool(part["done"]) for part in ordered]),
    )
