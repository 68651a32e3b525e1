"""Carry out a run: tasks x models -> embeddings -> probes -> records -> tables and report.

The order of things, so that a death at any point loses little and changes nothing:

1. everything is decided and checked before the first sequence is embedded (:func:`plan_work`);
2. embeddings are committed shard by shard, records unit by unit; both are found again by content;
3. tables and report are made from the folder's records at the end, whatever was computed when.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from geneb_jax.benchmark import Task
from geneb_jax.durable_files import require_writable_folder
from geneb_jax.embed import BatchMemoryError
from geneb_jax.errors import GenebError
from geneb_jax.results import ModelFacts, Records, TaskFacts, claim_folder, keep_answer_key
from geneb_jax.results.folder_contents import find_task_facts, keep_model_facts, keep_task_facts
from geneb_jax.runs.compiled_programs import keep_compiled_programs
from geneb_jax.runs.embed_stage import embed_model
from geneb_jax.runs.executors import Executor, SerialExecutor
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.outcome import RunOutcome, write_outcome
from geneb_jax.runs.probe_stage import failed_rows, fit_group
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.units import unit_key
from geneb_jax.runs.work import (
    ModelWork,
    RunWork,
    plan_work,
    probe_groups,
    with_smaller_batches,
)

__all__ = ["carry_out", "execute"]


def execute(
    request: RunRequest,
    observer: RunObserver | None = None,
    *,
    stored_only: bool = False,
    executor: Executor | None = None,
) -> RunOutcome:
    """Run, or resume, what the request describes.

    Args:
        request: Models, tasks, probes, places.
        observer: Receives progress; none: silence.
        stored_only: Probe embeddings that are in the store, and refuse to embed.
        executor: Who does the work; this process by default.

    Raises:
        GenebError: for input that leaves nothing to do; a bad task or model among good ones is
            reported in the outcome instead.
    """
    observer = observer or RunObserver()
    keep_compiled_programs()
    started = time.perf_counter()
    work = plan_work(request, observer)
    return carry_out(
        work,
        observer,
        stored_only=stored_only,
        executor=executor or SerialExecutor(),
        started=started,
    )


def carry_out(
    work: RunWork,
    observer: RunObserver,
    *,
    stored_only: bool,
    executor: Executor,
    started: float,
) -> RunOutcome:
    """Do what is left of a run and write its tables."""
    out = work.request.out
    require_writable_folder(out, option="--out")
    changes = claim_folder(out, work.suite, update=work.request.update_suite)
    notes = [f"the suite was updated: {change}" for change in changes]
    for text in (*work.notes, *notes, *work.problems.values()):
        observer.note(text)
    records = Records(out)
    _keep_task_facts(work, records)
    problems = dict(work.problems)
    models: list[ModelFacts] = []
    for model in work.models:
        try:
            models.append(
                _run_model_that_fits(work, model, records, observer, executor, stored_only)
            )
        except GenebError as error:
            if len(work.request.model) == 1:
                raise
            problems[model.reference.source.name] = error.message
            observer.note(error.message)
    problems |= {task.task_id: why for task, why in work.tables.failures.items()}
    return write_outcome(work, models, problems, observer, seconds=time.perf_counter() - started)


def _keep_task_facts(work: RunWork, records: Records) -> None:
    """What every chosen task's files are now; a run that parsed nothing keeps the counted notes."""
    notes = work.tables.notes
    for task in (*work.tables.chosen.fingerprints, *work.tables.chosen.failures):
        fingerprint = work.tables.chosen.fingerprints.get(task, "")
        known = find_task_facts(records, task.task_id)
        same = known is not None and known.fingerprint == fingerprint
        found = notes.get(task.task_id, known.notes if known is not None and same else {})
        keep_task_facts(records, task.task_id, TaskFacts(fingerprint=fingerprint, notes=found))


def _run_model_that_fits(
    work: RunWork,
    model: ModelWork,
    records: Records,
    observer: RunObserver,
    executor: Executor,
    stored_only: bool,
) -> ModelFacts:
    """Run a model, with ever smaller batches where the device's memory does not hold them."""
    while True:
        try:
            return _run_model(work, model, records, observer, executor, stored_only)
        except BatchMemoryError as error:
            if error.smaller is None:
                raise
            observer.note(f"{error.message} Going on with {error.smaller} tokens a batch.")
            smaller = error.smaller
        finally:
            model.reference.release()
        model = with_smaller_batches(work, model, smaller)


def _run_model(
    work: RunWork,
    model: ModelWork,
    records: Records,
    observer: RunObserver,
    executor: Executor,
    stored_only: bool,
) -> ModelFacts:
    """Embed what is missing, fit what is missing, record it; what run.json says of it."""
    facts = replace(model.facts, units_reused=model.reused)
    keep_model_facts(records, facts)
    unusable: Mapping[Task, str] = {}
    if model.absent:
        embedded = embed_model(work, model, observer, executor, stored_only=stored_only)
        unusable = embedded.unusable
        for task, why in unusable.items():
            observer.note(f"{task.task_id}: {why}")
        started = time.perf_counter()
        _probe(work, model, records, observer, executor, unusable)
        seconds = round(time.perf_counter() - started, 3)
        facts = replace(facts, embedding=embedded.facts, probing_seconds=seconds)
        keep_model_facts(records, facts)
    _record_failures(work, model, records, dict(work.tables.failures) | dict(unusable))
    return facts


def _probe(
    work: RunWork,
    model: ModelWork,
    records: Records,
    observer: RunObserver,
    executor: Executor,
    unusable: Mapping[Task, str],
) -> None:
    tasks = [task for task in work.tables.read().tables if task not in unusable]
    wanted = set(tasks)
    total = sum(task in wanted for task, _ in model.keys)
    done = total - sum(task in wanted for task, _ in model.absent)
    for scored in executor.map(fit_group, probe_groups(work, model, tasks)):
        for one in scored:
            # The answers first: a record with predictions has them beside it, whatever happens.
            fingerprint = work.tables.chosen.fingerprints[one.task]
            keep_answer_key(work.request.out, one.task.task_id, fingerprint, one.answers)
            for unit in one.units:
                records.add(unit.key, unit.rows, unit.predictions)
            done += len(one.units)
        observer.probing(model.facts.label, done, total)
    observer.finished()


def _record_failures(
    work: RunWork, model: ModelWork, records: Records, failures: Mapping[Task, str]
) -> None:
    """Tasks without scores have records that say why, so that every table made later shows them."""
    identity = model.reference.identity
    for task, why in failures.items():
        fingerprint = work.tables.chosen.fingerprints.get(task, "")
        for regime in work.settings.regimes:
            key = unit_key(identity.as_dict(), task, fingerprint, regime, work.settings)
            if records.find(key) is None:
                rows = failed_rows(identity.model_id, task, regime, work.settings, why)
                records.add(key, rows)
