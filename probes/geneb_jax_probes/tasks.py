"""Probe many tasks at once: fit, predict the test rows, score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from geneb_jax_probes.errors import ProbeError
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.lanes import Lane, lanes, run_on_lanes
from geneb_jax_probes.metrics import confusion, scores_of_confusion
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.tasks import PackedFits, fit_packed
from geneb_jax_probes.probability_scores import probability_scores
from geneb_jax_probes.problem import Dtype, Problem, check_C, check_dtype, make_problem
from geneb_jax_probes.scoring import Decided, decide_and_count
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solve import solve_problems
from geneb_jax_probes.solvers.choice import find_solver
from geneb_jax_probes.solvers.solver import Solver
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

    truth: Int[np.ndarray, " row"]
    names: Int[np.ndarray, " class"]  # number of each training class
    class_count: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A task found in order: its number, its training set and its test set."""

    position: int
    problem: Problem
    X_test: Float[np.ndarray, "row dim"]
    test: _TestSet


def _test_set(problem: Problem, y_test: Shaped[np.ndarray, " row"]) -> _TestSet:
    classes, numbers = np.unique(np.concatenate([problem.classes, y_test]), return_inverse=True)
    known = problem.class_count
    return _TestSet(numbers[known:], numbers[:known], len(classes))


def _decided(
    X: Float[np.ndarray, "row dim"], test: _TestSet, fits: LogisticFits, lane: Lane
) -> Decided:
    """What the fits say of the test rows."""
    logits, width = fits.coef.shape[2:]
    if fits.apart:  # one product a fit, in the arithmetic of scikit-learn 1.9
        return _counted(test, fits, fits.decision_function(X))
    return decide_and_count(
        X,
        test.truth,
        fits.coef.reshape(-1, logits, width),
        fits.intercept.reshape(-1, logits),
        test.names,
        test.class_count,
        lane,
    )


def _counted(test: _TestSet, fits: LogisticFits, values: Float[np.ndarray, "S C *rest"]) -> Decided:
    """The same from decision values, as :meth:`LogisticFits.decision_function` gives them."""
    rows = len(test.truth)
    found = fits.codes_of(values).reshape(-1, rows)
    counts = confusion(test.truth, test.names[found], test.class_count)
    return Decided(counts, found.T, values.reshape(len(found), rows, -1))


def _scored(
    task: ProbeTask,
    problem: Problem,
    test: _TestSet,
    fits: LogisticFits,
    decided: Decided,
    keep_predictions: bool,
) -> TaskScores:
    subsets, strengths = fits.coef.shape[:2]
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
        n_test=len(test.truth),
        n_classes=np.array([len(np.unique(problem.codes[chosen])) for chosen in rows]),
        solver=fits.solver,
        dtype=fits.dtype,
        error=errors,
        predictions=predictions,
    )


def _score_packed(task: ProbeTask, packed: PackedFits, keep_predictions: bool) -> TaskScores:
    fits, test = packed.fits, _test_set(packed.problem, packed.y_test)
    logits = fits.coef.shape[2]
    values = packed.values.reshape(*fits.coef.shape[:3], -1)
    values = values[:, :, 0] if logits == 1 else np.moveaxis(values, 2, 3)
    decided = _counted(test, fits, values)
    return _scored(task, packed.problem, test, fits, decided, keep_predictions)


def _settle(
    tasks: Sequence[ProbeTask],
    packed: Mapping[int, PackedFits],
    solver: Solver,
    settings: Settings,
) -> None:
    """Solve the fits by themselves whose packed end does not stand, in place of those."""
    for c in range(len(settings.strengths)):
        again = [number for number, one in packed.items() if one.unsettled[:, c].any()]
        problems = []
        for number in again:
            which, task = np.flatnonzero(packed[number].unsettled[:, c]), tasks[number]
            subsets = [None] if task.subsets is None else [task.subsets[s] for s in which.tolist()]
            problems.append(make_problem(np.asarray(task.X_train), task.y_train, subsets))
        if not again:
            continue
        solved = solve_problems(
            problems, solver, replace(settings, strengths=settings.strengths[c : c + 1])
        )
        for number, fits in zip(again, solved, strict=True):
            packed[number].put(c, fits, tasks[number].X_test)


def _room(packed: bool | Room | None, solver: Solver, working: Dtype) -> Room | None:
    """What tasks are packed into; None where they are not."""
    if packed is False or solver.rules_when_packed(working) is None:
        return None
    place = lanes()[0]
    if place.state_dtype != "float64" or (packed is None and not place.compiles_triton):
        return None
    return packed if isinstance(packed, Room) else Room()


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
    packed: bool | Room | None = None,
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
        packed: Whether the tasks' features are held together and all fits run in one program
            (``reference`` in float64, and ``exact``), and what that has room for; None: on NVIDIA
            GPUs.

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
    by_dtype: dict[Dtype, list[_Ready]] = {}

    def failed(task: ProbeTask, error: Exception) -> TaskScores:
        said = str(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {error}"
        kind = asked or chosen.default_dtype(None)
        return failed_task(task, strengths, chosen.name, kind, said)

    usual = asked or chosen.default_dtype(np.dtype(np.float32))
    room = _room(packed, chosen, usual)
    if room is not None:
        settings = Settings(strengths, tol, max_iter, usual, memory_bytes)
        together = fit_packed(tasks, chosen, settings, room)
        fitted_so = {at: one for at, one in together.items() if isinstance(one, PackedFits)}
        _settle(tasks, fitted_so, chosen, settings)
        for position, one in together.items():
            task = tasks[position]
            if isinstance(one, ProbeError):
                found[position] = failed(task, one)
            else:
                found[position] = _score_packed(task, one, keep_predictions)
    for position, task in enumerate(tasks):
        if found[position] is not None:
            continue
        try:
            problem = make_problem(task.X_train, task.y_train, task.subsets)
            X_test, y_test = check_test_set(task, problem)
            ready = _Ready(position, problem, X_test, _test_set(problem, y_test))
        except Exception as error:  # objects of others raise what they like, and fail by themselves
            found[position] = failed(task, error)
        else:
            working = asked or chosen.default_dtype(problem.X.dtype)
            by_dtype.setdefault(working, []).append(ready)
    for working, group in by_dtype.items():
        settings = Settings(strengths, tol, max_iter, working, memory_bytes)
        fitted = solve_problems([ready.problem for ready in group], chosen, settings)

        def score(item: tuple[_Ready, LogisticFits], lane: Lane) -> TaskScores:
            ready, fits = item
            decided = _decided(ready.X_test, ready.test, fits, lane)
            task = tasks[ready.position]
            return _scored(task, ready.problem, ready.test, fits, decided, keep_predictions)

        items = list(zip(group, fitted, strict=True))
        scored = run_on_lanes(score, items, lambda item: float(item[0].X_test.size))
        for ready, scores in zip(group, scored, strict=True):
            found[ready.position] = scores
    return [one for one in found if one is not None]
