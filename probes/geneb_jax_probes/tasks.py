"""Probe many tasks at once: fit, predict the test rows, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_probes.errors import ProbeDataError, ProbeError
from geneb_jax_probes.logistic import fit_problem
from geneb_jax_probes.metrics import scores
from geneb_jax_probes.problem import (
    Dtype,
    Problem,
    Solver,
    check_C,
    check_features,
    check_solver,
    make_problem,
    working_dtype,
)

__all__ = ["ProbeTask", "TaskScores", "check_test_set", "failed_task", "fit_tasks"]


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """One classification task and the subsets of its training rows to fit on.

    Attributes:
        X_train: Features ``[n_train, d]``.
        y_train: Labels ``[n_train]``.
        X_test: Features ``[n_test, d]``.
        y_test: Labels ``[n_test]``; may hold classes that the training labels lack.
        subsets: Row numbers of each fit; None inside is all rows; None is one fit on all rows.
        name: Names the task in errors.
    """

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any
    subsets: Sequence[Any] | None = None
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
        status: ``[S, C]``, one of ``STATUSES``, or ``error``.
        n_train: ``[S]`` rows fitted on.
        n_test: Test rows.
        n_classes: ``[S]`` distinct labels among the rows fitted on.
        solver: ``exact``, ``reference``, or ``adam`` for the MLP.
        dtype: The precision of the fits.
        error: For each subset what kept it from being scored, or None.
        predictions: ``[S, C, n_test]`` labels, where asked for.
    """

    name: str
    C: np.ndarray
    mcc: np.ndarray
    accuracy: np.ndarray
    macro_f1: np.ndarray
    n_iter: np.ndarray
    grad_norm: np.ndarray
    objective: np.ndarray
    status: np.ndarray
    n_train: np.ndarray
    n_test: int
    n_classes: np.ndarray
    solver: str
    dtype: Dtype
    error: tuple[str | None, ...]
    predictions: np.ndarray | None = None


def failed_task(
    task: ProbeTask, strengths: np.ndarray, solver: str, dtype: Dtype, message: str
) -> TaskScores:
    """The record of a task that could not be fitted at all."""
    count = 1 if task.subsets is None else len(task.subsets)
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
        status=np.full(shape, "error", dtype="<U12"),
        n_train=np.zeros(count, np.int64),
        n_test=0,
        n_classes=np.zeros(count, np.int64),
        solver=solver,
        dtype=dtype,
        error=(message,) * count,
    )


def check_test_set(task: ProbeTask, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Test features and labels that fit the training set.

    Raises:
        ProbeDataError: Lengths or widths that differ, NaN or infinity.
    """
    X_test = check_features(task.X_test, "X_test")
    y_test = np.asarray(task.y_test)
    if y_test.shape != (len(X_test),):
        raise ProbeDataError(f"X_test has {len(X_test)} rows and y_test shape {y_test.shape}")
    if X_test.shape[1] != problem.X.shape[1]:
        raise ProbeDataError(f"X_test has {X_test.shape[1]} features, X_train {problem.X.shape[1]}")
    return X_test, y_test


def _one_task(
    task: ProbeTask,
    strengths: np.ndarray,
    solver: Solver,
    tol: float | None,
    max_iter: int,
    dtype: str | None,
    keep_predictions: bool,
) -> TaskScores:
    problem = make_problem(task.X_train, task.y_train, task.subsets)
    X_test, y_test = check_test_set(task, problem)
    working = working_dtype(dtype, problem.X, solver)
    fits = fit_problem(problem, strengths, solver=solver, tol=tol, max_iter=max_iter, dtype=working)
    predictions = fits.predict(X_test)
    scored = scores(y_test, predictions)
    errors: list[str | None] = []
    for s in range(len(problem.subsets)):
        bad = np.isin(fits.status[s], ("one_class", "not_finite"))
        text = {"one_class": "the rows hold one class", "not_finite": "the objective is not finite"}
        errors.append(text[str(fits.status[s][bad][0])] if bad.any() else None)
    keep = ~np.isin(fits.status, ("one_class", "not_finite"))
    return TaskScores(
        name=task.name,
        C=strengths,
        mcc=np.where(keep, scored.mcc, np.nan),
        accuracy=np.where(keep, scored.accuracy, np.nan),
        macro_f1=np.where(keep, scored.macro_f1, np.nan),
        n_iter=fits.n_iter,
        grad_norm=fits.grad_norm,
        objective=fits.objective,
        status=fits.status,
        n_train=np.array([problem.subset_size(s) for s in range(len(problem.subsets))]),
        n_test=len(X_test),
        n_classes=np.array(
            [len(np.unique(problem.codes[problem.subset_rows(s)])) for s in range(len(errors))]
        ),
        solver=solver,
        dtype=working,
        error=tuple(errors),
        predictions=predictions if keep_predictions else None,
    )


def fit_tasks(
    tasks: Sequence[ProbeTask],
    *,
    C: float | Sequence[float] = (1.0,),
    solver: Solver = "reference",
    tol: float | None = None,
    max_iter: int = 1000,
    dtype: str | None = None,
    keep_predictions: bool = False,
) -> list[TaskScores]:
    """Fit and score every (task, subset, C), batched over all of them.

    A task that cannot be fitted is reported in its own ``error``; the others go on.

    Args:
        tasks: The tasks, in any mixture of shapes and class counts.
        C: Inverse regularisation strengths.
        solver: ``reference`` gives the benchmark's score, ``exact`` the optimum's.
        tol: As in :func:`fit_logistic`.
        max_iter: As in :func:`fit_logistic`.
        dtype: As in :func:`fit_logistic`.
        keep_predictions: Whether to return the predicted labels.

    Returns:
        One :class:`TaskScores` a task, in order.

    Raises:
        ProbeOptionError: An option out of range.
    """
    strengths = check_C(C)
    chosen = check_solver(solver)
    found = []
    for task in tasks:
        try:
            found.append(_one_task(task, strengths, chosen, tol, max_iter, dtype, keep_predictions))
        except ProbeError as error:
            working = working_dtype(dtype, task.X_train, chosen)
            found.append(failed_task(task, strengths, chosen, working, str(error)))
    return found
