"""summary.csv: means over seeds, categories and the whole suite, with their coverage.

The formulas are those of every other table (:mod:`geneb_jax.results.seed_means`,
:mod:`geneb_jax.analysis.aggregation`), so a mean here has the bits of the same mean there. A mean
is given only where it is what its name says:

1. a task's mean needs every seed of its setting; one failed or missing seed withholds it, in the
   full regime too;
2. a category's mean is over the tasks that have one, and ``task_count`` of ``tasks_expected`` says
   how many; it is ``complete`` when they are equal;
3. macro (mean of the category means) and micro (mean of the tasks) are withheld unless every task
   of the suite is there.

The spread ``sd`` is the sample standard deviation (ddof = 1) over seeds: of the task's score, or of
the mean over tasks taken seed by seed. In the full regime one fit serves all seeds, so its spread
is 0 by construction and says nothing about uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.benchmark import DataStanding, Suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    ScoreRow,
    mean_over_seeds,
    rows_of_every_seed,
    sd_over_seeds,
    seeds_of_the_mean,
)
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
    "auroc_mean",
    "auroc_sd",
    "auprc_mean",
    "auprc_sd",
    "brier_mean",
    "brier_sd",
    "seed_count",
    "failed_count",
    "not_converged_count",
    "task_count",
    "tasks_expected",
    "complete",
    "data",
)
_LEAST_NEAR = (
    DataStanding.UNLIKE.value,
    DataStanding.NOTHING_STATED.value,
    DataStanding.SIZE_ALIKE.value,
    DataStanding.VERIFIED.value,
)
_METRICS = ("mcc", "accuracy", "macro_f1", "auroc", "auprc", "brier")


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
        scores: Metric -> its spread, None where the mean is withheld: mcc, accuracy, macro_f1,
            auroc, auprc, brier. The last three need their score of every fit of the mean.
        seed_count: Seeds of the setting.
        failed_count: Fits without a score among the rows that this one covers.
        not_converged_count: Scored fits that did not converge (:attr:`ScoreRow.converged`).
        task_count: Tasks in the mean, of ``tasks_expected``.
        data: How near the data are to the benchmark's: of a mean, the least near of its tasks.
    """

    level: str
    setting: SummarySetting
    task_id: str
    category: str
    scores: Mapping[str, Spread | None]
    seed_count: int
    failed_count: int
    not_converged_count: int
    task_count: int
    tasks_expected: int
    data: str

    @property
    def mcc(self) -> Spread | None:
        """The first score."""
        return self.scores["mcc"]

    @property
    def accuracy(self) -> Spread | None:
        """The second score."""
        return self.scores["accuracy"]

    @property
    def macro_f1(self) -> Spread | None:
        """The third score."""
        return self.scores["macro_f1"]

    @property
    def complete(self) -> bool:
        """Whether every expected task is in the mean."""
        return self.task_count == self.tasks_expected

    def cells(self) -> tuple[Cell, ...]:
        """The row in the order of :data:`SUMMARY_COLUMNS`."""
        setting = self.setting
        spreads = [
            cell
            for spread in (self.scores[name] for name in _METRICS)
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
            self.data,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """All rows of summary.csv: settings in order of appearance, each by level."""

    rows: tuple[SummaryRow, ...]


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
        tuple(line for setting, tasks in settings.items() for line in _lines(suite, setting, tasks))
    )


def write_summary_csv(out: Path, summary: Summary) -> Path:
    """Write ``out/summary.csv`` atomically; a withheld mean is an empty cell.

    Raises:
        OutputError: if the file cannot be written.
    """
    path = out / SUMMARY_FILE
    durable_files.write_text(path, csv_text(SUMMARY_COLUMNS, (row.cells() for row in summary.rows)))
    return path


@dataclass(frozen=True, slots=True, eq=False)
class _SettingScores:
    """The scores of one setting: float64 ``[metric, seed, task]``, NaN where a mean is withheld."""

    suite: Suite
    seeds: tuple[int, ...]
    rows: Mapping[str, Sequence[ScoreRow]]
    scores: np.ndarray

    @property
    def of_tasks(self) -> np.ndarray:
        """float64 ``[metric, task]``: means over seeds, as in every score cube."""
        return np.apply_along_axis(lambda values: mean_over_seeds(values.tolist()), 1, self.scores)

    def counts(self, tasks: Sequence[int]) -> tuple[int, int]:
        """Failed and not converged fits on some of the tasks."""
        names = [self.suite.tasks[k].task_id for k in tasks]
        rows = [row for name in names for row in self.rows.get(name, ())]
        failed = sum(row.failed for row in rows)
        return failed, sum(not row.failed and not row.converged for row in rows)

    def standing(self, tasks: Sequence[int]) -> str:
        """The least near standing of the scored ones of some tasks."""
        names = [self.suite.tasks[k].task_id for k in tasks]
        found = {row.data for name in names for row in self.rows.get(name, ()) if not row.failed}
        return next((word for word in _LEAST_NEAR if word in found), "")


def _scores_of(suite: Suite, rows: Mapping[str, Sequence[ScoreRow]]) -> _SettingScores:
    present = (row.seed for found in rows.values() for row in found)
    seeds = seeds_of_the_mean(present, suite.protocol.seeds)
    scores = np.full((len(_METRICS), len(seeds), len(suite.tasks)), np.nan)
    for k, task in enumerate(suite.tasks):
        whole = rows_of_every_seed(rows.get(task.task_id, ()), seeds)
        if whole is not None:
            for metric, name in enumerate(_METRICS):
                values = [getattr(row, name) for row in whole]
                scores[metric, :, k] = [np.nan if one is None else one for one in values]
    return _SettingScores(suite, seeds, rows, scores)


def _lines(
    suite: Suite, setting: SummarySetting, rows: Mapping[str, Sequence[ScoreRow]]
) -> Iterator[SummaryRow]:
    """Tasks and categories that have rows, then macro and micro."""
    found = _scores_of(suite, rows)
    of_tasks = found.of_tasks
    known = np.isfinite(of_tasks[0])

    def line(
        level: str, tasks: Sequence[int], mean: np.ndarray, by_seed: np.ndarray, **names: str
    ) -> SummaryRow:
        failed, stopped = found.counts(tasks)
        scores = {
            name: None if np.isnan(value) else Spread(value, sd_over_seeds(values))
            for name, value, values in zip(_METRICS, mean.tolist(), by_seed.tolist(), strict=True)
        }
        return SummaryRow(
            level,
            setting,
            names.get("task_id", ""),
            names.get("category", ""),
            scores,
            seed_count=len(found.seeds),
            failed_count=failed,
            not_converged_count=stopped,
            task_count=int(known[list(tasks)].sum()),
            tasks_expected=len(tasks),
            data=found.standing(tasks),
        )

    for k, task in enumerate(suite.tasks):
        if task.task_id in rows:
            names = {"task_id": task.task_id, "category": task.category}
            yield line("task", [k], of_tasks[:, k], found.scores[:, :, k], **names)
    for category in suite.categories:
        members = [k for k, task in enumerate(suite.tasks) if task.category == category]
        if any(suite.tasks[k].task_id in rows for k in members):
            # Of the tasks that are there: ``task_count`` says how many.
            there = [k for k in members if known[k]] or members
            means = mean_of(of_tasks[:, there]), mean_of(found.scores[:, :, there])
            yield line("category", members, *means, category=category)
    index = {name: k for k, name in enumerate(suite.categories)}
    place = np.array([index[task.category] for task in suite.tasks], dtype=np.int64)
    everything = range(len(suite.tasks))
    macro = (mean_of(category_means(values, place)) for values in (of_tasks, found.scores))
    yield line("macro", everything, *macro)
    yield line("micro", everything, mean_of(of_tasks), mean_of(found.scores))
