"""Probe many tasks at once: fit, predict the test rows, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax_probes.devices import Lane, run_on_lanes
from geneb_jax_probes.engine import solve_problems
from geneb_jax_probes.errors import ProbeDataError, ProbeError
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.metrics import scores_of_confusion
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
from geneb_jax_probes.scoring import count_predictions
from geneb_jax_probes.settings import Settings

__all__ = ["ProbeTask", "TaskScores", "check_test_set", "failed_task", "fit_tasks"]


_UNSCORED = {
    "one_class": "the rows hold one class",
    "not_finite": "the objective left the range of the dtype",
}


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


@dataclass(frozen=True, slots=True)
class _TestSet:
    """Test rows of one task, labels numbered along with those of the training set."""

    X: np.ndarray
    truth: np.ndarray
    names: np.ndarray  # number of each training class
    class_count: int


def _test_set(task: ProbeTask, problem: Problem) -> _TestSet:
    X_test, y_test = check_test_set(task, problem)
    classes, numbers = np.unique(np.concatenate([problem.classes, y_test]), return_inverse=True)
    known = problem.class_count
    return _TestSet(X_test, numbers[known:], numbers[:known], len(classes))


def _scored(
    task: ProbeTask,
    problem: Problem,
    test: _TestSet,
    fits: LogisticFits,
    lane: Lane,
    keep_predictions: bool,
) -> TaskScores:
    subsets, strengths, logits, width = fits.coef.shape
    counts, guesses = count_predictions(
        test.X,
        test.truth,
        fits.coef.reshape(-1, logits, width),
        fits.intercept.reshape(-1, logits),
        test.names,
        test.class_count,
        lane,
    )
    scored = scores_of_confusion(counts.reshape(subsets, strengths, *counts.shape[1:]))
    failed = np.isin(fits.status, list(_UNSCORED))
    blank = np.where(failed, np.nan, 0.0)
    errors = tuple(
        _UNSCORED[str(row[bad][0])] if bad.any() else None
        for row, bad in zip(fits.status, failed, strict=True)
    )
    predictions = None
    if keep_predictions:
        predictions = problem.classes[guesses.T.reshape(subsets, strengths, -1)]
    rows = [problem.subset_rows(s) for s in range(subsets)]
    return TaskScores(
        name=task.name,
        C=fits.C,
        mcc=scored.mcc + blank,
        accuracy=scored.accuracy + blank,
        macro_f1=scored.macro_f1 + blank,
        n_iter=fits.n_iter,
        grad_norm=fits.grad_norm,
        objective=fits.objective,
        status=fits.status,
        n_train=np.array([len(chosen) for chosen in rows]),
        n_test=len(test.X),
        n_classes=np.array([len(np.unique(problem.codes[chosen])) for chosen in rows]),
        solver=fits.solver,
        dtype=fits.dtype,
        error=errors,
        predictions=predictions,
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
    memory_bytes: int | None = None,
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
        memory_bytes: As in :func:`fit_logistic`.

    Returns:
        One :class:`TaskScores` a task, in order.

    Raises:
        ProbeOptionError: An option out of range.
    """
    strengths = check_C(C)
    chosen = check_solver(solver)
    found: list[TaskScores | None] = [None] * len(tasks)
    by_dtype: dict[Dtype, list[tuple[int, Problem, _TestSet]]] = {}
    for position, task in enumerate(tasks):
        working = working_dtype(dtype, task.X_train, chosen)
        try:
            problem = make_problem(task.X_train, task.y_train, task.subsets)
            ready = (position, problem, _test_set(task, problem))
        except ProbeError as error:
            found[position] = failed_task(task, strengths, chosen, working, str(error))
        else:
            by_dtype.setdefault(working, []).append(ready)
    for working, group in by_dtype.items():
        settings = Settings(strengths, chosen, tol, max_iter, working, memory_bytes)
        fitted = solve_problems([problem for _, problem, _ in group], settings)

        def score(
            item: tuple[tuple[int, Problem, _TestSet], LogisticFits], lane: Lane
        ) -> TaskScores:
            (position, problem, test), fits = item
            return _scored(tasks[position], problem, test, fits, lane, keep_predictions)

        items = list(zip(group, fitted, strict=True))
        scored = run_on_lanes(score, items, lambda item: float(item[0][2].X.size))
        for (position, _, _), one in zip(group, scored, strict=True):
            found[position] = one
    return [one for one in found if one is not None]
