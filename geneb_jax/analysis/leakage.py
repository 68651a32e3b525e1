"""Test rows whose sequence is also a training row, and the score without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.analysis.bootstrap import row_bootstrap_mcc
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.test_row_predictions import as_codes

__all__ = ["CleanMacro", "Leakage", "ModelLeakage", "clean_macros", "leakage", "leaked_rows"]


@dataclass(frozen=True, slots=True)
class Leakage:
    """MCC on the whole test set and on the part that shares no sequence with training.

    Attributes:
        task_id: The task.
        test_rows: Rows of the test set.
        leaked: How many of them are in the training set too.
        mcc: MCC on all rows, mean over fits.
        clean_mcc: MCC without the leaked rows, mean over fits; None if fewer than two rows, or one
            class, are left.
    """

    task_id: str
    test_rows: int
    leaked: int
    mcc: float
    clean_mcc: float | None


@dataclass(frozen=True, slots=True)
class ModelLeakage:
    """The same for one model in one regime."""

    model_id: str
    regime: str
    task: Leakage


@dataclass(frozen=True, slots=True)
class CleanMacro:
    """A model's macro mean with every leaked test row left out.

    Attributes:
        model_id: The model.
        regime: The regime.
        affected: Tasks with leaked rows.
        leaked: Those rows together.
        macro: Macro mean on all rows.
        clean_macro: The same without the leaked rows; None where a task has no such score.
    """

    model_id: str
    regime: str
    affected: int
    leaked: int
    macro: float
    clean_macro: float | None


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
        predictions: Predictions ``[row]``, or ``[fit, row]``, in the same labels.
        leaked: Bool ``[row]``.
    """
    codes = as_codes(np.concatenate([y_true[None], np.atleast_2d(predictions)]))
    clean = codes[:, ~leaked]
    usable = clean.shape[1] >= 2 and len(np.unique(clean[0])) >= 2
    return Leakage(
        task_id=task_id,
        test_rows=len(y_true),
        leaked=int(leaked.sum()),
        mcc=_mean_mcc(codes),
        clean_mcc=_mean_mcc(clean) if usable else None,
    )


def clean_macros(cube: ScoreCube, found: Sequence[ModelLeakage]) -> tuple[CleanMacro, ...]:
    """Macro means without leaked rows, for every (model, regime) with predictions of every task.

    Args:
        cube: The models and tasks.
        found: Scores with and without leaked rows.
    """
    by_unit: dict[tuple[str, str], dict[str, Leakage]] = {}
    for entry in found:
        by_unit.setdefault((entry.model_id, entry.regime), {})[entry.task.task_id] = entry.task
    macros = []
    for (model_id, regime), tasks in by_unit.items():
        chosen = [tasks.get(task.task_id) for task in cube.tasks]
        kept = [task for task in chosen if task is not None]
        if len(kept) < len(chosen):
            continue
        clean = np.array([np.nan if t.clean_mcc is None else t.clean_mcc for t in kept])
        macro = _macro(clean, cube.category_of_task)
        macros.append(
            CleanMacro(
                model_id=model_id,
                regime=regime,
                affected=sum(task.leaked > 0 for task in kept),
                leaked=sum(task.leaked for task in kept),
                macro=_macro(np.array([task.mcc for task in kept]), cube.category_of_task),
                clean_macro=macro if np.isfinite(macro) else None,
            )
        )
    return tuple(macros)


def _macro(scores: np.ndarray, category_of_task: np.ndarray) -> float:
    return float(mean_of(category_means(scores, category_of_task)))


def _mean_mcc(codes: np.ndarray) -> float:
    return float(row_bootstrap_mcc(codes[0], codes[1:], draws=0)[0].mean())
