"""MCC, accuracy and macro-F1 from batched confusion matrices, as scikit-learn defines them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from geneb_jax_probes.errors import ProbeDataError
from geneb_jax_probes.labels import as_array, check_labels, same_kind

__all__ = ["Scores", "confusion", "mcc_of_counts", "scores", "scores_of_confusion"]


@dataclass(frozen=True, slots=True)
class Scores:
    """One value a batch entry, float64, of the leading shape of ``y_pred``."""

    mcc: Float[np.ndarray, "*batch"]
    accuracy: Float[np.ndarray, "*batch"]
    macro_f1: Float[np.ndarray, "*batch"]


def confusion(
    y_true: Int[np.ndarray, " row"], y_pred: Int[np.ndarray, "*batch row"], class_count: int
) -> Int[np.ndarray, "*batch class class"]:
    """Counts int64 (row: true code, column: predicted code)."""
    flat = y_pred.reshape(-1, y_pred.shape[-1])
    cells = class_count * class_count
    pairs = y_true[None, :] * class_count + flat + np.arange(len(flat))[:, None] * cells
    counts = np.bincount(pairs.ravel(), minlength=len(flat) * cells)
    return counts.reshape(*y_pred.shape[:-1], class_count, class_count)


def mcc_of_counts(
    correct: Shaped[np.ndarray, "*batch"],
    true_count: Shaped[np.ndarray, "*batch class"],
    guess_count: Shaped[np.ndarray, "*batch class"],
) -> Float[np.ndarray, "*batch"]:
    """MCC from counts: the confusion matrix itself is not needed.

    Args:
        correct: Rows that are right.
        true_count: Rows of each class.
        guess_count: Rows taken for each class.

    Returns:
        float64; 0 where the truth or the guesses are of one class, as in scikit-learn.
    """
    total = true_count.sum(axis=-1)
    covariance = correct * total - (true_count * guess_count).sum(axis=-1)
    spread = (total**2 - (guess_count**2).sum(axis=-1)) * (total**2 - (true_count**2).sum(axis=-1))
    found = np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
    return np.asarray(found)


def scores_of_confusion(counts: Shaped[np.ndarray, "*batch class class"]) -> Scores:
    """Scores of confusion matrices.

    A constant prediction or a constant truth has MCC 0; macro-F1 averages over the classes that
    occur in the truth or in the predictions (scikit-learn: ``matthews_corrcoef``,
    ``accuracy_score``, ``f1_score(average="macro")``).
    """
    table = counts.astype(np.float64)
    true, predicted = table.sum(-1), table.sum(-2)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    total, correct = true.sum(-1), hits.sum(-1)
    mcc = mcc_of_counts(np.asarray(correct), true, predicted)
    support = true + predicted
    seen = support > 0
    f1 = np.where(seen, 2 * hits / np.where(seen, support, 1.0), 0.0)
    return Scores(*map(np.asarray, (mcc, correct / total, f1.sum(-1) / seen.sum(-1))))


def scores(y_true: ArrayLike, y_pred: ArrayLike) -> Scores:
    """Score predictions ``[..., n]`` against one truth ``[n]``.

    Labels may be any sortable values; classes may occur only in the truth or only in a prediction.

    Returns:
        MCC, accuracy and macro-F1, each float64 ``[...]``, equal to scikit-learn's to 1e-12.
    """
    truth, guesses = check_labels(y_true, "y_true"), as_array(y_pred, "y_pred")
    if not len(truth):
        raise ProbeDataError("y_true must be a non-empty list of labels")
    if guesses.shape[-1:] != truth.shape:
        raise ProbeDataError(f"y_pred has shape {guesses.shape}, y_true {truth.shape}")
    flat = check_labels(guesses.ravel(), "y_pred")
    same_kind(truth, flat, "y_true and y_pred")
    classes, codes = np.unique(np.concatenate([truth, flat]), return_inverse=True)
    truth_codes = codes[: len(truth)]
    guess_codes = codes[len(truth) :].reshape(guesses.shape)
    return scores_of_confusion(confusion(truth_codes, guess_codes, len(classes)))
