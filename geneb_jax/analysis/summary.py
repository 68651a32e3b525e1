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
    means_over_seeds,
    sds_over_seeds,
    seeds_of_the_mean,
)
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.score_tables import Cell, csv_text
from geneb_jax_probes.endings import Ending

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
    "write_summary_of",
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
    return Summary(tuple(_all_lines(suite, ScoreTable.of(rows))))


def write_summary_csv(out: Path, summary: Summary) -> Path:
    """Write ``out/summary.csv`` atomically; a withheld mean is an empty cell.

    Raises:
        OutputError: if the file cannot be written.
    """
    return _write(out, summary.rows)


def write_summary_of(out: Path, suite: Suite, rows: Iterable[ScoreRow]) -> Path:
    """Write ``out/summary.csv`` of score rows, a line at a time.

    Raises:
        DataError: see :func:`summarise`.
        OutputError: if the file cannot be written.
    """
    return _write(out, _all_lines(suite, ScoreTable.of(rows)))


def _write(out: Path, lines: Iterable[SummaryRow]) -> Path:
    path = out / SUMMARY_FILE
    durable_files.write_text(path, csv_text(SUMMARY_COLUMNS, (row.cells() for row in lines)))
    return path


@dataclass(frozen=True, slots=True, eq=False)
class _SettingScores:
    """What the rows of one setting say, by task of the suite.

    Attributes:
        there: Bool ``[task]``: whether it has rows.
        scores: float64 ``[metric, seed, task]``; NaN where a mean is withheld.
        failed: int64 ``[task]``, fits without a score.
        stopped: int64 ``[task]``, scored fits that did not converge.
        standing: Places in ``_LEAST_NEAR`` of the least near of the scored fits, int64 ``[task]``;
            its length for none.
    """

    there: np.ndarray
    scores: np.ndarray
    failed: np.ndarray
    stopped: np.ndarray
    standing: np.ndarray


def _all_lines(suite: Suite, table: ScoreTable) -> Iterator[SummaryRow]:
    """Settings in order of appearance."""
    _require_tasks(suite, table)
    names = ("model_id", "regime", "C", "probe", "solver")
    group, first = table.group(*names)
    # Task by task, which decides the order of seeds that are not the protocol's.
    ordered = table.take(np.lexsort((table.group(*names, "task_id")[0], group)))
    ends = np.cumsum(np.bincount(group, minlength=len(first)))[: len(first)].tolist()
    settings = zip(*(table.values(name, first) for name in names), strict=True)
    start = 0
    for setting, stop in zip(settings, ends, strict=True):
        found = _scores_of(suite, ordered.take(slice(start, stop)))
        start = stop
        yield from _lines(suite, SummarySetting(*setting), found)


def _require_tasks(suite: Suite, table: ScoreTable) -> None:
    categories = {task.task_id: task.category for task in suite.tasks}
    for place in table.group("task_id", "category")[1].tolist():
        row = table[place]
        if categories.get(row.task_id) != row.category:
            raise DataError(
                f"the suite {suite.name} has no task {row.task_id!r} in {row.category!r}",
                hint="summarise scores with the suite they were made with",
            )


def _scores_of(suite: Suite, table: ScoreTable) -> _SettingScores:
    places = {task.task_id: k for k, task in enumerate(suite.tasks)}
    # Names are those of a larger table: tasks that left the suite have no row here.
    task = np.array([places.get(name, -1) for name in table.names["task_id"]], np.int64)
    task, tasks = task[table.columns["task_id"]], len(suite.tasks)
    seeds = seeds_of_the_mean(table.values("seed", table.group("seed")[1]), suite.protocol.seeds)
    at_seed = {seed: at for at, seed in enumerate(seeds)}
    seed = np.array([at_seed.get(value, -1) for value in table.values("seed")], np.int64)
    scored = ~table.failed
    # Where rows of one task and seed repeat, the last one counts.
    cells = np.full((len(seeds), tasks), -1)
    chosen = np.flatnonzero(scored & (seed >= 0))
    cells[seed[chosen], task[chosen]] = chosen
    whole = (cells >= 0).all(axis=0)
    scores = np.full((len(_METRICS), len(seeds), tasks), np.nan)
    for metric, name in enumerate(_METRICS):
        scores[metric][:, whole] = table.columns[name][cells[:, whole]]
    words = [
        _LEAST_NEAR.index(word) if word in _LEAST_NEAR else len(_LEAST_NEAR)
        for word in table.names["data"]
    ]
    standing = np.full(tasks, len(_LEAST_NEAR))
    near = np.array(words, np.int64)[table.columns["data"]]
    np.minimum.at(standing, task[scored], near[scored])
    ended = np.array([Ending(word).converged for word in table.names["status"]], bool)
    stopped = scored & ~ended[table.columns["status"]]
    return _SettingScores(
        there=np.bincount(task, minlength=tasks) > 0,
        scores=scores,
        failed=np.bincount(task[~scored], minlength=tasks),
        stopped=np.bincount(task[stopped], minlength=tasks),
        standing=standing,
    )


def _lines(suite: Suite, setting: SummarySetting, found: _SettingScores) -> Iterator[SummaryRow]:
    """Tasks and categories that have rows, then macro and micro."""
    seed_count, tasks = found.scores.shape[1:]
    # float64 [metric, task]: means over seeds, as in every score cube, and their spread.
    flat = np.moveaxis(found.scores, 1, 2).reshape(-1, seed_count)
    of_tasks = means_over_seeds(flat).reshape(-1, tasks)
    spreads = sds_over_seeds(flat).reshape(-1, tasks).T.tolist()
    known = np.isfinite(of_tasks[0])

    def line(
        level: str,
        counts: tuple[int, int, int, int, int],
        means: Sequence[float],
        sds: Sequence[float | None],
        task_id: str = "",
        category: str = "",
    ) -> SummaryRow:
        failed, stopped, scored, expected, standing = counts
        return SummaryRow(
            level,
            setting,
            task_id,
            category,
            {
                name: None if mean != mean else Spread(mean, sd if seed_count > 1 else None)
                for name, mean, sd in zip(_METRICS, means, sds, strict=True)
            },
            seed_count=seed_count,
            failed_count=failed,
            not_converged_count=stopped,
            task_count=scored,
            tasks_expected=expected,
            data=_LEAST_NEAR[standing] if standing < len(_LEAST_NEAR) else "",
        )

    def over(
        level: str, members: list[int], mean: np.ndarray, by_seed: np.ndarray, category: str = ""
    ) -> SummaryRow:
        failed, stopped, scored = (
            int(one[members].sum()) for one in (found.failed, found.stopped, known)
        )
        counts = failed, stopped, scored, len(members), int(found.standing[members].min())
        return line(level, counts, mean.tolist(), sds_over_seeds(by_seed).tolist(), "", category)

    each = zip(found.failed.tolist(), found.stopped.tolist(), known.tolist(), strict=True)
    alone = [
        (failed, stopped, int(scored), 1, standing)
        for (failed, stopped, scored), standing in zip(each, found.standing.tolist(), strict=True)
    ]
    by_task = of_tasks.T.tolist()
    for k in np.flatnonzero(found.there).tolist():
        task = suite.tasks[k]
        yield line("task", alone[k], by_task[k], spreads[k], task.task_id, task.category)
    for category in suite.categories:
        members = [k for k, task in enumerate(suite.tasks) if task.category == category]
        if found.there[members].any():
            # Of the tasks that are there: ``task_count`` says how many.
            some = [k for k in members if known[k]] or members
            mean, by_seed = mean_of(of_tasks[:, some]), mean_of(found.scores[:, :, some])
            yield over("category", members, mean, by_seed, category)
    index = {name: k for k, name in enumerate(suite.categories)}
    place = np.array([index[task.category] for task in suite.tasks], dtype=np.int64)
    everything = list(range(tasks))
    macro, by_seed = (mean_of(category_means(one, place)) for one in (of_tasks, found.scores))
    yield over("macro", everything, macro, by_seed)
    yield over("micro", everything, mean_of(of_tasks), mean_of(found.scores))
