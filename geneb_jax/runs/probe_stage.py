"""Fit and score the problems of one group of tasks, and turn them into rows of scores.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis import leaked_rows
from geneb_jax.benchmark import Regime, Task
from geneb_jax.data import SequenceTable, TaskTable, few_shot_rows
from geneb_jax.embed import read_or_embed
from geneb_jax.models import Encoder
from geneb_jax.results import FAILED, AnswerKey, ScoreRow, UnitPredictions
from geneb_jax.runs.units import ProbeSettings, fits_a_strength
from geneb_jax.store import EmbeddingStore
from geneb_jax_probes import ProbeTask, TaskScores, fit_mlp_tasks, fit_tasks

__all__ = [
    "Features",
    "ScoredUnit",
    "failed_rows",
    "fit_problems",
    "problem_rows",
    "score_group",
    "training_subsets",
]


@dataclass(frozen=True, slots=True)
class Features:
    """Where the embeddings of a run's tasks are: the store, and each task's rows in the table.

    A shard that proves damaged on reading is embedded anew on the spot.
    """

    store: EmbeddingStore
    encoder: Encoder
    sequences: SequenceTable
    position: Mapping[Task, int]
    batch_tokens: int | None = None

    def of(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Train and test embeddings of a task, float32 ``[rows, width]``, in the file's order."""
        at = self.position[task]
        digests = self.sequences.digests
        train, test = (
            read_or_embed(
                self.store,
                self.encoder,
                self.sequences,
                digests[rows[at]],
                batch_tokens=self.batch_tokens,
            )
            for rows in (self.sequences.train_rows, self.sequences.test_rows)
        )
        return train, test

    def answers(self, task: Task, table: TaskTable) -> AnswerKey:
        """The task's true test labels, and which test sequences are training sequences too."""
        at = self.position[task]
        train, test = self.sequences.train_rows[at], self.sequences.test_rows[at]
        return AnswerKey(table.test_labels, leaked_rows(train, test))


@dataclass(frozen=True, slots=True)
class ScoredUnit:
    """The rows of one (task, regime), and what the test rows were predicted to be."""

    rows: list[ScoreRow]
    predictions: UnitPredictions | None


def failed_rows(
    model_id: str, task: Task, regime: Regime, settings: ProbeSettings, error: str
) -> list[ScoreRow]:
    """Rows that say why a unit has no scores: one a seed and C, like a unit that has."""
    return [
        ScoreRow(
            model_id=model_id,
            task_id=task.task_id,
            category=task.category,
            regime=regime.name,
            seed=seed,
            C=C,
            probe=settings.probe,
            solver=settings.solver,
            mcc=None,
            accuracy=None,
            macro_f1=None,
            n_train=None,
            n_test=None,
            n_classes=None,
            n_iter=None,
            grad_norm=None,
            status=FAILED,
            error=error,
        )
        for C in settings.C
        for seed in settings.seeds
    ]


def score_group(
    model_id: str,
    tables: Mapping[Task, TaskTable],
    group: Sequence[Task],
    features: Features,
    settings: ProbeSettings,
) -> dict[tuple[Task, Regime], ScoredUnit]:
    """Fit every regime, seed and C of a group of tasks in batched calls and score the test rows."""
    problems = []
    for task in group:
        table = tables[task]
        train, test = features.of(task)
        problems.append(
            ProbeTask(
                X_train=train,
                y_train=table.train_labels,
                X_test=test,
                y_test=table.test_labels,
                subsets=training_subsets(table.train_labels, settings),
                name=task.task_id,
            )
        )
    fitted = fit_problems(problems, settings, keep_predictions=True)
    return {
        (task, regime): ScoredUnit(
            _rows(model_id, task, regime, scores, fits, settings), _predictions(scores, fits)
        )
        for task, scores in zip(group, fitted, strict=True)
        for regime, fits in _fits_of(settings).items()
    }


def problem_rows(
    model_id: str, task: Task, scores: TaskScores, settings: ProbeSettings
) -> dict[Regime, list[ScoreRow]]:
    """Cut one task's fits into regimes and write them as rows."""
    return {
        regime: _rows(model_id, task, regime, scores, fits, settings)
        for regime, fits in _fits_of(settings).items()
    }


def _fits_of(settings: ProbeSettings) -> dict[Regime, range]:
    """Which of a task's fits are whose, in the order of :func:`training_subsets`."""
    found: dict[Regime, range] = {}
    first = 0
    for regime in settings.regimes:
        count = len(_fit_seeds(regime, settings))
        found[regime] = range(first, first + count)
        first += count
    return found


def _predictions(scores: TaskScores, fits: range) -> UnitPredictions | None:
    if scores.predictions is None:
        return None
    labels = scores.predictions[fits.start : fits.stop].transpose(1, 0, 2)
    return UnitPredictions(labels.astype(np.int64, copy=False))


def fit_problems(
    problems: Sequence[ProbeTask], settings: ProbeSettings, *, keep_predictions: bool = False
) -> list[TaskScores]:
    """Fit and score problems in one batched call of the chosen probe."""
    if settings.probe == "mlp":
        seeds = [seed for regime in settings.regimes for seed in _fit_seeds(regime, settings)]
        return fit_mlp_tasks(problems, seeds=seeds, keep_predictions=keep_predictions)
    return fit_tasks(
        problems,
        C=settings.C,
        solver="exact" if settings.solver == "exact" else "reference",
        tol=settings.tol if settings.solver == "reference" else None,
        max_iter=settings.max_iter,
        dtype=settings.dtype,
        keep_predictions=keep_predictions,
    )


def _fit_seeds(regime: Regime, settings: ProbeSettings) -> tuple[int, ...]:
    """Seeds that need a fit of their own: the full logistic fit is the same for every seed."""
    return settings.seeds[: fits_a_strength(regime, settings)]


def training_subsets(labels: np.ndarray, settings: ProbeSettings) -> list[np.ndarray | None]:
    """Training rows of each fit, regime after regime; None stands for all rows."""
    return [
        None if regime.shots is None else few_shot_rows(labels, regime.shots, seed)
        for regime in settings.regimes
        for seed in _fit_seeds(regime, settings)
    ]


def _rows(
    model_id: str,
    task: Task,
    regime: Regime,
    scores: TaskScores,
    fits: range,
    settings: ProbeSettings,
) -> list[ScoreRow]:
    rows = []
    for c, C in enumerate(settings.C):
        for position, seed in enumerate(settings.seeds):
            s = fits[position] if len(fits) > 1 else fits[0]
            error = scores.error[s]
            scored = error is None
            rows.append(
                ScoreRow(
                    model_id=model_id,
                    task_id=task.task_id,
                    category=task.category,
                    regime=regime.name,
                    seed=seed,
                    C=C,
                    probe=settings.probe,
                    solver=settings.solver,
                    mcc=float(scores.mcc[s, c]) if scored else None,
                    accuracy=float(scores.accuracy[s, c]) if scored else None,
                    macro_f1=float(scores.macro_f1[s, c]) if scored else None,
                    n_train=int(scores.n_train[s]),
                    n_test=int(scores.n_test),
                    n_classes=int(scores.n_classes[s]),
                    n_iter=int(scores.n_iter[s, c]) if scored else None,
                    grad_norm=_finite(scores.grad_norm[s, c]) if scored else None,
                    status=str(scores.status[s, c]) if scored else FAILED,
                    error=error or "",
                )
            )
    return rows


def _finite(value: np.floating) -> float | None:
    """The number, or None for the NaN of a probe that has none."""
    return float(value) if np.isfinite(value) else None
