"""Test rows whose sequence is also a training row, and the score without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.bootstrap import row_bootstrap_mcc

__all__ = ["Leakage", "leakage", "leaked_rows"]


@dataclass(frozen=True, slots=True)
class Leakage:
    """MCC on the whole test set and on the part that shares no sequence with training.

    Attributes:
        task_id: The task.
        test_rows: Rows of the test set.
        leaked: How many of them are in the training set too.
        mcc: MCC on all rows.
        clean_mcc: MCC without the leaked rows; None if fewer than two rows, or one class, are left.
    """

    task_id: str
    test_rows: int
    leaked: int
    mcc: float
    clean_mcc: float | None


def leaked_rows(train_digests: np.ndarray, test_digests: np.ndarray) -> np.ndarray:
    """Bool ``[test row]``: whether the sequence's digest occurs among the training rows.

    Args:
        train_digests: ``[train row]`` of fixed-width bytes, as the data room gives them.
        test_digests: ``[test row]`` likewise.
    """
    found: np.ndarray = np.isin(test_digests, train_digests)
    return found


def leakage(
    task_id: str, y_true: np.ndarray, predictions: np.ndarray, leaked: np.ndarray
) -> Leakage:
    """Score a task with and without its leaked test rows.

    The probe is the same in both: it was fitted with the training rows as they are.

    Args:
        task_id: The task.
        y_true: Labels ``[row]``, any sortable values.
        predictions: Predictions ``[row]`` in the same labels.
        leaked: Bool ``[row]``.
    """
    table = np.stack([y_true, predictions])
    codes = np.unique(table, return_inverse=True)[1].reshape(table.shape)
    clean = codes[:, ~leaked]
    usable = clean.shape[1] >= 2 and len(np.unique(clean[0])) >= 2
    return Leakage(
        task_id=task_id,
        test_rows=len(y_true),
        leaked=int(leaked.sum()),
        mcc=_mcc(codes),
        clean_mcc=_mcc(clean) if usable else None,
    )


def _mcc(codes: np.ndarray) -> float:
    return float(row_bootstrap_mcc(codes[0], codes[1:], draws=0)[0, 0])
