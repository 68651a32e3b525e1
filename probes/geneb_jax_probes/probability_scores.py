"""AUROC, AUPRC and Brier score of many fits at once, as scikit-learn defines them.

Ranks come from one sort a fit and class; ties count as scikit-learn counts them. Two classes: the
decision value ranks, the second class is the positive one. More: one class against the rest by its
probability, and the plain mean over the classes that have test rows with and without them, as
``roc_auc_score(average="macro", multi_class="ovr")`` and ``average_precision_score`` of the
indicator matrix; a class without a test row has neither curve and is no part of the mean. Where no
class is left, the test set being of one class, both are NaN. The Brier score of more than two
classes is the sum over classes, 0 to 2, as ``brier_score_loss`` has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, softmax

__all__ = ["ProbabilityScores", "probability_scores"]

#: Probabilities that are held at a time, in numbers.
_BLOCK = 2**23


@dataclass(frozen=True, slots=True)
class ProbabilityScores:
    """One value a fit, float64; NaN where it is not defined."""

    auroc: Float[np.ndarray, " fit"]
    auprc: Float[np.ndarray, " fit"]
    brier: Float[np.ndarray, " fit"]


def probability_scores(
    truth: Int[np.ndarray, " row"],
    logits: Float[np.ndarray, "fit row logit"],
    names: Int[np.ndarray, " known"],
    class_count: int,
) -> ProbabilityScores:
    """Score decision values.

    Args:
        truth: Class of each row, 0..class_count-1.
        logits: One logit for two classes (above 0: the second), or one a class.
        names: Number among ``class_count`` of each class of the fits.
        class_count: Classes of training and test set together. One that no fit knows has
            probability 0.
    """
    count, rows, _ = logits.shape
    found = np.full((3, count), np.nan)
    step = max(1, _BLOCK // max(1, rows * class_count))
    with np.errstate(invalid="ignore", over="ignore"):  # fits that left the range are NaN anyway
        for first in range(0, count, step):
            part = slice(first, first + step)
            block = logits[part].astype(np.float64)
            one = _two_classes if class_count == len(names) == 2 else _many_classes
            found[:, part] = one(truth, block, names, class_count)
    return ProbabilityScores(*found)


def _two_classes(
    truth: Int[np.ndarray, " row"],
    logits: Float[np.ndarray, "fit row logit"],
    names: Int[np.ndarray, " known"],
    class_count: int,
) -> Float[np.ndarray, "score fit"]:
    value = logits[..., 0] if logits.shape[-1] == 1 else logits[..., 1] - logits[..., 0]
    positive = truth == 1
    brier = ((expit(value) - positive) ** 2).mean(axis=1)
    return np.stack([*_curves(positive, value), brier])


def _many_classes(
    truth: Int[np.ndarray, " row"],
    logits: Float[np.ndarray, "fit row logit"],
    names: Int[np.ndarray, " known"],
    class_count: int,
) -> Float[np.ndarray, "score fit"]:
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    share = np.zeros((*logits.shape[:2], class_count))
    share[..., names] = softmax(logits, axis=-1)
    brier = np.zeros(len(logits))
    curves = []
    for k in range(class_count):
        positive = truth == k
        brier += ((share[..., k] - positive) ** 2).mean(axis=1)
        if positive.any() and not positive.all():
            curves.append(_curves(positive, share[..., k]))
    if not curves:
        return np.stack([np.full(len(logits), np.nan)] * 2 + [brier])
    auroc, auprc = np.mean(curves, axis=0)
    return np.stack([auroc, auprc, brier])


def _curves(
    positive: Bool[np.ndarray, " row"], value: Float[np.ndarray, "fit row"]
) -> tuple[Float[np.ndarray, " fit"], Float[np.ndarray, " fit"]]:
    """Areas under the ROC curve (trapezoids) and under precision over recall (steps)."""
    total, rows = int(positive.sum()), len(positive)
    if total in (0, rows):
        nothing = np.full(len(value), np.nan)
        return nothing, nothing
    order = np.argsort(-value, axis=1)
    ranked = np.take_along_axis(value, order, axis=1)
    hits = np.cumsum(positive[order], axis=1, dtype=np.int64)
    taken = np.arange(1, rows + 1)
    # Only at the last of equal values is there a point of the curve.
    ends = np.concatenate([ranked[:, 1:] != ranked[:, :-1], np.ones((len(value), 1), bool)], axis=1)
    before = _at_last_end(hits, ends)
    misses, misses_before = taken - hits, _at_last_end(taken - hits, ends)
    doubled = np.where(ends, (misses - misses_before) * (hits + before), 0).sum(axis=1)
    steps = np.where(ends, (hits - before) * (hits / taken), 0.0).sum(axis=1)
    return doubled / (2.0 * total * (rows - total)), steps / total


def _at_last_end(
    counts: Int[np.ndarray, "fit row"], ends: Bool[np.ndarray, "fit row"]
) -> Int[np.ndarray, "fit row"]:
    """The count at the last end before each place; 0 before the first."""
    found = np.zeros_like(counts)
    found[:, 1:] = np.maximum.accumulate(np.where(ends, counts, 0), axis=1)[:, :-1]
    return found
