"""Carry out a run: tasks x models -> embeddings -> probes -> records -> tables and report.

The order of things, so that a death at any point loses little and changes nothing:

1. everything is decided and checked before the first sequence is embedded (:func:`plan_work`);
2. embeddings are committed shard by shard, records unit by unit; both are found again by content;
3. tables and report are made from the folder's records at the end, whatever was computed when.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from geneb_jax.analysis import leaked_rows
from geneb_jax.benchmark import Task
from geneb_jax.data import TaskTable, kept_leaks, pinned_files
from geneb_jax.durable_files import require_writable_folder
from geneb_jax.embed import BatchMemoryError
from geneb_jax.errors import GenebError
from geneb_jax.fleet import FleetEndedError, LostUnitsError
from geneb_jax.results import (
    AnswerKey,
    ModelFacts,
    Records,
    TaskFacts,
    claim_folder,
    find_answer_key,
    find_repeats,
    keep_answer_key,
    keep_repeats,
    one_at_a_time,
    read_run_record,
    require_suite,
)
from geneb_jax.results.fold_scores import keep_fold_scores
from geneb_jax.results.folder_contents import find_task_facts, keep_model_facts, keep_task_facts
from geneb_jax.runs.compiled_programs import keep_compiled_programs
from geneb_jax.runs.embed_stage import Embedded, embed_models, require_stores
from geneb_jax.runs.encoder_source import ModelReference
from geneb_jax.runs.executors import (
    Executor,
    SerialExecutor,
    open_executor,
    prepare_driver,
    worker_count,
)
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.outcome import RunOutcome, write_outcome
from geneb_jax.runs.probe_stage import ProbeGroup, ScoredTask, failed_rows, fit_groups
from geneb_jax.runs.repeat import require_same_run
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_choice import TaskTables
from geneb_jax.runs.units import unit_key
from geneb_jax.runs.work import (
    ModelWork,
    RunWork,
    plan_work,
    probe_groups,
    with_smaller_batches,
)

__all__ = ["execute"]


def execute(
    request: RunRequest,
    observer: RunObserver | None = None,
    *,
    stored_only: bool = False,
    executor: Executor | None = None,
    report: bool = True,
    choices: bool = True,
    repeats: Path | None = None,
) -> RunOutcome:
    """Run, or resume, what the request describes.

    Args:
        request: Models, tasks, probes, places.
        observer: Receives progress; none: silence.
        stored_only: Probe embeddings that are in the store, and refuse to embed.
        executor: Who does the work; by default what the request says, else this process.
        report: Whether to draw the report; not worth it where another run follows at once.
        choices: Whether to score on held-out training rows what a choice of C, layer or pooling
            rests on, where there are several; a study that chooses nothing saves half its fits.
        repeats: The run.json of the run that this one must be again.

    Raises:
        GenebError: for input that leaves nothing to do; a bad task or model among good ones is
            reported in the outcome instead.
    """
    observer = observer or RunObserver()
    prepare_driver(request)
    keep_compiled_programs()
    started = time.perf_counter()
    work = plan_work(request, observer, choices=choices)
    if repeats is not None:
        for text in require_same_run(work, read_run_record(repeats.parent), where=repeats):
            observer.note(text)
    require_suite(request.out, work.suite, update=request.update_suite)
    require_stores(work, observer, stored_only=stored_only)
    require_writable_folder(request.out, option="--out")
    with one_at_a_time(request.out):
        changes = claim_folder(request.out, work.suite, update=request.update_suite)
    notes = [f"the suite was updated: {change}" for change in changes]
    if work.suite.simulated and len(work.groups) > 1:
        count, order = len(work.tables.chosen.fingerprints), [g[0].facts.label for g in work.groups]
        observer.note(f"{count} simulated tasks, offline, {len(order)} models: {', '.join(order)}")
    told = (*work.notes, *notes, *work.problems.values(), *work.tables.untested_classes())
    for text in told:
        observer.note(text)
    with ExitStack() as stack:
        if executor is None and any(model.absent for model in work.models):
            executor = stack.enter_context(open_executor(request, observer))
        who = executor or SerialExecutor()
        run = _Run(work, Records(request.out), observer, who, stored_only, choices)
        run.keep_task_facts()
        problems = dict(work.problems)
        models: list[ModelFacts] = []
        failed: list[GenebError] = []
        for group in work.groups:
            try:
                models += run.group_that_fits(group)
                if len(work.groups) > 1:
                    observer.note(run.first_result(group[-1]))
            except GenebError as error:
                if len(request.model) == 1 or isinstance(error, FleetEndedError):
                    raise
                problems[group[0].reference.source.name] = error.message
                observer.note(error.message)
                failed.append(error)
    if failed and not models and run.records.is_empty:
        raise failed[0]  # there is nothing to make a table of
    problems |= {task.task_id: why for task, why in work.tables.failures.items()}
    seconds = time.perf_counter() - started
    with one_at_a_time(request.out):
        return write_outcome(
            work, models, problems, observer, seconds=seconds, waiting=run.waiting, report=report
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """A run under way: its work, where results go, who does it, who watches."""

    work: RunWork
    records: Records
    observer: RunObserver
    executor: Executor
    stored_only: bool
    choices: bool = True
    waiting: dict[str, int] = field(default_factory=dict)

    def keep_task_facts(self) -> None:
        """Record what every chosen task's files are now.

        A run that parsed nothing keeps what was counted; whether the files are the pinned
        revision's is asked anew. Where units are finished and what is known of their task is lost
        or damaged, its files are parsed again.
        """
        tables, mended = self.work.tables, self.mended_tables()
        notes = {**mended.notes, **tables.notes}
        counts = {**mended.test_rows, **tables.test_rows}
        pinned = pinned_files(self.work.suite, tables.chosen.source.folder)
        for task in (*tables.chosen.fingerprints, *tables.chosen.failures):
            fingerprint = tables.chosen.fingerprints.get(task, "")
            known = find_task_facts(self.records, task.task_id)
            if known is not None and not fingerprint:
                continue  # rows on the files that were here stay what they are
            same = known is not None and known.fingerprint == fingerprint
            before = known if known is not None and same else TaskFacts(fingerprint)
            facts = TaskFacts(
                fingerprint,
                notes.get(task.task_id, before.notes),
                counts.get(task.task_id, before.test_rows),
                pinned.verified_as(task, fingerprint) if pinned else "",
            )
            keep_task_facts(self.records, task.task_id, facts)

    def first_result(self, model: ModelWork) -> str:
        """What a finished model reached, for who waits for the others; tables have it in full."""
        regime = self.work.settings.regimes[0]
        found = [self.records.find(key) for (_, r), key in model.keys.items() if r is regime]
        scores = [row.mcc for rows in found for row in (rows or ())[:1] if row.mcc is not None]
        what = " (untrained: a control)" if model.facts.untrained else ""
        if not scores:
            return f"{model.facts.label}{what}: done"
        mean = sum(scores) / len(scores)
        said = f"micro MCC {mean:.3f} (mean of {len(scores)} tasks), {regime.name}"
        C = self.work.settings.C
        return f"{model.facts.label}{what}: {said}" + (f", C = {C[0]:g}" if len(C) > 1 else "")

    def group_that_fits(self, group: Sequence[ModelWork]) -> list[ModelFacts]:
        """Run a model, with ever smaller batches where the device's memory does not hold them.

        Args:
            group: The model, or those of its layers and poolings that the run takes.
        """
        while True:
            try:
                return self.group(group)
            except BatchMemoryError as error:
                if error.smaller is None:
                    raise
                text = f"{error.message} Going on with {error.smaller} tokens a batch."
                self.observer.note(text)
                smaller = error.smaller
            finally:
                group[0].reference.release()
            group = [with_smaller_batches(self.work, model, smaller) for model in group]

    def group(self, group: Sequence[ModelWork]) -> list[ModelFacts]:
        """Embed what is missing, fit what is missing, record it; what run.json says of them."""
        facts = [replace(model.facts, units_reused=model.reused) for model in group]
        for one in facts:
            keep_model_facts(self.records, one)
        lacking = [at for at, model in enumerate(group) if model.absent]
        unusable: list[Mapping[Task, str]] = [{} for _ in group]
        if lacking:
            wanting = [group[at] for at in lacking]
            done = embed_models(
                self.work, wanting, self.observer, self.executor, stored_only=self.stored_only
            )
            for at, embedded in zip(lacking, done, strict=True):
                unusable[at] = embedded.unusable
            failures = [
                f"{task.task_id}: {why}" for found in unusable for task, why in found.items()
            ]
            for text in dict.fromkeys(failures):
                self.observer.note(text)
            if any(embedded.report.left_to_others for embedded in done):
                for at, embedded in zip(lacking, done, strict=True):
                    facts[at] = self.left(group[at], embedded)
                return facts
            started = time.perf_counter()
            given_up = self.probe(wanting, [unusable[at] for at in lacking])
            for at, lost in zip(lacking, given_up, strict=True):
                unusable[at] = {**unusable[at], **lost}
            seconds = round(time.perf_counter() - started, 3)
            for at, embedded in zip(lacking, done, strict=True):
                facts[at] = replace(facts[at], embedding=embedded.facts, probing_seconds=seconds)
                keep_model_facts(self.records, facts[at])
        for model, found in zip(group, unusable, strict=True):
            self.record_failures(model, self.work.tables.failures | dict(found))
        return facts

    def left(self, model: ModelWork, embedded: Embedded) -> ModelFacts:
        """What is said of a model that other parts of the work still embed: they will probe."""
        self.waiting[model.facts.label] = embedded.report.left_to_others
        return replace(model.facts, units_reused=model.reused, embedding=embedded.facts)

    def probe(
        self, group: Sequence[ModelWork], unusable: Sequence[Mapping[Task, str]]
    ) -> list[dict[Task, str]]:
        """Fit the absent units of all tasks but the unusable ones, and record them.

        Returns:
            Of each model: task -> why an executor gave it up.
        """
        tables, label = self.work.tables, group[0].facts.label
        wanted = [
            (model, [task for task in tables.read().tables if task not in failed])
            for model, failed in zip(group, unusable, strict=True)
        ]
        total = sum(task in tasks for model, tasks in wanted for task, _ in model.keys)
        done = total - sum(task in tasks for model, tasks in wanted for task, _ in model.absent)
        self.observer.probing(label, done, total)
        workers = worker_count(self.executor)
        calls = probe_groups(self.work, wanted, workers=workers, choices=self.choices)
        given_up: list[dict[Task, str]] = [{} for _ in group]
        whose = {model.reference: lost for model, lost in zip(group, given_up, strict=True)}
        for scored in _but_lost(self.executor.map(fit_groups, calls), whose):
            for one in scored:
                # The record last: whatever happens, it has beside it what it is read with.
                fingerprint = tables.chosen.fingerprints[one.task]
                out = self.work.request.out
                keep_answer_key(out, one.task.task_id, fingerprint, one.answers)
                self.keep_repeats(one.task, tables.read().tables[one.task])
                for unit in one.units:
                    if one.folds is not None and unit.key.shots is None:
                        keep_fold_scores(self.records, unit.key, one.folds)
                    self.records.add(unit.key, unit.rows, unit.predictions)
                done += len(one.units)
            self.observer.probing(label, done, total)
        self.observer.finished()
        said = [f"{task.task_id}: {why}" for lost in given_up for task, why in lost.items()]
        for text in dict.fromkeys(said):
            self.observer.note(text)
        return given_up

    def mended_tables(self) -> TaskTables:
        """Make again what is kept of test rows where units are finished and it is not whole.

        Returns:
            The tasks whose facts, answers or repeats were lost or damaged, parsed.
        """
        out, chosen = self.work.request.out, self.work.tables.chosen
        units = {unit for model in self.work.models for unit in model.keys.keys() - {*model.absent}}
        lost = []
        for task in {task for task, _ in units}:
            fingerprint, facts = (
                chosen.fingerprints[task],
                find_task_facts(self.records, task.task_id),
            )
            if (
                facts is None
                or find_answer_key(out, task.task_id, fingerprint) is None
                or find_repeats(out, task.task_id, fingerprint) is None
            ):
                lost.append(task)
        tables = self.work.tables.only(lost)
        if lost:
            read = tables.read()
            for task, table in read.tables.items():
                answers = AnswerKey(table.test_labels, leaked_rows(*read.rows_of(task)))
                keep_answer_key(out, task.task_id, chosen.fingerprints[task], answers)
                self.keep_repeats(task, table)
        return tables

    def keep_repeats(self, task: Task, table: TaskTable) -> None:
        """Look once a task for test rows that training rows resemble."""
        out, fingerprint = self.work.request.out, self.work.tables.chosen.fingerprints[task]
        known = find_repeats(out, task.task_id, fingerprint)
        if known is None or len(known) != len(table.test_labels):
            kinds, _ = kept_leaks(table)
            keep_repeats(out, task.task_id, fingerprint, kinds)

    def record_failures(self, model: ModelWork, failures: Mapping[Task, str]) -> None:
        """Record why tasks have no scores, so that every table made later shows it."""
        identity, settings = model.reference.identity, self.work.settings
        for task, why in failures.items():
            fingerprint = self.work.tables.chosen.fingerprints.get(task, "")
            for regime in settings.regimes:
                key = unit_key(identity.as_dict(), task, fingerprint, regime, settings)
                if self.records.find(key) is None:
                    rows = failed_rows(identity.model_id, task, regime, settings, why)
                    self.records.add(key, rows)


def _but_lost(
    results: Iterable[list[ScoredTask]], given_up: Mapping[ModelReference, dict[Task, str]]
) -> Iterator[list[ScoredTask]]:
    """The results, and at their end why some tasks of some models have none."""
    try:
        yield from results
    except LostUnitsError as error:
        for call, why in error.lost:
            for group in call:
                assert isinstance(group, ProbeGroup)
                said = dict.fromkeys(group.units, f"it could not be probed: {why}")
                given_up[group.model].update(said)
