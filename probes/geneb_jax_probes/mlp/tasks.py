"""The MLP probe over many tasks, in the record format of the logistic one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.errors import ProbeError, ProbeOptionError
from geneb_jax_probes.lanes import Lane, run_on_lanes
from geneb_jax_probes.metrics import scores
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.training import train_mlps
from geneb_jax_probes.probability_scores import probability_scores
from geneb_jax_probes.problem import make_problem
from geneb_jax_probes.task_scores import (
    ProbeTask,
    TaskScores,
    check_test_set,
    failed_task,
    unscored,
)

__all__ = ["fit_mlp_tasks"]


def _one_task(
    task: ProbeTask, seeds: Sequence[int], recipe: MLPRecipe, keep_predictions: bool, lane: Lane
) -> TaskScores:
    problem = make_problem(task.X_train, task.y_train, task.subsets)
    X_test, y_test = check_test_set(task, problem)
    if len(seeds) != len(problem.subsets):
        raise ProbeOptionError(
            f"{len(problem.subsets)} subsets need as many seeds, got {len(seeds)}"
        )
    rows = [problem.subset_rows(s) for s in range(len(problem.subsets))]
    counts = np.array([len(np.unique(problem.codes[chosen])) for chosen in rows])
    fits = train_mlps(
        problem.X,
        problem.codes,
        problem.class_count,
        rows,
        [int(seed) for seed in seeds],
        recipe,
        lane=lane,
    )
    status = np.where(fits.stopped, Ending.CONVERGED, Ending.MAX_ITER).astype("<U12")
    status[~np.isfinite(fits.loss)] = Ending.NOT_FINITE
    status[counts < 2] = Ending.ONE_CLASS
    blank, errors = unscored(status[:, None])
    logits = fits.logits(X_test.astype(np.float32))
    guesses = problem.classes[np.argmax(logits, axis=-1)]
    scored = scores(y_test, guesses)
    classes, truth = np.unique(np.concatenate([problem.classes, y_test]), return_inverse=True)
    known = problem.class_count
    ranked = probability_scores(truth[known:], logits, truth[:known], len(classes))
    return TaskScores(
        name=task.name,
        C=np.ones(1),
        mcc=scored.mcc[:, None] + blank,
        accuracy=scored.accuracy[:, None] + blank,
        macro_f1=scored.macro_f1[:, None] + blank,
        auroc=ranked.auroc[:, None] + blank,
        auprc=ranked.auprc[:, None] + blank,
        brier=ranked.brier[:, None] + blank,
        n_iter=fits.epochs[:, None],
        grad_norm=np.full((len(rows), 1), np.nan),
        objective=fits.loss[:, None],
        status=status[:, None],
        n_train=np.array([len(chosen) for chosen in rows]),
        n_test=len(X_test),
        n_classes=counts,
        solver="adam",
        dtype="float32",
        error=errors,
        predictions=guesses[:, None] if keep_predictions else None,
    )


def fit_mlp_tasks(
    tasks: Sequence[ProbeTask],
    *,
    seeds: Sequence[int],
    recipe: MLPRecipe | None = None,
    keep_predictions: bool = False,
) -> list[TaskScores]:
    """Train and score one MLP a (task, subset); ``seeds`` runs along the subsets of every task.

    The record is that of :func:`fit_tasks` with one column: ``n_iter`` counts epochs,
    ``objective`` is the last epoch's training loss, ``grad_norm`` is NaN, ``solver`` is ``adam``.

    Args:
        tasks: The tasks; one that cannot be fitted is reported in its own ``error``.
        seeds: One seed a subset.
        recipe: How to train; None for the defaults.
        keep_predictions: Whether to return the predicted labels.
    """

    def one(task: ProbeTask, lane: Lane) -> TaskScores:
        try:
            return _one_task(task, seeds, recipe or MLPRecipe(), keep_predictions, lane)
        except ProbeOptionError:
            raise
        except Exception as error:  # as in fit_tasks
            said = (
                str(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {error}"
            )
            return failed_task(task, np.ones(1), "adam", "float32", said)

    return run_on_lanes(one, tasks, lambda task: float(np.size(task.X_train)))
