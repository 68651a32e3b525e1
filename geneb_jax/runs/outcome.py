"""What a run leaves behind: scores.csv, summary.csv, run.json, submissions, report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from geneb_jax.analysis import summarise, write_summary_csv
from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.report import write_report
from geneb_jax.results import (
    SCORES_FILE,
    ModelFacts,
    RunRecord,
    RunSettings,
    ScoreRow,
    SubmissionMeta,
    SuiteFacts,
    TaskFacts,
    read_run_record,
    read_scores,
    submission_obstacles,
    write_run_record,
    write_scores_csv,
    write_submission,
)
from geneb_jax.runs.units import ProbeSettings

__all__ = ["RunOutcome", "assemble"]


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
    """

    out: Path
    suite: Suite
    rows: tuple[ScoreRow, ...]
    run: RunRecord
    report: Path
    submissions: tuple[Path, ...]
    problems: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every unit asked for has its scores."""
        return not self.problems and not any(row.failed for row in self.rows)


def assemble(
    out: Path,
    *,
    suite: Suite,
    settings: ProbeSettings,
    fingerprints: Mapping[str, str],
    data_notes: Mapping[str, Mapping[str, int]],
    rows: Sequence[ScoreRow],
    models: Mapping[str, ModelFacts],
    problems: Mapping[str, str],
    seconds: float,
) -> RunOutcome:
    """Write every file of the output folder from rows, keeping what earlier runs put there."""
    earlier_rows, earlier = _earlier(out, suite)
    kept = _still_valid(earlier_rows, earlier, rows, models, fingerprints)
    together = _in_order([*kept, *rows], suite)
    run = RunRecord(
        suite=SuiteFacts.of(suite),
        settings=RunSettings(
            probe=settings.probe,
            solver=settings.solver,
            regimes=tuple(regime.name for regime in settings.regimes),
            seeds=settings.seeds,
            C=settings.C,
            max_iter=settings.max_iter,
            tol=settings.tol,
            dtype=settings.dtype,
            code=settings.code,
        ),
        devices=tuple(f"{device.platform}: {device.device_kind}" for device in jax.devices()),
        models={**_models_of(earlier, kept), **models},
        tasks={**_tasks_of(earlier, kept), **_task_facts(fingerprints, data_notes, earlier)},
        problems=dict(problems),
        seconds=round(seconds, 3),
    )
    write_scores_csv(out, together)
    write_summary_csv(out, summarise(suite, together))
    write_run_record(out, run)
    submissions = tuple(
        write_submission(out, label, SubmissionMeta.of(run.models[label]), together, suite)
        for label, obstacles in submission_obstacles(run.models.values(), together, suite).items()
        if not obstacles
    )
    report = write_report(out, suite=suite, scores=together, run=run)
    return RunOutcome(out, suite, tuple(together), run, report, submissions, dict(problems))


def _earlier(out: Path, suite: Suite) -> tuple[list[ScoreRow], RunRecord | None]:
    """Rows and run.json that an earlier run of the same suite left here; nothing if unreadable."""
    if not (out / SCORES_FILE).is_file():
        return [], None
    try:
        run = read_run_record(out)
        rows = read_scores(out)
    except DataError:
        return [], None  # the records are the truth; tables are written anew from them
    return (rows, run) if run.suite.name == suite.name else ([], None)


def _still_valid(
    earlier_rows: Sequence[ScoreRow],
    earlier: RunRecord | None,
    rows: Sequence[ScoreRow],
    models: Mapping[str, ModelFacts],
    fingerprints: Mapping[str, str],
) -> list[ScoreRow]:
    """Earlier rows that this run neither replaces nor contradicts.

    A row stays if its task's files are unchanged and its model, where this run has it too, has the
    same identity; a model that pools differently today must not share a table with its former self.
    """
    replaced = {row.identity for row in rows}
    former_models = earlier.models if earlier else {}
    former_tasks = earlier.tasks if earlier else {}

    def valid(row: ScoreRow) -> bool:
        if row.identity in replaced:
            return False
        former = former_tasks.get(row.task_id)
        wanted = fingerprints.get(row.task_id)
        if wanted is not None and (former is None or former.fingerprint != wanted):
            return False
        if row.model_id not in models:
            return True
        was = former_models.get(row.model_id)
        return was is not None and was.identity == models[row.model_id].identity

    return [row for row in earlier_rows if valid(row)]


def _in_order(rows: Sequence[ScoreRow], suite: Suite) -> list[ScoreRow]:
    """Models by name, tasks and regimes as the suite lists them, then C, probe, solver and seed."""
    task_order = {task.task_id: at for at, task in enumerate(suite.tasks)}
    regime_order = {regime.name: at for at, regime in enumerate(suite.protocol.regimes)}
    seed_order = {seed: at for at, seed in enumerate(suite.protocol.seeds)}
    return sorted(
        rows,
        key=lambda row: (
            row.model_id,
            task_order.get(row.task_id, len(task_order)),
            regime_order.get(row.regime, len(regime_order)),
            row.probe,
            row.solver,
            row.C,
            seed_order.get(row.seed, len(seed_order)),
            row.seed,
        ),
    )


def _models_of(earlier: RunRecord | None, kept: Sequence[ScoreRow]) -> dict[str, ModelFacts]:
    names = {row.model_id for row in kept}
    return {
        name: facts for name, facts in (earlier.models if earlier else {}).items() if name in names
    }


def _tasks_of(earlier: RunRecord | None, kept: Sequence[ScoreRow]) -> dict[str, TaskFacts]:
    names = {row.task_id for row in kept}
    return {
        name: facts for name, facts in (earlier.tasks if earlier else {}).items() if name in names
    }


def _task_facts(
    fingerprints: Mapping[str, str],
    data_notes: Mapping[str, Mapping[str, int]],
    earlier: RunRecord | None,
) -> dict[str, TaskFacts]:
    """Fingerprint and counted notes of each task; a run that parsed nothing keeps the counts."""
    facts: dict[str, TaskFacts] = {}
    for task_id, fingerprint in fingerprints.items():
        former = earlier.tasks.get(task_id) if earlier else None
        before = former.notes if former and former.fingerprint == fingerprint else {}
        facts[task_id] = TaskFacts(fingerprint, dict(data_notes.get(task_id, before)))
    return facts
