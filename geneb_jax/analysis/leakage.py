"""Test rows whose sequence is also a training row, and the score without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax.analysis.bootstrap import row_bootstrap_mcc

__all__ = ["Leakage", "ModelLeakage", "leakage", "leaked_rows", "read_leakage"]


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


@dataclass(frozen=True, slots=True)
class ModelLeakage:
    """The same for one model in one regime, means over seeds; ``clean_mcc`` needs every seed."""

    model_id: str
    regime: str
    task: Leakage


def leaked_rows(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Bool ``[test row]``: whether the sequence occurs among the training rows.

    Args:
        train: ``[train row]``, what stands for the sequence: its position in the table of distinct
            sequences, or its digest as fixed-width bytes.
        test: ``[test row]`` likewise.
    """
    found: np.ndarray = np.isin(test, train)
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


def read_leakage(run: Mapping[str, Any]) -> tuple[ModelLeakage, ...]:
    """The ``leakage`` of a run.json, averaged over seeds.

    Each entry, one a fit, is a mapping with ``model_id``, ``regime`` and the fields of
    :class:`Leakage`; what is not that is passed over. A run that lists none has measured none.
    """
    entries = run.get("leakage", [])
    groups: dict[tuple[str, str, str], list[Leakage]] = {}
    for entry in entries if isinstance(entries, list) else []:
        found = _entry(entry)
        if found is not None:
            groups.setdefault((found.model_id, found.regime, found.task.task_id), []).append(
                found.task
            )
    return tuple(
        ModelLeakage(model_id, regime, _over_seeds(fits))
        for (model_id, regime, _), fits in groups.items()
    )


def _entry(entry: object) -> ModelLeakage | None:
    if not isinstance(entry, Mapping):
        return None
    names = [entry.get(key) for key in ("model_id", "regime", "task_id")]
    counts = [entry.get(key) for key in ("test_rows", "leaked")]
    mcc, clean = entry.get("mcc"), entry.get("clean_mcc")
    if not all(isinstance(name, str) for name in names):
        return None
    if not all(isinstance(count, int) and not isinstance(count, bool) for count in counts):
        return None
    if not isinstance(mcc, int | float) or not isinstance(clean, int | float | None):
        return None
    return ModelLeakage(
        model_id=str(names[0]),
        regime=str(names[1]),
        task=Leakage(
            str(names[2]),
            int(counts[0] or 0),
            int(counts[1] or 0),
            float(mcc),
            None if clean is None else float(clean),
        ),
    )


def _over_seeds(fits: list[Leakage]) -> Leakage:
    clean = [fit.clean_mcc for fit in fits if fit.clean_mcc is not None]
    return Leakage(
        task_id=fits[0].task_id,
        test_rows=fits[0].test_rows,
        leaked=fits[0].leaked,
        mcc=float(np.mean([fit.mcc for fit in fits])),
        clean_mcc=float(np.mean(clean)) if len(clean) == len(fits) else None,
    )


def _mcc(codes: np.ndarray) -> float:
    return float(row_bootstrap_mcc(codes[0], codes[1:], draws=0)[0, 0])
