"""A run as data: everything decided once, so that it can be shown, divided, handed over, repeated.

A request becomes a :class:`RunWork`: who every model is, which of its units have no record, which
sequences its store lacks. ``plan`` shows it, ``run``, ``embed`` and ``probe`` carry it out, and
what is left of a killed run is the same request planned again: a smaller work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import jax

from geneb_jax.benchmark import Regime, Suite, Task
from geneb_jax.errors import DataError, GenebError, ModelError
from geneb_jax.models import Encoder, LoadOptions
from geneb_jax.models.loading import settled_options
from geneb_jax.models.variants import chosen_variants
from geneb_jax.places import store_folder
from geneb_jax.results import ModelFacts, Records, UnitKey
from geneb_jax.results.fold_scores import has_fold_scores
from geneb_jax.results.folder_contents import find_model_facts
from geneb_jax.results.model_facts import with_variant
from geneb_jax.runs.encoder_facts import encoder_facts, require_known_models
from geneb_jax.runs.encoder_source import EncoderSource, ModelReference, keep_loaded
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.probe_stage import ProbeGroup
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.sweep_folds import can_hold_out, sweeps
from geneb_jax.runs.task_choice import ChosenTasks, ReadTasks, TaskTables, choose_tasks
from geneb_jax.runs.units import ProbeSettings, group_tasks, probe_settings, unit_key
from geneb_jax.runs.within_context import require_tasks_within_context

__all__ = [
    "ModelWork",
    "RunWork",
    "encoder_source",
    "load_variants",
    "plan_work",
    "probe_groups",
    "with_smaller_batches",
]

#: Features of the tasks that are fitted in one batched call, in bytes: a share of memory that the
#: smallest machines have, beside the model.
GROUP_BYTES = 2**30
#: Calls for each of several workers, so that none waits long for the last one.
GROUPS_A_WORKER = 3
#: As :data:`GROUP_BYTES` where a device holds the distinct rows of them all, if a quarter of the
#: memory of the host is as much: a group that is lost with its process is fitted again in seconds.
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
        choices: Whether a finished unit has what a choice of C, layer or pooling rests on.
    """

    request: RunRequest
    settings: ProbeSettings
    tables: TaskTables
    models: tuple[ModelWork, ...]
    problems: Mapping[str, str]
    notes: tuple[str, ...]
    choices: bool = True

    @property
    def suite(self) -> Suite:
        """The suite of the tasks."""
        return self.tables.chosen.suite

    @property
    def groups(self) -> tuple[tuple[ModelWork, ...], ...]:
        """The models, those together that are layers and poolings of one: they share a forward."""
        found: dict[EncoderSource, list[ModelWork]] = {}
        for model in self.models:
            found.setdefault(model.reference.source.files, []).append(model)
        return tuple(map(tuple, found.values()))


def encoder_source(request: RunRequest, name: str) -> EncoderSource:
    """How one of the request's models is loaded."""
    asked = {
        field.name: getattr(request, field.name)
        for field in fields(LoadOptions)
        # The request's seeds are those of the few-shot draws.
        if field.name in RunRequest.model_fields and field.name != "seed"
    }
    asked["pooling"] = request.poolings[0]
    if isinstance(request.layers, tuple) and len(request.layers) == 1:
        asked["layer"] = request.layers[0]
    options = settled_options(name, LoadOptions(**asked))
    return EncoderSource(name, options, request.batch_tokens, request.harness_batch)


def plan_work(
    request: RunRequest, observer: RunObserver | None = None, *, choices: bool = True
) -> RunWork:
    """Decide everything about a run; write nothing and embed nothing.

    Args:
        request: Models, tasks, probes, places.
        observer: Receives progress of reading the files.
        choices: See :attr:`RunWork.choices`.

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
            variants = load_variants(request, source)
        except GenebError as error:
            if len(request.model) == 1:
                raise
            problems[name] = error.message
            continue
        for variant, encoder in variants:
            keep_loaded(variant, encoder)
            work = _model_work(request, variant, encoder, tables, settings, records, choices)
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
        models = _within_context(models, tables.read(observer), chosen, problems)
    damaged = tuple(
        f"{one.path}: not believed ({one.reason}); computed again" for one in records.damaged
    )
    return RunWork(
        request, settings, tables, tuple(models), problems, chosen.notes + damaged, choices
    )


def _within_context(
    models: list[ModelWork], read: ReadTasks, chosen: ChosenTasks, problems: dict[str, str]
) -> list[ModelWork]:
    """The models that read every sequence whole, where ``--overlong refuse`` asks for that.

    Raises:
        DataError: if none is left.
    """
    kept = []
    for model in models:
        try:
            require_tasks_within_context(model.reference.encoder(), read, chosen.source)
            kept.append(model)
        except DataError as error:
            if len(models) == 1:
                raise
            problems[model.facts.label] = error.message
            last = error
    if not kept:
        raise last
    return kept


def load_variants(
    request: RunRequest, source: EncoderSource
) -> list[tuple[EncoderSource, Encoder]]:
    """Load a model: it, or each layer and pooling of it that is asked for, and how each is loaded.

    Raises:
        GenebError: see :meth:`EncoderSource.load` and
            :func:`geneb_jax.models.variants.chosen_variants`.
    """
    encoder = source.load()
    if not request.layers and len(request.poolings) == 1:
        return [(source, encoder)]
    found = []
    for pooling, variant in chosen_variants(encoder, request.layers, request.poolings):
        options = replace(source.options, layer=variant.identity.layer, pooling=pooling)
        found.append((replace(source, options=options), variant))
    return found


def with_smaller_batches(work: RunWork, model: ModelWork, batch_tokens: int) -> ModelWork:
    """The same model with fewer tokens a batch, for a device that does not hold its own number.

    Its rows may differ in their last bits, so it has an identity of its own.
    """
    source = replace(model.reference.source, batch_tokens=batch_tokens)
    records, encoder = Records(work.request.out), source.load()
    return _model_work(
        work.request, source, encoder, work.tables, work.settings, records, work.choices
    )


def _model_work(
    request: RunRequest,
    source: EncoderSource,
    encoder: Encoder,
    tables: TaskTables,
    settings: ProbeSettings,
    records: Records,
    choices: bool,
) -> ModelWork:
    chosen, identity = tables.chosen, encoder.identity
    keys: dict[Unit, UnitKey] = {
        (task, regime): unit_key(identity.as_dict(), task, fingerprint, regime, settings)
        for task, fingerprint in chosen.fingerprints.items()
        for regime in settings.regimes
    }
    # The choice among several variants or C needs their scores on held-out training rows.
    several = request.many_variants or (choices and sweeps(settings))
    held_out = several and can_hold_out(settings)

    def finished(key: UnitKey) -> bool:
        rows = records.find(key)
        if request.fresh or rows is None:
            return False
        return not held_out or key.shots is not None or has_fold_scores(records, key, rows)

    absent = tuple(unit for unit, key in keys.items() if not finished(key))
    store = request.store or str(store_folder())
    reference = ModelReference(source, identity, encoder.width, store)
    known = find_model_facts(records, identity.model_id, identity.short)
    facts = encoder_facts(encoder, label=known.label if known is not None else None)
    if request.name is not None:
        label = with_variant(request.name, facts.variant) if request.many_variants else request.name
        facts = encoder_facts(encoder, label=label)
    return ModelWork(reference, facts, keys, absent)


def probe_groups(
    work: RunWork,
    models: Sequence[tuple[ModelWork, list[Task]]],
    *,
    workers: int = 1,
    choices: bool = True,
) -> list[tuple[ProbeGroup, ...]]:
    """The absent units of a model, or of its layers and poolings, cut into batched calls.

    A fit's result depends on its own rows alone, so the cut changes no score.

    Args:
        work: The run.
        models: Each with the tasks that are probed.
        workers: How many calls run at once: each gets several, as far as there are tasks.
        choices: Whether what a choice of layer, pooling or C rests on is computed where there are
            several.

    Returns:
        What each call fits: a group a model.
    """
    tables = work.tables.read().tables
    absent: dict[tuple[int, Task], tuple[UnitKey, ...]] = {}
    for at, (model, tasks) in enumerate(models):
        wanted = set(tasks)
        for task, regime in model.absent:
            if task in wanted:
                absent[at, task] = (*absent.get((at, task), ()), model.keys[task, regime])
    packed = work.settings.packs(jax.default_backend())
    number_bytes = 8 if work.settings.dtype == "float64" and not packed else 4
    sizes = {
        (at, task): (len(tables[task].train_labels) + len(tables[task].test_labels))
        * models[at][0].reference.width
        * number_bytes
        for at, task in absent
    }
    budget = _packed_group_bytes() if packed else GROUP_BYTES
    if workers > 1:
        budget = min(budget, sum(sizes.values()) // (workers * GROUPS_A_WORKER))
    calls = group_tasks(list(absent), sizes, budget_bytes=budget)
    several = work.request.many_variants or sweeps(work.settings)
    held_out = choices and several and can_hold_out(work.settings)
    return [
        tuple(
            ProbeGroup(
                models[at][0].reference,
                work.tables,
                {task: absent[at, task] for where, task in call if where == at},
                work.settings,
                models[at][0].reference.source.batch_tokens,
                held_out=held_out,
            )
            for at in dict.fromkeys(at for at, _ in call)
        )
        for call in calls
    ]


def _packed_group_bytes() -> int:
    if not hasattr(os, "sysconf"):
        return GROUP_BYTES
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory // 4, GROUP_BYTES), PACKED_GROUP_BYTES)
