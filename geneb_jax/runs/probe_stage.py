"""Fit and score groups of tasks of one model, and turn them into rows of scores.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from geneb_jax.analysis import leaked_rows
from geneb_jax.benchmark import Regime, Task
from geneb_jax.data import few_shot_rows
from geneb_jax.data.text_buffer import texts_at
from geneb_jax.embed import open_store, read_or_embed, row_counts
from geneb_jax.models.adapters.harness_encoder import HarnessEncoder
from geneb_jax.results import FAILED, AnswerKey, ScoreRow, UnitKey, UnitPredictions
from geneb_jax.runs.encoder_source import ModelReference
from geneb_jax.runs.harness_order import read_split_rows
from geneb_jax.runs.kept_counts import find_counts
from geneb_jax.runs.sweep_folds import score_folds
from geneb_jax.runs.task_choice import TaskTables
from geneb_jax.runs.units import ProbeSettings
from geneb_jax_probes import Ending, FeatureRows, ProbeTask, TaskScores

__all__ = [
    "ProbeGroup",
    "ScoredTask",
    "ScoredUnit",
    "failed_rows",
    "fit_groups",
    "fit_problems",
    "problem_rows",
    "training_subsets",
]


#: Of rows that nobody counted: arrays of the user's own.
_UNCOUNTED: Mapping[str, int | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ProbeGroup:
    """Units of one model that are fitted in one batched call; can be handed to any process.

    Attributes:
        model: The model, whose embeddings are in its store.
        tables: The tasks of the run.
        units: Task -> keys of its units that have no record.
        settings: How they are probed.
        batch_tokens: Tokens of a batch, should a damaged embedding have to be made anew.
        held_out: Whether to score on held-out training rows too, for a choice of layer, pooling, C.
    """

    model: ModelReference
    tables: TaskTables
    units: Mapping[Task, tuple[UnitKey, ...]]
    settings: ProbeSettings
    batch_tokens: int | None = None
    held_out: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Handed over, it takes its own tasks along and no others: only these are read there."""
        tables, units = self.tables.only(self.units), dict(self.units)
        told = (self.model, tables, units, self.settings, self.batch_tokens, self.held_out)
        return ProbeGroup, told


@dataclass(frozen=True, slots=True)
class ScoredUnit:
    """The rows of one (task, regime), and what the test rows were predicted to be."""

    key: UnitKey
    rows: list[ScoreRow]
    predictions: UnitPredictions | None


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """The new units of one task, and the right answers of its test rows.

    ``folds`` float64 ``[C, fold]``: MCC on held-out training rows, where several C were probed.
    """

    task: Task
    units: tuple[ScoredUnit, ...]
    answers: AnswerKey
    folds: np.ndarray | None = None


def fit_groups(groups: Sequence[ProbeGroup]) -> list[ScoredTask]:
    """Fit every regime, seed and C of groups of tasks in batched calls and score the test rows.

    Args:
        groups: One a model, or a layer and pooling of one; all are fitted together.

    Raises:
        GenebError: if embeddings are missing, or the model that could mend damaged ones is gone.
    """
    found = [_problems_of(group) for group in groups]
    problems = [problem for some, _ in found for problem in some]
    answers = [answer for _, some in found for answer in some]
    whose = [(group, task) for group in groups for task in group.units]
    settings = groups[0].settings
    counts = _task_counts(groups)
    fitted = fit_problems(problems, settings, keep_predictions=True)
    folds: Sequence[np.ndarray | None] = [None] * len(problems)
    if groups[0].held_out:
        folds = score_folds(problems, settings)
    return [
        ScoredTask(task, tuple(_scored(group, task, scores, counts[task])), answer, held_out)
        for (group, task), scores, answer, held_out in zip(
            whose, fitted, answers, folds, strict=True
        )
    ]


def _problems_of(group: ProbeGroup) -> tuple[list[ProbeTask], list[AnswerKey]]:
    """What is fitted for each task of a group, and the right answers of its test rows."""
    read, settings = group.tables.read(), group.settings
    encoder = group.model.encoder()
    store = open_store(group.model.store, encoder)

    def rows_of_store(rows: np.ndarray) -> np.ndarray:
        """Embeddings float32 ``[row, width]`` of these sequences; damaged ones made anew."""
        return read_or_embed(
            store,
            encoder,
            read.sequences,
            read.sequences.digests[rows],
            batch_tokens=group.batch_tokens,
        )

    together = None
    if settings.packs(jax.default_backend()) and not isinstance(encoder, HarnessEncoder):
        rows = np.concatenate([one for task in group.units for one in read.rows_of(task)])
        needed = np.unique(rows)
        together = rows_of_store(needed), needed

    def features(task: Task) -> tuple[np.ndarray | FeatureRows, np.ndarray | FeatureRows]:
        """Train and test ``[row, width]`` in the file's order."""
        if isinstance(encoder, HarnessEncoder):
            return read_split_rows(store, encoder, read.tables[task])
        train, test = read.rows_of(task)
        if together is None:
            return rows_of_store(train), rows_of_store(test)
        matrix, needed = together
        train, test = np.searchsorted(needed, train), np.searchsorted(needed, test)
        return FeatureRows(matrix, train), FeatureRows(matrix, test)

    problems = []
    answers = []
    for task in group.units:
        table = read.table(task)
        train, test = read.rows_of(task)
        answers.append(AnswerKey(table.test_labels, leaked_rows(train, test)))
        X_train, X_test = features(task)
        problems.append(
            ProbeTask(
                X_train=X_train,
                y_train=table.train_labels,
                X_test=X_test,
                y_test=table.test_labels,
                subsets=training_subsets(table.train_labels, settings),
                name=task.task_id,
            )
        )
    return problems, answers


def _task_counts(groups: Sequence[ProbeGroup]) -> dict[Task, Mapping[str, int | None]]:
    """What the model makes of all rows of each task, by column of scores.csv.

    Counted from the texts, so it is the same whether their embeddings were made now or long ago;
    and once for all layers and poolings of a model, which read the same tokens.
    """
    encoder, read = groups[0].model.encoder(), groups[0].tables.read()
    tasks = tuple(dict.fromkeys(task for group in groups for task in group.units))
    rows = {task: np.concatenate(read.rows_of(task)) for task in tasks}
    found = find_counts(groups[0].model.identity, read.sequences)
    if found is None:
        distinct = np.unique(np.concatenate(list(rows.values())))
        found = row_counts(encoder, texts_at(read.sequences.sequences, distinct))
        rows = {task: np.searchsorted(distinct, at) for task, at in rows.items()}
    if found is None:
        return {task: {} for task in tasks}
    counts: dict[Task, Mapping[str, int | None]] = {}
    for task, own in rows.items():
        unknown = found.unknown_tokens
        counts[task] = {
            "cut_bp": int(found.cut_bp[own].sum()),
            "windows": int(found.windows[own].sum()),
            "unknown_bp": int(found.unknown_bp[own].sum()),
            "unknown_tokens": None if unknown is None else int(unknown[own].sum()),
            "empty": int((found.tokens[own] == 0).sum()),
        }
    return counts


def _scored(
    group: ProbeGroup, task: Task, scores: TaskScores, counts: Mapping[str, int | None]
) -> Iterator[ScoredUnit]:
    model_id = group.model.identity.model_id
    fits = _fits_of(group.settings)
    regimes = {regime.name: regime for regime in group.settings.regimes}
    for key in group.units[task]:
        regime = regimes[key.regime]
        rows = _rows(model_id, task, regime, scores, fits[regime], group.settings, counts)
        yield ScoredUnit(key, rows, _predictions(scores, fits[regime]))


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
        count = len(settings.fit_seeds(regime))
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
    return settings.kind.fit(problems, settings, keep_predictions)


def training_subsets(labels: np.ndarray, settings: ProbeSettings) -> list[np.ndarray | None]:
    """Training rows of each fit, regime after regime; None stands for all rows."""
    return [
        None if regime.shots is None else few_shot_rows(labels, regime.shots, seed)
        for regime in settings.regimes
        for seed in settings.fit_seeds(regime)
    ]


def _rows(
    model_id: str,
    task: Task,
    regime: Regime,
    scores: TaskScores,
    fits: range,
    settings: ProbeSettings,
    counts: Mapping[str, int | None] = _UNCOUNTED,
) -> list[ScoreRow]:
    rows = []
    for c, C in enumerate(settings.C):
        for position, seed in enumerate(settings.seeds):
            s = fits[position] if len(fits) > 1 else fits[0]
            error = _why_unscored(scores, s, c)
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
                    auroc=_decided(scores.auroc, s, c) if scored else None,
                    auprc=_decided(scores.auprc, s, c) if scored else None,
                    brier=_decided(scores.brier, s, c) if scored else None,
                    n_train=int(scores.n_train[s]),
                    n_test=int(scores.n_test),
                    n_classes=int(scores.n_classes[s]),
                    n_iter=int(scores.n_iter[s, c]) if scored else None,
                    grad_norm=_finite(scores.grad_norm[s, c]) if scored else None,
                    status=str(scores.status[s, c]) if scored else FAILED,
                    error=error or "",
                    **counts,  # type: ignore[arg-type]
                )
            )
    return rows


def _why_unscored(scores: TaskScores, s: int, c: int) -> str | None:
    """Why a fit has no scores; None if it has. One C of a subset may fail and the others not."""
    ending = Ending(str(scores.status[s, c]))
    if scores.error[s] is None or ending.scored:
        return None
    return scores.error[s] if ending is Ending.FAILED else ending.sentence


def _decided(values: np.ndarray | None, s: int, c: int) -> float | None:
    """A score of decision values; None where the probe has none, or the test rows no such score."""
    return None if values is None else _finite(values[s, c])


def _finite(value: np.floating) -> float | None:
    """The number, or None for the NaN of a probe that has none."""
    return float(value) if np.isfinite(value) else None
