"""Probe many tasks at once: fit, predict the test rows, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geneb_jax_probes.errors import ProbeError
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.lanes import Lane, run_on_lanes
from geneb_jax_probes.metrics import confusion, scores_of_confusion
from geneb_jax_probes.probability_scores import probability_scores
from geneb_jax_probes.problem import Dtype, Problem, check_C, check_dtype, make_problem
from geneb_jax_probes.scoring import Decided, decide_and_count
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solve import solve_problems
from geneb_jax_probes.solvers.choice import find_solver
from geneb_jax_probes.task_scores import (
    ProbeTask,
    TaskScores,
    check_test_set,
    failed_task,
    unscored,
)

__all__ = ["fit_tasks"]


@dataclass(frozen=True, slots=True)
class _TestSet:
    """Test rows of one task, labels numbered along with those of the training set."""

    X: Float[np.ndarray, "row dim"]
    truth: Int[np.ndarray, " row"]
    names: Int[np.ndarray, " class"]  # number of each training class
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
    if fits.apart:
        decided = _decided_apart(test, fits)
    else:
        decided = decide_and_count(
            test.X,
            test.truth,
            fits.coef.reshape(-1, logits, width),
            fits.intercept.reshape(-1, logits),
            test.names,
            test.class_count,
            lane,
        )
    counts, guesses = decided.counts, decided.guesses
    scored = scores_of_confusion(counts.reshape(subsets, strengths, *counts.shape[1:]))
    ranked = probability_scores(test.truth, decided.logits, test.names, test.class_count)
    blank, errors = unscored(fits.status)
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
        auroc=ranked.auroc.reshape(blank.shape) + blank,
        auprc=ranked.auprc.reshape(blank.shape) + blank,
        brier=ranked.brier.reshape(blank.shape) + blank,
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


def _decided_apart(test: _TestSet, fits: LogisticFits) -> Decided:
    """The same by one product a fit, in the arithmetic of scikit-learn 1.9."""
    logits = fits.decision_function(test.X)
    found = fits.codes_of(logits).reshape(-1, len(test.X))
    counts = confusion(test.truth, test.names[found], test.class_count)
    return Decided(counts, found.T, logits.reshape(len(found), len(test.X), -1))


def fit_tasks(
    tasks: Sequence[ProbeTask],
    *,
    C: float | Sequence[float] | np.ndarray = (1.0,),
    solver: str = "reference",
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
        solver: ``reference`` gives the benchmark's score, ``reference32`` that of a harness on
            scikit-learn 1.9 or later, ``exact`` and ``optax`` the optimum's.
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
    chosen = find_solver(solver)
    asked = None if dtype is None else check_dtype(dtype)
    Settings(strengths, tol, max_iter, asked or "float64", memory_bytes)  # refuses odd limits
    found: list[TaskScores | None] = [None] * len(tasks)
    by_dtype: dict[Dtype, list[tuple[int, Problem, _TestSet]]] = {}
    for position, task in enumerate(tasks):
        try:
            problem = make_problem(task.X_train, task.y_train, task.subsets)
            ready = (position, problem, _test_set(task, problem))
        except Exception as error:  # objects of others raise what they like, and fail by themselves
            said = (
                str(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {error}"
            )
            kind = asked or chosen.default_dtype(None)
            found[position] = failed_task(task, strengths, chosen.name, kind, said)
        else:
            working = asked or chosen.default_dtype(problem.X.dtype)
            by_dtype.setdefault(working, []).append(ready)
    for working, group in by_dtype.items():
        settings = Settings(strengths, tol, max_iter, working, memory_bytes)
        fitted = solve_problems([problem for _, problem, _ in group], chosen, settings)

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
