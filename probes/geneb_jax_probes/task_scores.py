"""A task to probe, and the record of its scores, whichever probe was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.errors import ProbeDataError
from geneb_jax_probes.labels import check_labels, same_kind
from geneb_jax_probes.problem import Dtype, Problem, check_features

__all__ = [
    "ProbeTask",
    "TaskScores",
    "check_test_labels",
    "check_test_set",
    "failed_task",
    "unscored",
]

_UNSCORED = [ending for ending in Ending if not ending.scored]


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """One classification task and the subsets of its training rows to fit on.

    Attributes:
        X_train: Features ``[n_train, d]``, or :class:`~geneb_jax_probes.feature_rows.FeatureRows`.
        y_train: Labels ``[n_train]``.
        X_test: Features ``[n_test, d]``, likewise.
        y_test: Labels ``[n_test]``; may hold classes that the training labels lack.
        subsets: Row numbers of each fit; None inside is all rows; None is one fit on all rows.
        name: Names the task in errors.
    """

    X_train: ArrayLike
    y_train: ArrayLike
    X_test: ArrayLike
    y_test: ArrayLike
    subsets: Sequence[ArrayLike | None] | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Scores of one task's fits: ``S`` subsets times ``C`` strengths.

    Attributes:
        name: The task's name.
        C: Strengths ``[C]``.
        mcc: ``[S, C]`` float64, NaN only where ``error`` says why; likewise ``accuracy``,
            ``macro_f1``, ``objective`` and ``grad_norm``.
        n_iter: ``[S, C]`` steps.
        status: ``[S, C]``, a word of :class:`~geneb_jax_probes.endings.Ending` each.
        n_train: ``[S]`` rows fitted on.
        n_test: Test rows.
        n_classes: ``[S]`` distinct labels among the rows fitted on.
        solver: The name of the solver; ``adam`` for the MLP.
        dtype: The precision of the fits.
        error: For each subset what kept it from being scored, or None.
        predictions: ``[S, C, n_test]`` labels, where asked for.
        auroc: ``[S, C]`` float64 (:mod:`geneb_jax_probes.probability_scores`), likewise ``auprc``
            and ``brier``; NaN where ``error`` says why, and the first two where all test rows are
            of one class. None from a probe without decision values.
    """

    name: str
    C: Float[np.ndarray, " C"]
    mcc: Float[np.ndarray, "S C"]
    accuracy: Float[np.ndarray, "S C"]
    macro_f1: Float[np.ndarray, "S C"]
    n_iter: Int[np.ndarray, "S C"]
    grad_norm: Float[np.ndarray, "S C"]
    objective: Float[np.ndarray, "S C"]
    status: Shaped[np.ndarray, "S C"]
    n_train: Int[np.ndarray, " S"]
    n_test: int
    n_classes: Int[np.ndarray, " S"]
    solver: str
    dtype: Dtype
    error: tuple[str | None, ...]
    predictions: Shaped[np.ndarray, "S C n_test"] | None = None
    auroc: Float[np.ndarray, "S C"] | None = None
    auprc: Float[np.ndarray, "S C"] | None = None
    brier: Float[np.ndarray, "S C"] | None = None


def failed_task(
    task: ProbeTask, strengths: Float[np.ndarray, " C"], solver: str, dtype: Dtype, message: str
) -> TaskScores:
    """The record of a task that could not be fitted at all."""
    try:
        count = 1 if task.subsets is None else max(1, len(task.subsets))
    except TypeError:
        count = 1
    shape = (count, len(strengths))
    nothing = np.full(shape, np.nan)
    return TaskScores(
        name=task.name,
        C=strengths,
        mcc=nothing,
        accuracy=nothing,
        macro_f1=nothing,
        n_iter=np.zeros(shape, np.int64),
        grad_norm=nothing,
        objective=nothing,
        status=np.full(shape, Ending.FAILED, dtype="<U12"),
        n_train=np.zeros(count, np.int64),
        n_test=0,
        n_classes=np.zeros(count, np.int64),
        solver=solver,
        dtype=dtype,
        error=(message,) * count,
    )


def unscored(
    status: Shaped[np.ndarray, "S C"],
) -> tuple[Float[np.ndarray, "S C"], tuple[str | None, ...]]:
    """What endings take from scores: NaN where a fit is not scored, else 0; and why, by subset."""
    bad = np.isin(status, _UNSCORED)
    reasons = tuple(
        Ending(row[missing][0]).sentence if missing.any() else None
        for row, missing in zip(status, bad, strict=True)
    )
    return np.where(bad, np.nan, 0.0), reasons


def check_test_set(
    task: ProbeTask, problem: Problem
) -> tuple[Float[np.ndarray, "row dim"], Shaped[np.ndarray, " row"]]:
    """Test features and labels that fit the training set.

    Raises:
        ProbeDataError: Lengths or widths that differ, NaN or infinity, labels that are no classes
            or of another kind than the training labels.
    """
    X_test = check_features(task.X_test, "X_test")
    y_test = check_test_labels(task, problem, len(X_test))
    if X_test.shape[1] != problem.X.shape[1]:
        raise ProbeDataError(f"X_test has {X_test.shape[1]} features, X_train {problem.X.shape[1]}")
    return X_test, y_test


def check_test_labels(task: ProbeTask, problem: Problem, rows: int) -> Shaped[np.ndarray, " row"]:
    """Test labels that fit the training set and so many test rows.

    Raises:
        ProbeDataError: As :func:`check_test_set`, of labels.
    """
    y_test = check_labels(task.y_test, "y_test")
    same_kind(problem.classes, y_test, "y_train and y_test")
    if y_test.shape != (rows,):
        raise ProbeDataError(f"X_test has {rows} rows and y_test shape {y_test.shape}")
    return y_test
