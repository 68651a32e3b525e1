"""A run as data: everything decided once, so that it can be shown, divided, handed over, repeated.

A request becomes a :class:`RunWork`: who every model is, which of its units have no record, which
sequences its store lacks. ``plan`` shows it, ``run``, ``embed`` and ``probe`` carry it out, and
what is left of a killed run is the same request planned again: a smaller work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import jax

from geneb_jax.benchmark import Regime, Suite, Task
from geneb_jax.errors import GenebError, ModelError
from geneb_jax.models import Encoder, LoadOptions
from geneb_jax.models.loading import settled_options
from geneb_jax.places import store_folder
from geneb_jax.results import ModelFacts, Records, UnitKey
from geneb_jax.results.folder_contents import find_model_facts
from geneb_jax.runs.encoder_facts import encoder_facts, require_known_models
from geneb_jax.runs.encoder_source import EncoderSource, ModelReference
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.probe_stage import ProbeGroup
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_choice import TaskTables, choose_tasks
from geneb_jax.runs.units import ProbeSettings, group_tasks, probe_settings, unit_key

__all__ = [
    "ModelWork",
    "RunWork",
    "encoder_source",
    "plan_work",
    "probe_groups",
    "with_smaller_batches",
]

#: Features of the tasks that are fitted in one batched call, in bytes: a share of memory that the
#: smallest machines have, beside the model.
GROUP_BYTES = 2**30
#: The same where a device holds the distinct rows of them all, if a quarter of the host's memory is
#: as much: a group that is lost with its process is fitted again in seconds.
PACKED_GROUP_BYTES = 2**34

Unit = tuple[Task, Regime]


@dataclass(frozen=True, slots=True)
class ModelWork:
    """What is left to do for one model.

    Attributes:
        reference: The model.
        facts: What tables and reports say of it.
        keys: The key of every unit of the run, finished or not.
        absent: The units without a record, in the order of ``keys``.
    """

    reference: ModelReference
    facts: ModelFacts
    keys: Mapping[Unit, UnitKey]
    absent: tuple[Unit, ...]

    @property
    def reused(self) -> int:
        """Units that are finished already."""
        return len(self.keys) - len(self.absent)


@dataclass(frozen=True, slots=True)
class RunWork:
    """What is left to do of a run.

    Attributes:
        request: What was asked.
        settings: How every unit is probed.
        tables: The tasks.
        models: The models' parts.
        problems: Model as typed -> why it cannot be used.
        notes: Sentences for the user.
    """

    request: RunRequest
    settings: ProbeSettings
    tables: TaskTables
    models: tuple[ModelWork, ...]
    problems: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def suite(self) -> Suite:
        """The suite of the tasks."""
        return self.tables.chosen.suite


def encoder_source(request: RunRequest, name: str) -> EncoderSource:
    """How one of the request's models is loaded."""
    asked = {
        field.name: getattr(request, field.name)
        for field in fields(LoadOptions)
        # The request's seeds are those of the few-shot draws.
        if field.name in RunRequest.model_fields and field.name != "seed"
    }
    options = settled_options(name, LoadOptions(**asked))
    return EncoderSource(name, options, request.batch_tokens, request.harness_batch)


def plan_work(request: RunRequest, observer: RunObserver | None = None) -> RunWork:
    """Decide everything about a run; write nothing and embed nothing.

    Args:
        request: Models, tasks, probes, places.
        observer: Receives progress of reading the files.

    Raises:
        GenebError: for input that leaves nothing to do. One bad model among good ones is a problem
            of the work instead.
    """
    _ = request.own_part  # refused before anything is read
    require_known_models(request.model)
    chosen = choose_tasks(request)
    tables = TaskTables(chosen)
    settings = probe_settings(request, chosen.suite, platform=jax.default_backend())
    records = Records(request.out)
    models: list[ModelWork] = []
    problems: dict[str, str] = {}
    for name in request.model:
        source = encoder_source(request, name)
        try:
            encoder = source.load()
        except GenebError as error:
            if len(request.model) == 1:
                raise
            problems[name] = error.message
            continue
        work = _model_work(request, source, encoder, tables, settings, records)
        if any(work.reference.identity == other.reference.identity for other in models):
            continue  # the same model by another of its names
        models.append(work)
    if not models:
        raise ModelError(
            f"none of the {len(problems)} models can be used",
            cause=" ".join(problems.values()),
            hint="`geneb-jax list models` shows what runs; name folders by their path",
        )
    if any(work.absent for work in models):
        tables.read(observer)
    damaged = tuple(
        f"{one.path}: not believed ({one.reason}); computed again" for one in records.damaged
    )
    return RunWork(request, settings, tables, tuple(models), problems, chosen.notes + damaged)


def with_smaller_batches(work: RunWork, model: ModelWork, batch_tokens: int) -> ModelWork:
    """The same model with fewer tokens a batch, for a device that does not hold its own number.

    Its rows may differ in their last bits, so it has an identity of its own.
    """
    source = replace(model.reference.source, batch_tokens=batch_tokens)
    records = Records(work.request.out)
    return _model_work(work.request, source, source.load(), work.tables, work.settings, records)


def _model_work(
    request: RunRequest,
    source: EncoderSource,
    encoder: Encoder,
    tables: TaskTables,
    settings: ProbeSettings,
    records: Records,
) -> ModelWork:
    chosen, identity = tables.chosen, encoder.identity
    keys: dict[Unit, UnitKey] = {
        (task, regime): unit_key(identity.as_dict(), task, fingerprint, regime, settings)
        for task, fingerprint in chosen.fingerprints.items()
        for regime in settings.regimes
    }
    absent = tuple(unit for unit, key in keys.items() if request.fresh or records.find(key) is None)
    store = request.store or str(store_folder())
    reference = ModelReference(source, identity, encoder.width, store)
    known = find_model_facts(records, identity.model_id, identity.short)
    label = request.name or (known.label if known is not None else None)
    return ModelWork(reference, encoder_facts(encoder, label=label), keys, absent)


def probe_groups(work: RunWork, model: ModelWork, tasks: list[Task]) -> list[ProbeGroup]:
    """The absent units of some tasks, cut into batched calls.

    A fit's result depends on its own rows alone, so the cut changes no score.
    """
    tables = work.tables.read().tables
    absent: dict[Task, tuple[UnitKey, ...]] = {}
    for task, regime in model.absent:
        if task in tasks:
            absent[task] = (*absent.get(task, ()), model.keys[task, regime])
    counts = {
        task: len(tables[task].train_labels) + len(tables[task].test_labels) for task in absent
    }
    packed = work.settings.packs(jax.default_backend())
    wide = work.settings.dtype == "float64" and not packed
    row_bytes = model.reference.width * (8 if wide else 4)
    return [
        ProbeGroup(
            model.reference,
            work.tables,
            {task: absent[task] for task in group},
            work.settings,
            model.reference.source.batch_tokens,
        )
        for group in group_tasks(
            list(absent),
            counts,
            row_bytes=row_bytes,
            budget_bytes=_packed_group_bytes() if packed else GROUP_BYTES,
        )
    ]


def _packed_group_bytes() -> int:
    if not hasattr(os, "sysconf"):
        return GROUP_BYTES
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory // 4, GROUP_BYTES), PACKED_GROUP_BYTES)
