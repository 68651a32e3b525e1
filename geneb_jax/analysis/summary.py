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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.analysis.summary_lines import (
    LEAST_NEAR,
    METRICS,
    SettingLines,
    SummarySetting,
    summary_lines,
)
from geneb_jax.benchmark import Suite
from geneb_jax.results import ScoreRow
from geneb_jax.results.kept_lines import write_lines
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.score_tables import Cell, csv_cell, csv_text, exact_floats
from geneb_jax.sealed_files import seal_of

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
            for spread in (self.scores[name] for name in METRICS)
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
    found = summary_lines(suite, ScoreTable.of(rows))
    return Summary(tuple(row for lines in found for row in _rows_of(lines)))


def write_summary_csv(out: Path, summary: Summary) -> Path:
    """Write ``out/summary.csv`` atomically; a withheld mean is an empty cell.

    Raises:
        OutputError: if the file cannot be written.
    """
    return _write(out, csv_text(SUMMARY_COLUMNS, (row.cells() for row in summary.rows)))


def write_summary_of(
    out: Path, suite: Suite, rows: Iterable[ScoreRow], *, keep: bool = False
) -> Path:
    """Write ``out/summary.csv`` of score rows, as :func:`write_summary_csv` does of their summary.

    Args:
        out: The output folder.
        suite: The suite.
        rows: Rows of any models.
        keep: Whether lines of the file that stands there are copied where they are of the very
            same rows (:mod:`geneb_jax.results.kept_lines`).

    Raises:
        DataError: see :func:`summarise`.
        OutputError: if the file cannot be written.
    """

    def lines_of(part: ScoreTable) -> Iterator[bytes]:
        for lines in summary_lines(suite, part):
            yield _text_of(lines).encode("utf-8")

    path = out / SUMMARY_FILE
    tasks = [[task.task_id, task.category] for task in suite.tasks]
    write_lines(
        path,
        csv_text(SUMMARY_COLUMNS, ()).encode("utf-8"),
        ScoreTable.of(rows),
        lines_of,
        of=seal_of([suite.name, tasks, list(suite.protocol.seeds)]),
        keep=keep,
    )
    return path


def _write(out: Path, text: str) -> Path:
    path = out / SUMMARY_FILE
    durable_files.write_text(path, text)
    return path


def _rows_of(lines: SettingLines) -> Iterator[SummaryRow]:
    """The rows as objects."""
    for (level, task_id, category), counts, means, sds in zip(
        lines.names, lines.counts, lines.means.tolist(), lines.sds.tolist(), strict=True
    ):
        failed, stopped, scored, expected, standing = counts
        yield SummaryRow(
            level,
            lines.setting,
            task_id,
            category,
            {
                name: None if mean != mean else Spread(mean, sd if lines.seed_count > 1 else None)
                for name, mean, sd in zip(METRICS, means, sds, strict=True)
            },
            seed_count=lines.seed_count,
            failed_count=failed,
            not_converged_count=stopped,
            task_count=scored,
            tasks_expected=expected,
            data=_word(standing),
        )


def _text_of(lines: SettingLines) -> str:
    """What :func:`csv_text` gives for the rows, without an object for each."""
    setting, width = lines.setting, 2 * len(METRICS)
    model, probe, solver = map(csv_cell, (setting.model_id, setting.probe, setting.solver))
    fixed = f"{csv_cell(setting.regime)},{setting.C!r},{probe},{solver}"
    # Mean and spread of each metric side by side; NaN, an empty cell, for a single seed's spread.
    spreads = np.where(np.isnan(lines.means), np.nan, lines.sds)
    cells = exact_floats(np.stack([lines.means, spreads], axis=-1).ravel())
    written: list[str] = []
    for at, ((level, task_id, category), counts) in enumerate(
        zip(lines.names, lines.counts, strict=True)
    ):
        failed, stopped, scored, expected, standing = counts
        written.append(
            f"{level},{model},{csv_cell(task_id)},{csv_cell(category)},{fixed},"
            f"{','.join(cells[at * width : (at + 1) * width])},"
            f"{lines.seed_count},{failed},{stopped},{scored},{expected},"
            f"{'yes' if scored == expected else 'no'},{_word(standing)}\n"
        )
    return "".join(written)


def _word(standing: int) -> str:
    return LEAST_NEAR[standing] if standing < len(LEAST_NEAR) else ""
