"""One hidden layer of ReLU units, trained with Adam and early stopping, many fits at once.

The recipe is that of scikit-learn's ``MLPClassifier(hidden_layer_sizes=(256,),
early_stopping=True)``: Adam, minibatches of 200, L2 1e-4 on the weights, a tenth of the training
rows held out (stratified), a stop after ten epochs without gain in held-out accuracy, the best
epoch's weights kept. Where fewer than 20 rows would be held out (few-shot draws) nothing is, and
the training loss is watched instead. Each fit has its own rows, seed, epochs and stop; its result
depends on its rows, labels and seed alone.
Rows, features and classes are padded to a few sizes (:mod:`geneb_jax_probes.mlp.shapes`), so that
many tasks and models share a compiled program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_probes.lanes import Lane, run_on_lanes
from geneb_jax_probes.mlp.chance import MLPWeights, glorot_bounds, split_rows
from geneb_jax_probes.mlp.program import FitRows, RealSize, Trained, train
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


def _padded(
    lists: Sequence[Int[np.ndarray, " _"]], room: int, lane: Lane
) -> tuple[Int[Array, "fit slot"], Int[Array, " fit"]]:
    """Index lists as one matrix with ``room`` for each, and their lengths; on the lane."""
    table = np.zeros((len(lists), room), np.int32)
    for slot, rows in zip(table, lists, strict=True):
        slot[: len(rows)] = rows
    counts = np.array([len(rows) for rows in lists], np.int32)
    return lane.put(table, owned=True), lane.put(counts, owned=True)


def _train_group(
    X: Float[np.ndarray, "row dim"],
    codes: Int[np.ndarray, " row"],
    class_count: int,
    splits: Sequence[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]],
    seeds: Sequence[int],
    recipe: MLPRecipe,
    lane: Lane,
) -> Trained:
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
    held_room = max(slots // 8, blocks * HELD_BLOCK, HELD_BLOCK)
    # float32 means float32: accelerators would otherwise multiply in TF32 or bfloat16.
    with jax.enable_x64(False), jax.default_matmul_precision("highest"):
        size = RealSize(
            lane.put(np.int32(width)),
            lane.put(np.int32(class_count)),
            lane.put(glorot_bounds(width, recipe.hidden, class_count)),
        )
        found = lane.call(
            train,
            lane.put(features, owned=True),
            lane.put(labels, owned=True),
            FitRows(*_padded(kept, slots, lane), *_padded(held, held_room, lane)),
            size,
            lane.put(np.array(seeds, np.uint32)),
            room=room_for_classes(class_count),
            recipe=recipe,
            together=not lane.multiplies_on_host,
        )
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
    *,
    lane: Lane | None = None,
) -> MLPFits:
    """Train one probe a (subset, seed) pair over one feature matrix; float32.

    Args:
        X: Features.
        codes: Label codes.
        class_count: K.
        subsets: Rows of each fit.
        seeds: Seed of each fit: decides its held-out rows, initial weights and batches.
        recipe: How to train.
        lane: Where to; None for a lane of its own.
    """
    if lane is None:

        def alone(rows: Sequence[Int[np.ndarray, " _"]], lane: Lane) -> MLPFits:
            return train_mlps(X, codes, class_count, rows, seeds, recipe, lane=lane)

        return run_on_lanes(alone, [subsets], lambda rows: 1.0)[0]
    splits = [
        split_rows(codes, rows, seed, recipe.held_out)
        for rows, seed in zip(subsets, seeds, strict=True)
    ]
    # Fits of like size together: a full-data fit must not make few-shot fits as long as itself.
    rooms = [room_for_rows(len(kept)) for kept, _ in splits]
    ended: dict[int, Trained] = {}
    for room in sorted(set(rooms)):
        members = [f for f, own in enumerate(rooms) if own == room]
        found = _train_group(
            X,
            codes,
            class_count,
            [splits[f] for f in members],
            [seeds[f] for f in members],
            recipe,
            lane,
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
