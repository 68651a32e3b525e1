"""Score each C of a sweep on held-out training rows, so that none has to be chosen by test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geneb_jax.runs.units import ProbeSettings
from geneb_jax_probes import ProbeTask, scores

__all__ = ["FOLDS", "can_hold_out", "fold_of_rows", "score_folds", "sweeps"]

#: Parts of the training rows: each is held out once.
FOLDS = 3


def sweeps(settings: ProbeSettings) -> bool:
    """Whether several strengths are probed, so that one has to be chosen."""
    return len(settings.C) > 1 and settings.kind.uses_C


def can_hold_out(settings: ProbeSettings) -> bool:
    """Whether a choice can rest on held-out training rows: a probe with a C, on all rows."""
    return settings.kind.uses_C and any(not regime.seeded for regime in settings.regimes)


def fold_of_rows(labels: np.ndarray) -> np.ndarray:
    """int64 ``[row]``: the fold that holds a training row out; each class is spread evenly."""
    fold = np.zeros(len(labels), np.int64)
    generator = np.random.RandomState(0)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def score_folds(problems: Sequence[ProbeTask], settings: ProbeSettings) -> list[np.ndarray]:
    """MCC of every C on the held-out rows of every fold.

    Args:
        problems: The tasks; their subsets and test rows play no part.
        settings: How they are probed.

    Returns:
        float64 ``[C, fold]`` a task, NaN where a fit has no score.
    """
    folds = [fold_of_rows(np.asarray(problem.y_train)) for problem in problems]
    held_out = [
        replace(
            problem,
            X_test=problem.X_train,
            y_test=problem.y_train,
            subsets=[np.flatnonzero(fold != k) for k in range(FOLDS)],
        )
        for problem, fold in zip(problems, folds, strict=True)
    ]
    found = []
    fitted = settings.kind.fit(held_out, settings, True)
    for problem, fold, one in zip(problems, folds, fitted, strict=True):
        mcc = np.full((len(settings.C), FOLDS), np.nan)
        truth = np.asarray(problem.y_train)
        for k in range(FOLDS):
            rows = fold == k
            if one.predictions is not None and rows.any():
                mcc[:, k] = scores(truth[rows], one.predictions[k][:, rows]).mcc
                mcc[~np.isfinite(one.mcc[k]), k] = np.nan
        found.append(mcc)
    return found
