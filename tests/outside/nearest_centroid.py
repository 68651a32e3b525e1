"""A probe that the project does not know: the class whose mean embedding is nearest.

Everything that a probe costs: this module, and one entry (:data:`KIND`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geneb_jax.runs.probe_kinds import ProbeKind
from geneb_jax.runs.units import ProbeSettings
from geneb_jax_probes import ProbeTask, TaskScores, scores

__all__ = ["KIND"]


def _fit(
    problems: Sequence[ProbeTask], settings: ProbeSettings, keep_predictions: bool
) -> list[TaskScores]:
    return [_one(problem, keep_predictions) for problem in problems]


def _one(problem: ProbeTask, keep_predictions: bool) -> TaskScores:
    subsets = [
        np.arange(len(problem.y_train)) if rows is None else rows for rows in problem.subsets
    ]
    guesses, classes = [], []
    for rows in subsets:
        names = np.unique(problem.y_train[rows])
        means = np.stack(
            [problem.X_train[rows][problem.y_train[rows] == name].mean(0) for name in names]
        )
        distances = ((problem.X_test[:, None] - means) ** 2).sum(2)
        guesses.append(names[distances.argmin(1)])
        classes.append(len(names))
    found = scores(problem.y_test, np.stack(guesses)[:, None])
    shape = (len(subsets), 1)
    return TaskScores(
        name=problem.name,
        C=np.ones(1),
        mcc=found.mcc,
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        n_iter=np.ones(shape, int),
        grad_norm=np.full(shape, np.nan),
        objective=np.zeros(shape),
        status=np.full(shape, "converged"),
        n_train=np.array([len(rows) for rows in subsets]),
        n_test=len(problem.y_test),
        n_classes=np.array(classes),
        solver="mean",
        dtype="float64",
        error=(None,) * len(subsets),
        predictions=np.stack(guesses)[:, None] if keep_predictions else None,
    )


KIND = ProbeKind(
    name="centroid",
    says="the class whose mean embedding is nearest",
    list_solvers=lambda: {"mean": "the mean of each class"},
    uses_C=False,
    seed_per_fit=False,
    dtype=lambda solver, platform: "float64",
    fit=_fit,
)
