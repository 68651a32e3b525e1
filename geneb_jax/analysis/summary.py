"""Means over seeds, categories and the whole suite, with their coverage.

A mean is given only where it is what its name says:

1. a task's mean needs every seed of its setting; one failed seed withholds it;
2. a category's mean is over the tasks that have one, and ``task_count`` of ``tasks_expected`` says
   how many; it is ``complete`` when they are equal;
3. macro (mean of the category means) and micro (mean of the tasks) are withheld unless every task
   of the suite is there.

The spread ``sd`` is the sample standard deviation (ddof = 1) over seeds: of the task's score, or of
the mean over tasks taken seed by seed. In the full regime one fit serves all seeds, so its spread
is 0 by construction and says nothing about uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax import durable_files
from geneb_jax.benchmark.definition import Suite
from geneb_jax.errors import DataError
from geneb_jax.results.score_rows import ScoreRow
from geneb_jax.results.score_tables import Cell, csv_text

__all__ = [
    "LEVELS",
    "SUMMARY_COLUMNS",
    "SUMMARY_FILE",
    "Spread",
    "Summary",
    "SummaryRow",
    "SummarySetting",
    "summarise",
    "write_summary_csv",
]

SUMMARY_FILE = "summary.csv"
LEVELS = ("task", "category", "macro", "micro")
SUMMARY_COLUMNS = (
    "level",
    "model_id",
    "task_id",
    "category",
    "regime",
    "C",
    "probe",
    "solver",
    "mcc_mean",
    "mcc_sd",
    "accuracy_mean",
    "accuracy_sd",
    "macro_f1_mean",
    "macro_f1_sd",
    "seed_count",
    "failed_count",
    "not_converged_count",
    "task_count",
    "tasks_expected",
    "complete",
)
_METRICS = ("mcc", "accuracy", "macro_f1")

#: Scores of one task or aggregate: [metric][seed], in the order of the setting's seeds.
_BySeed = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class SummarySetting:
    """What a mean over seeds and tasks keeps fixed."""

    model_id: str
    regime: str
    C: float
    probe: str
    solver: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over seeds (None for a single seed)."""

    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One row of summary.csv.

    Attributes:
        level: ``task``, ``category``, ``macro`` or ``micro``.
        task_id: Empty above the level of tasks.
        category: Empty for macro and micro.
        mcc: None where the mean is withheld; ``accuracy`` and ``macro_f1`` likewise.
        seed_count: Seeds of the setting.
        failed_count: Fits without a score among the rows that this one covers.
        not_converged_count: Fits that stopped otherwise than by converging.
        task_count: Tasks in the mean, of ``tasks_expected``.
    """

    level: str
    setting: SummarySetting
    task_id: str
    category: str
    mcc: Spread | None
    accuracy: Spread | None
    macro_f1: Spread | None
    seed_count: int
    failed_count: int
    not_converged_count: int
    task_count: int
    tasks_expected: int

    @property
    def complete(self) -> bool:
        """Whether every expected task is in the mean."""
        return self.task_count == self.tasks_expected

    def cells(self) -> tuple[Cell, ...]:
        """The row in the order of :data:`SUMMARY_COLUMNS`."""
        setting = self.setting
        spreads = [
            cell
            for spread in (self.mcc, self.accuracy, self.macro_f1)
            for cell in ((None, None) if spread is None else (spread.mean, spread.sd))
        ]
        return (
            self.level,
            setting.model_id,
            self.task_id,
            self.category,
            setting.regime,
            setting.C,
            setting.probe,
            setting.solver,
            *spreads,
            self.seed_count,
            self.failed_count,
            self.not_converged_count,
            self.task_count,
            self.tasks_expected,
            "yes" if self.complete else "no",
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """All rows of summary.csv: settings in order of appearance, each by level."""

    rows: tuple[SummaryRow, ...]

    def select(self, level: str, **fixed: str | float) -> tuple[SummaryRow, ...]:
        """Rows of one level; ``fixed`` names values of the setting, ``task_id`` or ``category``."""
        return tuple(
            row
            for row in self.rows
            if row.level == level
            and all(
                getattr(row if name in ("task_id", "category") else row.setting, name) == value
                for name, value in fixed.items()
            )
        )


@dataclass(frozen=True, slots=True)
class _TaskScores:
    by_seed: _BySeed | None
    failed: int
    not_converged: int


def summarise(suite: Suite, rows: Iterable[ScoreRow]) -> Summary:
    """Summarise score rows of one or more models over the tasks of a suite.

    Raises:
        DataError: if a row names a task that the suite does not have, or another category for it.
    """
    categories = {task.task_id: task.category for task in suite.tasks}
    settings: dict[SummarySetting, dict[str, list[ScoreRow]]] = {}
    for row in rows:
        if categories.get(row.task_id) != row.category:
            raise DataError(
                f"the suite {suite.name} has no task {row.task_id!r} in {row.category!r}",
                hint="summarise scores with the suite they were made with",
            )
        setting = SummarySetting(row.model_id, row.regime, row.C, row.probe, row.solver)
        settings.setdefault(setting, {}).setdefault(row.task_id, []).append(row)
    return Summary(
        tuple(
            line
            for setting, tasks in settings.items()
            for line in _summarise(suite, setting, tasks)
        )
    )


def write_summary_csv(out: Path, summary: Summary) -> Path:
    """Write ``out/summary.csv`` atomically; a withheld mean is an empty cell.

    Raises:
        OutputError: if the file cannot be written.
    """
    path = out / SUMMARY_FILE
    durable_files.write_text(path, csv_text(SUMMARY_COLUMNS, (row.cells() for row in summary.rows)))
    return path


def _summarise(
    suite: Suite, setting: SummarySetting, tasks: dict[str, list[ScoreRow]]
) -> Iterable[SummaryRow]:
    seeds = tuple(dict.fromkeys(row.seed for rows in tasks.values() for row in rows))
    scores = {task_id: _task_scores(rows, seeds) for task_id, rows in tasks.items()}

    def line(level: str, members: Sequence[str], value: _BySeed | None, **names: str) -> SummaryRow:
        present = [scores[task_id] for task_id in members if task_id in scores]
        mcc, accuracy, macro_f1 = (
            (None, None, None) if value is None else (_spread(metric) for metric in value)
        )
        return SummaryRow(
            level,
            setting,
            names.get("task_id", ""),
            names.get("category", ""),
            mcc,
            accuracy,
            macro_f1,
            seed_count=len(seeds),
            failed_count=sum(task.failed for task in present),
            not_converged_count=sum(task.not_converged for task in present),
            task_count=sum(task.by_seed is not None for task in present),
            tasks_expected=len(members),
        )

    by_category: list[_BySeed | None] = []
    category_lines: list[SummaryRow] = []
    for task in suite.tasks:
        if task.task_id in scores:
            value = scores[task.task_id].by_seed
            yield line("task", [task.task_id], value, task_id=task.task_id, category=task.category)
    for category in suite.categories:
        members = [task.task_id for task in suite.tasks if task.category == category]
        mean = _mean_of([scores[name].by_seed for name in members if name in scores])
        by_category.append(mean)
        if any(name in scores for name in members):
            category_lines.append(line("category", members, mean, category=category))
    yield from category_lines
    everything = [task.task_id for task in suite.tasks]
    by_task = [scores[name].by_seed if name in scores else None for name in everything]
    whole = all(value is not None for value in by_task)
    yield line("macro", everything, _mean_of(by_category) if whole else None)
    yield line("micro", everything, _mean_of(by_task) if whole else None)


def _task_scores(rows: Sequence[ScoreRow], seeds: Sequence[int]) -> _TaskScores:
    by_seed = {row.seed: row for row in rows}
    failed = sum(row.failed for row in rows)
    stopped = sum(not row.failed and row.status != "converged" for row in rows)
    if failed or set(by_seed) != set(seeds):
        return _TaskScores(None, failed, stopped)
    values = tuple(tuple(getattr(by_seed[seed], metric) for seed in seeds) for metric in _METRICS)
    return _TaskScores(values, failed, stopped)


def _mean_of(members: Sequence[_BySeed | None]) -> _BySeed | None:
    """Mean over tasks or categories, metric by metric and seed by seed; None if there are none."""
    present = [member for member in members if member is not None]
    if not present:
        return None
    return tuple(
        tuple(_mean(values) for values in zip(*(member[metric] for member in present), strict=True))
        for metric in range(len(_METRICS))
    )


def _mean(values: Sequence[float]) -> float:
    # Offsets from the first value: equal values then have exactly their value as mean.
    first = values[0]
    return first + math.fsum(value - first for value in values) / len(values)


def _spread(values: Sequence[float]) -> Spread:
    mean = _mean(values)
    if len(values) < 2:
        return Spread(mean, None)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (len(values) - 1)))
