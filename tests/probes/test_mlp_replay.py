"""The MLP's training against the same recipe written out in NumPy, float64, epoch by epoch.

Only what chance decides is taken from the library: first weights, rows held out, order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_probes import MLPRecipe
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.mlp.chance import first_weights, shuffled, split_rows
from geneb_jax_probes.mlp.training import train_mlps
from tests.tolerance import Tolerance

Weights = list[np.ndarray]


@dataclass
class _Adam:
    """Kingma and Ba's update with the defaults of every library."""

    rate: float
    mean: Weights
    square: Weights
    steps: int = 0

    def update(self, weights: Weights, gradient: Weights) -> Weights:
        self.steps += 1
        self.mean = [0.9 * m + 0.1 * g for m, g in zip(self.mean, gradient, strict=True)]
        self.square = [
            0.999 * v + 0.001 * g * g for v, g in zip(self.square, gradient, strict=True)
        ]
        moved = []
        for w, m, v in zip(weights, self.mean, self.square, strict=True):
            unbiased, spread = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
            moved.append(w - self.rate * unbiased / (np.sqrt(spread) + 1e-8))
        return moved


def _forward(weights: Weights, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w1, b1, w2, b2 = weights
    units = np.maximum(X @ w1 + b1, 0)
    return units, units @ w2 + b2


def _loss(weights: Weights, X: np.ndarray, y: np.ndarray, l2: float) -> tuple[float, Weights]:
    """Mean log-loss plus ``l2 / 2n`` times the squared weights (biases free), and its gradient."""
    w1, _, w2, _ = weights
    units, z = _forward(weights, X)
    z = z - z.max(axis=1, keepdims=True)
    chance = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    n = len(X)
    loss = -np.log(chance[np.arange(n), y]).mean()
    loss += l2 / (2 * n) * (np.square(w1).sum() + np.square(w2).sum())
    back = chance.copy()
    back[np.arange(n), y] -= 1
    back /= n
    hidden = (back @ w2.T) * (units > 0)
    return float(loss), [
        X.T @ hidden + l2 / n * w1,
        hidden.sum(axis=0),
        units.T @ back + l2 / n * w2,
        back.sum(axis=0),
    ]


@dataclass
class _Replayed:
    best: Weights
    last: Weights
    epochs: int
    loss: float
    stopped: bool


def _replay(
    X: np.ndarray, y: np.ndarray, classes: int, rows: np.ndarray, seed: int, recipe: MLPRecipe
) -> _Replayed:
    kept, held = split_rows(y, rows, seed, recipe.held_out)
    drawn, key = first_weights(jnp.uint32(seed), X.shape[1], recipe.hidden, classes)
    weights: Weights = [np.asarray(part, np.float64) for part in drawn]
    adam = _Adam(recipe.learning_rate, [0 * w for w in weights], [0 * w for w in weights])
    slots = 1 << (len(kept) - 1).bit_length()
    best, best_value, waited = weights, -np.inf, 0
    for epoch in range(1, recipe.max_epochs + 1):
        order, key = shuffled(key, jnp.int32(len(kept)), slots)
        at = kept[np.asarray(order)[: len(kept)]]
        total = 0.0
        for first in range(0, len(at), recipe.batch_rows):
            batch = at[first : first + recipe.batch_rows]
            loss, gradient = _loss(weights, X[batch], y[batch], recipe.l2)
            weights = adam.update(weights, gradient)
            total += loss * len(batch)
        loss = total / len(kept)
        right = np.argmax(_forward(weights, X[held])[1], axis=1) == y[held] if len(held) else None
        value = -loss if right is None else float(right.mean())
        waited = 0 if value > best_value + recipe.gain else waited + 1
        if value > best_value:
            best, best_value = weights, value
        if waited >= recipe.patience:
            return _Replayed(best, weights, epoch, loss, True)
    return _Replayed(best, weights, recipe.max_epochs, loss, False)


def replayed_guesses(
    X: np.ndarray,
    codes: np.ndarray,
    classes: int,
    X_test: np.ndarray,
    seed: int,
    recipe: MLPRecipe,
) -> np.ndarray:
    """Class codes that the replayed probe, fitted on all rows, gives the test rows."""
    own = _replay(X.astype(np.float64), codes, classes, np.arange(len(X)), seed, recipe)
    return np.argmax(_forward(own.best, X_test.astype(np.float64))[1], axis=1)


def _data(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((500, 6)).astype(np.float32)
    logits = np.square(X) @ rng.standard_normal((6, classes)) + rng.gumbel(size=(500, classes))
    return X, np.argmax(logits, axis=1)


#: Rows enough to hold some out; and few, whose training loss is watched instead.
CASES = {
    "held out": (np.arange(450), MLPRecipe(hidden=12, learning_rate=0.02, batch_rows=64, patience=4,
                                           l2=0.5, max_epochs=60)),
    "few rows": (np.arange(30), MLPRecipe(hidden=12, learning_rate=0.05, batch_rows=16, patience=2,
                                          l2=2.0, max_epochs=60)),
    "cut short": (np.arange(200), MLPRecipe(hidden=12, learning_rate=0.005, max_epochs=7)),
}  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "side by side"])
def test_training_is_the_recipe_step_for_step(
    case: str,
    classes: int,
    together: bool,
    tolerance: Tolerance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Side by side is what accelerators do.
    monkeypatch.setattr(Lane, "multiplies_on_host", property(lambda lane: not together))
    rows, recipe = CASES[case]
    X, y = _data(classes)
    seeds = [0, 5]
    fits = train_mlps(X, y.astype(np.int32), classes, [rows, rows], seeds, recipe)
    for f, seed in enumerate(seeds):
        own = _replay(X.astype(np.float64), y, classes, rows, seed, recipe)
        assert (int(fits.epochs[f]), bool(fits.stopped[f])) == (own.epochs, own.stopped)
        assert own.stopped == (case != "cut short")
        near = tolerance("mlp_replay", "float32")
        np.testing.assert_allclose(fits.loss[f], own.loss, rtol=near)
        found = (
            fits.hidden_weights[f], fits.hidden_bias[f], fits.output_weights[f], fits.output_bias[f]
        )  # fmt: skip
        for ours, theirs, last in zip(found, own.best, own.last, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=near)
            # What is kept is the best epoch's, and in these cases that is not the last one's.
            assert not own.stopped or np.abs(theirs - last).max() > 10 * near


def test_first_weights_are_glorots() -> None:
    drawn, _ = first_weights(jnp.uint32(3), 40, 256, 5)
    for part, fans in zip(drawn, ((40, 256), (40, 256), (256, 5), (256, 5)), strict=True):
        bound = np.sqrt(6 / sum(fans))
        assert 0.9 * bound < np.abs(part).max() <= bound or part.size < 10
    assert len({float(x) for x in jax.device_get(drawn.w1).ravel()[:100]}) == 100


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    _, key = first_weights(jnp.uint32(3), 4, 4, 2)
    seen = []
    for _ in range(4):
        order, key = shuffled(key, jnp.int32(21), 32)
        np.testing.assert_array_equal(np.sort(order[:21]), np.arange(21))
        seen.append(tuple(int(x) for x in order[:21]))
    assert len(set(seen)) == 4


def test_held_out_rows_are_a_tenth_of_every_class() -> None:
    codes = np.repeat([0, 1, 2], [300, 100, 50])
    kept, held = split_rows(codes, np.arange(450), 7, 0.1)
    np.testing.assert_array_equal(np.bincount(codes[held]), [30, 10, 5])
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(450))
    assert set(held) != set(split_rows(codes, np.arange(450), 8, 0.1)[1])
    few, none = split_rows(codes, np.arange(199), 7, 0.1)
    assert (len(few), len(none)) == (199, 0)


@pytest.mark.sweep
def test_tasks_of_other_sizes_share_a_program_and_start_from_their_own_weights() -> None:
    from geneb_jax_probes.mlp.program import train

    recipe = MLPRecipe(hidden=8, max_epochs=2)
    rng = np.random.default_rng(0)
    before = train.compilations
    for rows, width, classes in ((200, 5, 2), (310, 64, 3), (420, 17, 4)):
        X = rng.standard_normal((rows, width)).astype(np.float32)
        y = np.arange(rows, dtype=np.int32) % classes
        fits = train_mlps(X, y, classes, [np.arange(rows)], [7], recipe)
        assert fits.hidden_weights.shape == (1, width, 8)
        assert fits.output_bias.shape == (1, classes)
        still = train_mlps(
            X,
            y,
            classes,
            [np.arange(rows)],
            [7],
            MLPRecipe(hidden=8, max_epochs=2, learning_rate=0),
        )
        drawn, _ = first_weights(jnp.uint32(7), width, 8, classes)
        found = (
            still.hidden_weights, still.hidden_bias, still.output_weights, still.output_bias
        )  # fmt: skip
        for own, first in zip(found, drawn, strict=True):
            assert np.array_equal(own[0], np.asarray(first))
    assert train.compilations - before == 2  # one a recipe
