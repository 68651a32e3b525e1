"""Fit and score the problems of one group of tasks, and turn them into rows of scores.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.benchmark import Regime, Task
from geneb_jax.data import SequenceTable, TaskTable, few_shot_rows
from geneb_jax.embed import read_or_embed
from geneb_jax.models import Encoder
from geneb_jax.results import FAILED, ScoreRow
from geneb_jax.runs.units import ProbeSettings
from geneb_jax.store import EmbeddingStore
from geneb_jax_probes import ProbeTask, TaskScores, fit_mlp_tasks, fit_tasks

__all__ = [
    "Features",
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
) -> dict[tuple[Task, Regime], list[ScoreRow]]:
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
    return {
        (task, regime): rows
        for task, scores in zip(group, fit_problems(problems, settings), strict=True)
        for regime, rows in problem_rows(model_id, task, scores, settings).items()
    }


def problem_rows(
    model_id: str, task: Task, scores: TaskScores, settings: ProbeSettings
) -> dict[Regime, list[ScoreRow]]:
    """Cut one task's fits into regimes and write them as rows."""
    rows: dict[Regime, list[ScoreRow]] = {}
    first = 0
    for regime in settings.regimes:
        count = len(_fit_seeds(regime, settings))
        rows[regime] = _rows(model_id, task, regime, scores, range(first, first + count), settings)
        first += count
    return rows


def fit_problems(problems: Sequence[ProbeTask], settings: ProbeSettings) -> list[TaskScores]:
    """Fit and score problems in one batched call of the chosen probe."""
    if settings.probe == "mlp":
        seeds = [seed for regime in settings.regimes for seed in _fit_seeds(regime, settings)]
        return fit_mlp_tasks(problems, seeds=seeds)
    return fit_tasks(
        problems,
        C=settings.C,
        solver="exact" if settings.solver == "exact" else "reference",
        tol=settings.tol if settings.solver == "reference" else None,
        max_iter=settings.max_iter,
        dtype=settings.dtype,
    )


def _fit_seeds(regime: Regime, settings: ProbeSettings) -> tuple[int, ...]:
    """Seeds that need a fit of their own: the full logistic fit is the same for every seed."""
    return settings.seeds if regime.seeded or settings.probe == "mlp" else settings.seeds[:1]


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
