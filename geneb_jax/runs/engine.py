"""Carry out a run: tasks x models -> embeddings -> probes -> records -> tables and report.

The order of things, so that a death at any point loses little and changes nothing:

1. everything the user can get wrong is checked before the first sequence is embedded;
2. embeddings are committed shard by shard, records unit by unit; both are found again by content;
3. tables and report are assembled from records at the end, in an order that does not depend on what
   was computed when.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import jax

from geneb_jax.benchmark import Regime, Task
from geneb_jax.durable_files import require_writable_folder
from geneb_jax.errors import ConfigError, GenebError
from geneb_jax.models import Encoder
from geneb_jax.results import (
    EmbeddingFacts,
    ModelFacts,
    Records,
    ScoreRow,
    UnitKey,
    keep_answer_key,
)
from geneb_jax.runs.compiled_programs import keep_compiled_programs
from geneb_jax.runs.embed_stage import embed_model, load_requested
from geneb_jax.runs.model_facts import model_facts, require_known_models
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.outcome import RunOutcome, assemble
from geneb_jax.runs.probe_stage import Features, failed_rows, score_group
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_choice import choose_tasks
from geneb_jax.runs.task_data import TaskData
from geneb_jax.runs.units import ProbeSettings, group_tasks, probe_settings, unit_key

__all__ = ["execute"]

#: Features of the tasks that are fitted in one batched call, in bytes.
GROUP_BYTES = 2**30

Unit = tuple[Task, Regime]


def execute(
    request: RunRequest, observer: RunObserver | None = None, *, stored_only: bool = False
) -> RunOutcome:
    """Run, or resume, what the request describes.

    Args:
        request: Models, tasks, probes, places.
        observer: Receives progress; none: silence.
        stored_only: Probe embeddings that are in the store, and refuse to embed.

    Raises:
        GenebError: for input that leaves nothing to do; a bad task or model among good ones is
            reported in the outcome instead.
    """
    observer = observer or RunObserver()
    keep_compiled_programs()
    started = time.perf_counter()
    out = request.out
    chosen = choose_tasks(request)
    settings = probe_settings(request, chosen.suite, platform=jax.default_backend())
    require_known_models(request.models)
    require_writable_folder(out, option="--out")
    for text in chosen.notes:
        observer.note(text)

    data = TaskData(chosen, observer)
    records = Records(out)
    rows: dict[str, list[ScoreRow]] = {}
    models: dict[str, ModelFacts] = {}
    problems: dict[str, str] = {task.task_id: why for task, why in chosen.failures.items()}
    for name in request.models:
        try:
            encoder = load_requested(request, name)
            model_id = encoder.identity.model_id
            if model_id in rows:
                raise ConfigError(
                    f"two models are called {model_id}",
                    where=name,
                    hint="rename one of the folders",
                )
            rows[model_id], models[model_id] = _run_model(
                encoder, request, data, settings, records, observer, stored_only=stored_only
            )
        except GenebError as error:
            if len(request.models) == 1:
                raise
            problems[name] = error.message
            observer.note(error.message)
    for task, why in data.failures.items():
        problems[task.task_id] = why
    for damaged in records.damaged:
        observer.note(f"{damaged.path}: not believed ({damaged.reason}); computed again")
    return assemble(
        out,
        suite=chosen.suite,
        settings=settings,
        fingerprints={task.task_id: value for task, value in chosen.fingerprints.items()},
        data_notes={table.task.task_id: dict(table.notes) for table in data.tables.values()},
        rows=[row for part in rows.values() for row in part],
        models=models,
        problems=problems,
        seconds=time.perf_counter() - started,
    )


def _run_model(
    encoder: Encoder,
    request: RunRequest,
    data: TaskData,
    settings: ProbeSettings,
    records: Records,
    observer: RunObserver,
    *,
    stored_only: bool,
) -> tuple[list[ScoreRow], ModelFacts]:
    """All rows of one model, finished ones from their records, and what run.json says of it."""
    chosen, identity = data.chosen, encoder.identity
    model_id = identity.model_id
    keys: dict[Unit, UnitKey] = {
        (task, regime): unit_key(model_id, identity.as_dict(), task, fingerprint, regime, settings)
        for task, fingerprint in chosen.fingerprints.items()
        for regime in settings.regimes
    }
    done: dict[Unit, Sequence[ScoreRow]] = {}
    if not request.fresh:
        done = {unit: found for unit, key in keys.items() if (found := records.find(key))}
    facts = replace(model_facts(encoder), units_reused=len(done))
    unusable: Mapping[Task, str] = {}
    if len(done) < len(keys):
        computed, unusable = _compute(
            encoder, request, data, settings, keys, done, records, observer, stored_only=stored_only
        )
        facts = replace(facts, embedding=computed[0], probing_seconds=computed[1])
    ordered: list[ScoreRow] = []
    for task in chosen.suite.tasks:
        why = chosen.failures.get(task) or data.failures.get(task) or unusable.get(task)
        for regime in settings.regimes:
            if (task, regime) in done:
                ordered.extend(done[task, regime])
            elif why:
                ordered.extend(failed_rows(model_id, task, regime, settings, why))
    return ordered, facts


def _compute(
    encoder: Encoder,
    request: RunRequest,
    data: TaskData,
    settings: ProbeSettings,
    keys: Mapping[Unit, UnitKey],
    done: dict[Unit, Sequence[ScoreRow]],
    records: Records,
    observer: RunObserver,
    *,
    stored_only: bool,
) -> tuple[tuple[EmbeddingFacts, float], Mapping[Task, str]]:
    """Embed what is missing, fit what is missing, record it; adds the new rows to ``done``.

    Returns:
        What embedding cost and the seconds of fitting, and the tasks that some embeddings are
        missing for.
    """
    model_id = encoder.identity.model_id
    started = time.perf_counter()
    embedded = embed_model(encoder, request, data, observer, stored_only=stored_only)
    report, unusable = embedded.report, embedded.unusable
    embed_seconds = time.perf_counter() - started
    sequences = data.read()

    positions = {task: at for at, task in enumerate(data.tables)}
    tasks = [task for task in data.tables if task not in unusable]
    features = Features(embedded.store, encoder, sequences, positions, request.batch_tokens)
    counts = {
        task: len(table.train_labels) + len(table.test_labels)
        for task, table in data.tables.items()
    }
    width_bytes = encoder.width * (8 if settings.dtype == "float64" else 4)
    groups = group_tasks(tasks, counts, row_bytes=width_bytes, budget_bytes=GROUP_BYTES)
    total = len(tasks) * len(settings.regimes)
    for group in groups:
        absent = [
            (task, regime)
            for task in group
            for regime in settings.regimes
            if (task, regime) not in done
        ]
        if absent:
            fitted = score_group(model_id, data.tables, group, features, settings)
            # The answers first: a record with predictions has them beside it, whatever happens.
            for task in dict.fromkeys(task for task, _ in absent):
                answers = features.answers(task, data.tables[task])
                keep_answer_key(request.out, task.task_id, data.chosen.fingerprints[task], answers)
            for unit in absent:
                scored = fitted[unit]
                done[unit] = records.add(keys[unit], scored.rows, scored.predictions)
        observer.probing(model_id, _count(done, tasks), total)
    observer.finished()
    for task, why in unusable.items():
        observer.note(f"{task.task_id}: {why}")
    counts_of = asdict(report)
    counts_of.pop("model_id")
    probing_seconds = round(time.perf_counter() - started - embed_seconds, 3)
    return (EmbeddingFacts(**counts_of), probing_seconds), unusable


def _count(done: Iterable[Unit], tasks: Sequence[Task]) -> int:
    known = set(tasks)
    return sum(task in known for task, _ in done)
