"""What a run leaves behind: scores.csv, summary.csv, run.json, submissions, report.html."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jax

from geneb_jax.analysis import write_summary_of
from geneb_jax.benchmark import Suite
from geneb_jax.errors import OutputError
from geneb_jax.report import write_report
from geneb_jax.results import (
    UNLIKE_DATA,
    FolderContents,
    ModelFacts,
    RunRecord,
    RunSettings,
    ScoreRow,
    SubmissionMeta,
    SuiteFacts,
    TaskFacts,
    read_contents,
    remove_stale_submissions,
    submission_obstacles,
    write_run_record,
    write_scores_csv,
    write_submission,
)
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.repeat import request_facts
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
        report: Path of report.html; None where none was asked for, or nothing is recorded yet,
            since other parts of the work still embed.
        submissions: Paths of the submission files written.
        problems: Task or model of this run -> why it has no scores.
        failed: Those of the rows that this run was to score and could not.
        left_out: A sentence for each group of recorded rows that no table shows.
        labels: What the tables call the models of this very run.
        waiting: Model -> sequences of it that other parts of the work (``--part``) still embed; the
            part that ends last probes.
    """

    out: Path
    suite: Suite
    rows: Sequence[ScoreRow]
    run: RunRecord
    report: Path | None
    submissions: tuple[Path, ...]
    problems: Mapping[str, str]
    failed: tuple[ScoreRow, ...]
    left_out: tuple[str, ...]
    labels: tuple[str, ...]
    waiting: Mapping[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every unit asked for has its scores."""
        return not self.problems and not self.failed


def write_outcome(
    work: RunWork,
    models: Sequence[ModelFacts],
    problems: Mapping[str, str],
    observer: RunObserver,
    *,
    seconds: float,
    waiting: Mapping[str, int] | None = None,
    report: bool = True,
) -> RunOutcome:
    """Write every file of the output folder from its records, this run's and earlier ones'.

    Args:
        work: The run.
        models: Facts of its models, with what this run did.
        problems: Task or model -> why it has no scores.
        observer: Told of every row that is recorded and that no table shows.
        seconds: Wall time so far.
        waiting: See :attr:`RunOutcome.waiting`.
        report: Whether to draw the report.

    Raises:
        OutputError: if all that was recorded has gone meanwhile.
    """
    out, suite = work.request.out, work.suite
    contents = read_contents(out, suite, code=work.settings.code, keep=True)
    for sentence in contents.left_out:
        observer.note(sentence)
    lost = _lost(work, models, contents, waiting or {})
    if lost and not contents.rows:
        raise OutputError(
            "nothing of what this run recorded is there any more",
            where=out,
            cause="the folder was removed or emptied while the run was at work",
            hint="run the same command again; embeddings are still in the store",
        )
    problems = {**lost, **problems}
    now = {one.identity_short: one for one in models}
    shown = {
        label: _measured(one, now[one.identity_short]) if one.identity_short in now else one
        for label, one in contents.models.items()
    }
    asked = {
        (model.reference.identity.short, task.task_id, regime.name)
        for model in work.models
        for task, regime in model.keys
    } | {
        (one.identity_short, task.task_id, regime.name)
        for one in models  # run with smaller batches, a model has another identity than planned
        for task in work.tables.chosen.fingerprints
        for regime in work.settings.regimes
    }
    labels = tuple(label for label, one in shown.items() if one.identity_short in now)
    run = RunRecord(
        suite=SuiteFacts.of(suite, _scored(contents)),
        settings=RunSettings(**{**asdict(work.settings), "regimes": work.settings.regime_names}),
        devices=tuple(f"{device.platform}: {device.device_kind}" for device in jax.devices()),
        models=shown,
        tasks=dict(contents.tasks),
        problems=problems,
        seconds=round(seconds, 3),
        request=request_facts(work.request, labels),
    )
    write_scores_csv(out, contents.rows, keep=True)
    write_summary_of(out, suite, contents.rows, keep=True)
    write_run_record(out, run)
    submissions: list[Path] = []
    for label, obstacles in submission_obstacles(shown.values(), contents.rows, suite).items():
        if not obstacles:
            meta = SubmissionMeta.of(shown[label])
            submissions.append(write_submission(out, label, meta, contents.rows, suite))
        elif all(UNLIKE_DATA in one for one in obstacles):
            observer.note(
                f"no submission of {label}: {len(obstacles)} tasks, such as {obstacles[0]}"
            )
    stale = remove_stale_submissions(out, submissions)
    for path in stale.removed:
        observer.note(f"{path}: removed; it was of an earlier state of the folder")
    for path in stale.left:
        observer.note(f"{path}: no model of the tables is this, and no run wrote it: left alone")
    nothing_yet = bool(waiting) and not contents.rows
    page = None
    if report and not nothing_yet:
        page = write_report(out, suite=suite, scores=contents.rows, run=run)
    return RunOutcome(
        out=out,
        suite=suite,
        rows=contents.rows,
        run=run,
        report=page,
        submissions=tuple(submissions),
        problems=problems,
        failed=tuple(
            row
            for row in contents.rows.take(contents.rows.failed)
            if (row.identity, row.task_id, row.regime) in asked
        ),
        left_out=contents.left_out,
        labels=labels,
        waiting=dict(waiting or {}),
    )


def _lost(
    work: RunWork,
    models: Sequence[ModelFacts],
    contents: FolderContents,
    waiting: Mapping[str, int],
) -> dict[str, str]:
    """Tasks whose scores this run recorded, or found recorded, and that are not there any more."""
    firsts = contents.rows.rows(contents.rows.group("identity", "task_id", "regime")[1])
    there = {(row.identity, row.task_id, row.regime) for row in firsts}
    lost: Counter[str] = Counter(
        task.task_id
        for one in models
        if one.label not in waiting
        for task in work.tables.chosen.fingerprints
        for regime in work.settings.regimes
        if (one.identity_short, task.task_id, regime.name) not in there
    )
    return {
        task: f"{count} of its records are not in {work.request.out} any more; was the folder "
        "changed while the run was at work? The same command makes them again."
        for task, count in lost.items()
    }


def _measured(recorded: ModelFacts, now: ModelFacts) -> ModelFacts:
    """What is recorded of a model, with what this run did; what it cost to embed stays known."""
    embedded = now.embedding is not None and now.embedding.embedded
    cost = now if embedded or recorded.embedding is None else recorded
    return replace(
        recorded,
        units_reused=now.units_reused,
        embedding=cost.embedding,
        probing_seconds=cost.probing_seconds,
    )


def _scored(contents: FolderContents) -> dict[str, TaskFacts]:
    """The files of the tasks that have rows."""
    there = set(contents.rows.values("task_id", contents.rows.group("task_id")[1]))
    return {task_id: facts for task_id, facts in contents.tasks.items() if task_id in there}
