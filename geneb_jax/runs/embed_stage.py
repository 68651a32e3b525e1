"""Bring a model's embeddings of all tasks' distinct sequences into the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from geneb_jax.benchmark import Task
from geneb_jax.embed import (
    EmbedReport,
    ShardRows,
    ShardWork,
    embed_into,
    embed_shard,
    embedder_of,
    open_store,
    with_row_counts,
)
from geneb_jax.embed.joint_check import alike_alone
from geneb_jax.embed.shard_work import Embedder
from geneb_jax.embed.variant_stores import VariantStores
from geneb_jax.errors import GenebError, NonFiniteError, StoreError
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.models.adapters.harness_encoder import HarnessEncoder
from geneb_jax.results import EmbeddingFacts
from geneb_jax.runs.encoder_source import ModelReference, joint_encoder
from geneb_jax.runs.executors import Executor, SerialExecutor
from geneb_jax.runs.fleet_embedding import Refusal, embed_on_fleet
from geneb_jax.runs.harness_order import embed_splits, missing_rows
from geneb_jax.runs.input_look import InputLook
from geneb_jax.runs.kept_counts import CountsOfShards, keep_counts, known_counts
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.task_choice import ReadTasks
from geneb_jax.runs.work import ModelWork, RunWork
from geneb_jax.store import EmbeddingStore

__all__ = ["Embedded", "anything_missing", "embed_models", "require_stores"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of the embeddings of a run's tasks.

    Attributes:
        report: What this call did.
        unusable: Task -> why some of its sequences have no embedding.
    """

    report: EmbedReport
    unusable: dict[Task, str]

    @property
    def facts(self) -> EmbeddingFacts:
        """The report as run.json has it."""
        plain = asdict(self.report)
        del plain["model_id"]
        return EmbeddingFacts(**plain)


@dataclass(frozen=True, slots=True)
class ShardAnywhere:
    """Computes shards in whatever process it was sent to; loads the model there, once.

    Attributes:
        model: The model; what is loaded must be the one that the run was planned with.
        variants: Its other layers and poolings, whose vectors stand behind its own in a row.
    """

    model: ModelReference
    variants: tuple[ModelReference, ...] = ()

    def __call__(self, work: ShardWork) -> ShardRows:
        """See :func:`geneb_jax.embed.embed_shard`."""
        return embed_shard(_embedder((self.model, *self.variants)), work)


@lru_cache(maxsize=1)
def _embedder(models: tuple[ModelReference, ...]) -> Embedder:
    return embedder_of(joint_encoder(models), batch_tokens=models[0].source.batch_tokens)


def require_stores(
    work: RunWork, observer: RunObserver | None = None, *, stored_only: bool = False
) -> None:
    """Make sure that some model has a store that can be used, before anything is written elsewhere.

    Args:
        work: The run.
        observer: Receives progress of reading the task files.
        stored_only: Also ask whether any model has all embeddings of any task.

    Raises:
        GenebError: if no model has a store that can be used, or any embeddings where they are
            needed; the first model's reason.
    """
    reasons: list[GenebError] = []
    for model in work.models:
        if not model.absent:
            return
        try:
            encoder = model.reference.encoder()
            store = open_store(model.reference.store, encoder)
            if not stored_only:
                return
            read = work.tables.read(observer)
            if isinstance(encoder, HarnessEncoder):
                _embed_as_harness(read, store, encoder, RunObserver(), stored_only=True)
            else:
                _stored_embeddings(read, store, encoder.identity.model_id)
            return
        except GenebError as error:
            reasons.append(error)
    if reasons:
        raise reasons[0]


def _stored_embeddings(read: ReadTasks, store: EmbeddingStore, model_id: str) -> Embedded:
    """What is stored of the tasks' sequences.

    Raises:
        StoreError: if every task lacks something.
    """
    sequences = read.sequences
    missing = store.missing(sequences.digests)
    report = EmbedReport(model_id, embedded=0, reused=len(sequences) - len(missing))
    if not len(missing):
        return Embedded(report, {})
    error = StoreError(
        f"{len(missing)} of {len(sequences)} sequences are not embedded with {model_id}",
        where=store.place,
        hint="run `geneb-jax embed` with the same options first, or `geneb-jax run`",
    )
    return Embedded(report, _without(read, missing, error))


def anything_missing(work: RunWork, observer: RunObserver | None = None) -> bool:
    """Whether the stores lack any embedding of the run: whether workers would have something to do.

    True also where that cannot be told yet, such as for a store that cannot be opened.

    Args:
        work: The run.
        observer: Receives progress of reading the task files.
    """
    for model in work.models:
        try:
            encoder = model.reference.encoder()
            store = open_store(model.reference.store, encoder)
            if isinstance(encoder, HarnessEncoder):
                return True
            if len(store.missing(work.tables.read(observer).sequences.digests)):
                return True
        except GenebError:
            return True
    return False


def embed_models(
    work: RunWork,
    models: Sequence[ModelWork],
    observer: RunObserver,
    executor: Executor,
    *,
    stored_only: bool = False,
) -> list[Embedded]:
    """Embed what the stores of a model's layers and poolings lack, by one forward for all of them.

    Args:
        work: The run.
        models: One of :attr:`RunWork.groups`.
        observer: Receives progress.
        executor: Computes the shards.
        stored_only: Refuse to embed.

    Returns:
        What became of each.

    Raises:
        NonFiniteError: if every task holds a sequence without a finite embedding.
        StoreError: with ``stored_only``, if every task lacks something.
    """
    if isinstance(executor, Fleet) and len(models) > 1:
        # Whether layers of one forward have the bits of each alone is a matter of the device, and
        # a fleet may have many kinds.
        observer.note("many workers embed layers and poolings one after the other")
        return [embed_models(work, (model,), observer, executor)[0] for model in models]
    read = work.tables.read(observer)
    sequences = read.sequences
    references = [model.reference for model in models]
    stores = [open_store(one.store, one.encoder()) for one in references]
    encoder = joint_encoder(references)
    if isinstance(encoder, HarnessEncoder):
        return [_embed_as_harness(read, stores[0], encoder, observer, stored_only=stored_only)]
    if stored_only:
        return [_stored_embeddings(read, store, encoder.identity.model_id) for store in stores]
    together = VariantStores(stores, encoder.identity) if len(stores) > 1 else None
    if together is not None and len(together.missing(sequences.digests)):
        members, tokens = [one.encoder() for one in references], references[0].source.batch_tokens
        if not alike_alone(encoder, members, sequences.sequences, batch_tokens=tokens):
            observer.note(
                f"{references[0].identity.model_id}: on this device layers of one forward differ "
                "in their last bits from each layer alone, so they are embedded one by one"
            )
            return [embed_models(work, (model,), observer, executor)[0] for model in models]
    look = InputLook(encoder, observer)
    look.at_tokens(sequences.sequences)
    counted = CountsOfShards(len(sequences))
    refusals: tuple[Refusal, ...]
    if isinstance(executor, Fleet):
        report, refusals = embed_on_fleet(
            executor, stores[0], references[0], sequences, observer, on_first_rows=look.at_rows
        )
    else:
        refused: list[NonFiniteError] = []
        elsewhere = ShardAnywhere(references[0], tuple(references[1:]))
        serial = isinstance(executor, SerialExecutor)
        report = embed_into(
            together or stores[0],
            encoder,
            sequences,
            batch_tokens=references[0].source.batch_tokens,
            progress=observer.embedding,
            on_nonfinite=refused.append,
            executor=map if serial else executor.map,
            embed=None if serial else elsewhere,
            part=work.request.own_part,
            on_first_rows=look.at_rows,
            on_shard=counted.add,
        )
        refusals = tuple(Refusal(error.positions, error) for error in refused)
    observer.finished()
    identity, counts = references[0].identity, counted.total()
    if counts is not None:
        keep_counts(identity, sequences, counts)
    elif report.embedded < len(sequences):
        # Counts belong to rows, whoever embedded them: those that were stored are found, or made.
        report = with_row_counts(report, known_counts(identity, encoder, sequences))
    look.at_stored(stores[-1], sequences.digests)
    look.at_report(report, total=len(sequences))
    unusable: dict[Task, str] = {}
    for refusal in refusals:
        unusable = _without(read, refusal.positions, refusal.error, beside=unusable)
    reports = [report] if together is None else _reports(report, together)
    return [Embedded(one, unusable) for one in reports]


def _reports(report: EmbedReport, stores: VariantStores) -> list[EmbedReport]:
    """What each store got; all else, the time included, is that of the one forward."""
    there = report.embedded + report.reused
    return [replace(report, embedded=new, reused=there - new) for new in stores.added]


def _embed_as_harness(
    read: ReadTasks,
    store: EmbeddingStore,
    encoder: HarnessEncoder,
    observer: RunObserver,
    *,
    stored_only: bool,
) -> Embedded:
    """Extract what the store lacks, split by split; in this process, whatever the executor.

    Raises:
        GenebError: if no task has embeddings, or, with ``stored_only``, any that are complete.
    """
    name = encoder.identity.model_id
    if not stored_only:
        report, failed = embed_splits(store, encoder, read.tables, progress=observer.embedding)
        observer.finished()
        return Embedded(report, {task: error.message for task, error in failed.items()})
    lacking = {task: missing_rows(store, table) for task, table in read.tables.items()}
    unusable = {
        task: f"{count} rows are not embedded with {name} as in the harness"
        for task, count in lacking.items()
        if count
    }
    if len(unusable) == len(lacking):
        raise StoreError(
            f"no task is embedded with {name} as in the harness",
            where=store.place,
            hint="run `geneb-jax embed` with the same options first, or `geneb-jax run`",
        )
    return Embedded(EmbedReport(name, embedded=0, reused=len(read.sequences)), unusable)


def _without(
    read: ReadTasks,
    positions: np.ndarray,
    error: GenebError,
    *,
    beside: Mapping[Task, str] | None = None,
) -> dict[Task, str]:
    """The tasks that hold some of these sequences, and what is to be said of each.

    Args:
        read: The tasks.
        positions: Of the sequences.
        error: Why they have no embedding.
        beside: Tasks that are unusable for another reason already; they keep it.

    Raises:
        GenebError: the error itself, if no other task is left.
    """
    lacking = np.zeros(len(read.sequences), bool)
    lacking[positions] = True
    unusable = dict(beside or {})
    for task in read.tables:
        rows = np.concatenate(read.rows_of(task))
        count = int(np.count_nonzero(lacking[rows]))
        if count and task not in unusable:
            unusable[task] = f"{count} of {len(rows)} rows have no embedding: {error.message}"
    if len(unusable) == len(read.tables):
        raise error
    return unusable
