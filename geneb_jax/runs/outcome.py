"""What a run leaves behind: scores.csv, summary.csv, run.json, submissions, report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax

from geneb_jax.analysis import summarise, write_summary_csv
from geneb_jax.benchmark import Suite
from geneb_jax.report import write_report
from geneb_jax.results import (
    ModelFacts,
    RunRecord,
    RunSettings,
    ScoreRow,
    SubmissionMeta,
    SuiteFacts,
    read_contents,
    stale_submissions,
    submission_obstacles,
    write_run_record,
    write_scores_csv,
    write_submission,
)
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.work import RunWork

__all__ = ["RunOutcome", "write_outcome"]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a finished run hands back.

    Attributes:
        out: The output folder.
        suite: The suite.
        rows: Every row of scores.csv, earlier models of the same folder included.
        run: What run.json holds.
        report: Path of report.html.
        submissions: Paths of the submission files written.
        problems: Task or model -> why it has no scores.
        left_out: A sentence for each group of recorded rows that no table shows.
        labels: What the tables call the models of this very run.
    """

    out: Path
    suite: Suite
    rows: tuple[ScoreRow, ...]
    run: RunRecord
    report: Path
    submissions: tuple[Path, ...]
    problems: Mapping[str, str]
    left_out: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every unit asked for has its scores."""
        return not self.problems and not any(row.failed for row in self.rows)


def write_outcome(
    work: RunWork,
    models: Sequence[ModelFacts],
    problems: Mapping[str, str],
    observer: RunObserver,
    *,
    seconds: float,
) -> RunOutcome:
    """Write every file of the output folder from its records, this run's and earlier ones'.

    Args:
        work: The run.
        models: Facts of its models, with what this run did.
        problems: Task or model -> why it has no scores.
        observer: Told of every row that is recorded and that no table shows.
        seconds: Wall time so far.
    """
    out, suite = work.request.out, work.suite
    contents = read_contents(out, suite, code=work.settings.code)
    for sentence in contents.left_out:
        observer.note(sentence)
    now = {one.identity_short: one for one in models}
    shown = {
        label: replace(now[one.identity_short], label=label) if one.identity_short in now else one
        for label, one in contents.models.items()
    }
    run = RunRecord(
        suite=SuiteFacts.of(suite),
        settings=RunSettings(**{**asdict(work.settings), "regimes": work.settings.regime_names}),
        devices=tuple(f"{device.platform}: {device.device_kind}" for device in jax.devices()),
        models=shown,
        tasks=dict(contents.tasks),
        problems=dict(problems),
        seconds=round(seconds, 3),
    )
    write_scores_csv(out, contents.rows)
    write_summary_csv(out, summarise(suite, contents.rows))
    write_run_record(out, run)
    submissions = tuple(
        write_submission(out, label, SubmissionMeta.of(shown[label]), contents.rows, suite)
        for label, obstacles in submission_obstacles(shown.values(), contents.rows, suite).items()
        if not obstacles
    )
    for stale in stale_submissions(out, submissions):
        observer.note(f"{stale}: of an earlier state of the folder; no model of its tables is this")
    report = write_report(out, suite=suite, scores=contents.rows, run=run)
    return RunOutcome(
        out=out,
        suite=suite,
        rows=contents.rows,
        run=run,
        report=report,
        submissions=submissions,
        problems=dict(problems),
        left_out=contents.left_out,
        labels=tuple(label for label, one in shown.items() if one.identity_short in now),
    )
