"""Test rows whose sequence is also a training row, or nearly one, and the score without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.analysis.bootstrap import row_bootstrap_mcc
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.test_row_predictions import as_codes
from geneb_jax.data import LeakKind

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
        reverse_complements: Test rows whose reverse complement is in the training set, the leaked
            ones not counted again; None where it was not looked for.
        near_repeats: Test rows that are nearly a training row, the former not counted again.
        distinct_mcc: MCC without the rows of all three kinds, as ``clean_mcc``.
    """

    task_id: str
    test_rows: int
    leaked: int
    mcc: float
    clean_mcc: float | None
    reverse_complements: int | None = None
    near_repeats: int | None = None
    distinct_mcc: float | None = None

    @property
    def resembling(self) -> int | None:
        """Rows of all three kinds, where they were looked for."""
        if self.reverse_complements is None or self.near_repeats is None:
            return None
        return self.leaked + self.reverse_complements + self.near_repeats


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
        resembling: Leaked rows, reverse complements and near repeats together; None unless every
            task was searched for them.
        distinct_macro: Macro mean without all of them; None where a task has no such score.
    """

    model_id: str
    regime: str
    affected: int
    leaked: int
    macro: float
    clean_macro: float | None
    resembling: int | None = None
    distinct_macro: float | None = None


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
    task_id: str,
    y_true: np.ndarray,
    predictions: np.ndarray,
    leaked: np.ndarray,
    kinds: np.ndarray | None = None,
) -> Leakage:
    """Score a task with and without its leaked test rows, and without all that resemble training.

    The probe is the same in both: it was fitted with the training rows as they are.

    Args:
        task_id: The task.
        y_true: Labels ``[row]``, any sortable values.
        predictions: Predictions ``[row]``, or ``[fit, row]``, in the same labels.
        leaked: Bool ``[row]``.
        kinds: uint8 ``[row]`` of :class:`geneb_jax.data.LeakKind`, where the task was searched for
            reverse complements and near repeats.
    """
    codes = as_codes(np.concatenate([y_true[None], np.atleast_2d(predictions)]))
    found = Leakage(
        task_id=task_id,
        test_rows=len(y_true),
        leaked=int(leaked.sum()),
        mcc=_mean_mcc(codes),
        clean_mcc=_mcc_of(codes[:, ~leaked]),
    )
    if kinds is None:
        return found
    return replace(
        found,
        reverse_complements=int(np.sum(~leaked & (kinds == LeakKind.REVERSE_COMPLEMENT))),
        near_repeats=int(np.sum(~leaked & (kinds == LeakKind.NEAR))),
        distinct_mcc=_mcc_of(codes[:, ~leaked & (kinds == LeakKind.NONE)]),
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
        resembling = [task.resembling for task in kept]
        known = [count for count in resembling if count is not None]
        macros.append(
            CleanMacro(
                model_id=model_id,
                regime=regime,
                affected=sum(task.leaked > 0 for task in kept),
                leaked=sum(task.leaked for task in kept),
                macro=_macro(np.array([task.mcc for task in kept]), cube.category_of_task),
                clean_macro=_macro_of([task.clean_mcc for task in kept], cube),
                resembling=sum(known) if len(known) == len(resembling) else None,
                distinct_macro=_macro_of([task.distinct_mcc for task in kept], cube),
            )
        )
    return tuple(macros)


def _macro(scores: np.ndarray, category_of_task: np.ndarray) -> float:
    return float(mean_of(category_means(scores, category_of_task)))


def _macro_of(scores: Sequence[float | None], cube: ScoreCube) -> float | None:
    """The macro mean; None where a task has no score."""
    values = np.array([np.nan if score is None else score for score in scores])
    macro = _macro(values, cube.category_of_task)
    return macro if np.isfinite(macro) else None


def _mcc_of(codes: np.ndarray) -> float | None:
    """Mean MCC of the fits; None where fewer than two rows, or one class, are left."""
    usable = codes.shape[1] >= 2 and len(np.unique(codes[0])) >= 2
    return _mean_mcc(codes) if usable else None


def _mean_mcc(codes: np.ndarray) -> float:
    return float(row_bootstrap_mcc(codes[0], codes[1:], draws=0)[0].mean())
