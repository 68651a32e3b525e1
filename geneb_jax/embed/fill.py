"""Embed what a store does not have yet, shard by shard; or embed texts into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event

import numpy as np

from geneb_jax.data.text_buffer import text_lengths
from geneb_jax.embed.batch_budget import limited
from geneb_jax.embed.forward import BatchMemoryError, Forward
from geneb_jax.embed.free_memory import give_back_free_memory
from geneb_jax.embed.opening import work_rows
from geneb_jax.embed.pipeline import Committer, Stopped, computed_ahead
from geneb_jax.embed.progress import ProgressCallback, ProgressClock
from geneb_jax.embed.report import EmbedReport, report_of
from geneb_jax.embed.shard_work import (
    Embedder,
    Sequences,
    ShardRows,
    ShardWork,
    embed_shard,
    embedder_of,
)
from geneb_jax.embed.shared_shards import SharedShards
from geneb_jax.embed.variant_stores import RowStore
from geneb_jax.errors import NonFiniteError
from geneb_jax.models.encoder import Encoder
from geneb_jax.part import Part
from geneb_jax.store import EmbeddingStore, QuarantinedRowsError
from geneb_jax.store.claims import LEASE_SECONDS

__all__ = ["ShardMap", "embed_into", "embed_sequences", "read_or_embed"]

_LOG = logging.getLogger(__name__)
_READ_TRIES = 3
_ROWS_IN_MEMORY = 1 << 14
#: Rows without a finite one among them after which a model is given up.
_HOPELESS_ROWS = 4096
#: Letters of a sequence that a message shows.
_SHOWN_LETTERS = 40

#: An executor: applies a function to shards as they come, and gives the results in any order. The
#: built-in ``map`` is the serial one. A shard is claimed when it is drawn, so an executor that
#: shares a store with others draws what it is about to compute, and no more.
ShardMap = Callable[[Callable[[ShardWork], ShardRows], Iterable[ShardWork]], Iterator[ShardRows]]


def embed_sequences(
    encoder: Encoder,
    sequences: Sequence[str],
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    forward: Forward | None = None,
) -> np.ndarray:
    """Embed texts into memory.

    Where the device's memory does not hold a batch, all of them are embedded with smaller ones.

    Args:
        encoder: The model.
        sequences: The texts; a text that occurs twice is embedded once.
        batch_tokens: Most tokens of a batch on one device.
        progress: Told how far it is.
        forward: Programs and parameters of an earlier call, to be used again.

    Returns:
        float32 ``[len(sequences), width]``, finite. On one kind of device a row's bits depend on
        its text, the model and the tokens of a batch, and on nothing else.

    Raises:
        NonFiniteError: if the model gives NaN or infinity, naming the first sequences.
        ModelError: if it does not fit the device.
    """
    distinct = tuple(dict.fromkeys(sequences))
    embedder = forward or embedder_of(encoder, batch_tokens=batch_tokens)
    rows = np.empty((len(distinct), encoder.width), np.float32)
    order = np.argsort([-len(text) for text in distinct], kind="stable")
    shards: list[ShardRows] = []
    clock = _clock(encoder, progress, text_lengths(distinct))
    first = 0
    while first < len(order):
        part = order[first : first + _ROWS_IN_MEMORY]
        texts = tuple(distinct[at] for at in part.tolist())
        work = ShardWork(part, np.zeros((len(part), 16), np.uint8), texts)
        try:
            shard = embed_shard(embedder, work, done=clock.advance)
        except BatchMemoryError as error:
            _go_on_smaller(embedder, error)
            clock = _clock(encoder, progress, text_lengths(distinct))
            shards, first = [], 0
            continue
        rows[shard.positions] = shard.rows
        shards.append(shard.counts())
        first += len(part)
    unusable = [shard.unusable for shard in shards]
    if any(map(len, unusable)):
        raise _nonfinite(encoder, distinct, unusable)
    if len(distinct) == len(sequences):
        return rows
    where = {text: row for row, text in enumerate(distinct)}
    return rows[np.array([where[text] for text in sequences], np.int64)]


def _go_on_smaller(embedder: Embedder, error: BatchMemoryError) -> None:
    """Take fewer tokens a batch, or raise the error where that cannot help."""
    if error.smaller is None or not isinstance(embedder, Forward):
        raise error
    embedder.go_on_with(error.smaller)
    _LOG.warning(
        "%s: out of device memory; going on with %d tokens a batch",
        embedder.encoder.identity.model_id,
        embedder.batch_tokens,
    )


def _clock(
    encoder: Encoder, progress: ProgressCallback | None, lengths: np.ndarray
) -> ProgressClock:
    return ProgressClock(
        progress,
        model_id=encoder.identity.model_id,
        sequences_total=len(lengths),
        bp_total=int(lengths.sum()),
    )


def _refuse(error: NonFiniteError) -> None:
    raise error


def embed_into(
    store: RowStore,
    encoder: Encoder,
    table: Sequences,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    forward: Forward | None = None,
    on_nonfinite: Callable[[NonFiniteError], None] = _refuse,
    executor: ShardMap = map,
    embed: Callable[[ShardWork], ShardRows] | None = None,
    lease_seconds: float = LEASE_SECONDS,
    part: Part | None = None,
    on_first_rows: Callable[[np.ndarray], None] = lambda rows: None,
    on_shard: Callable[[ShardRows], None] = lambda shard: None,
) -> EmbedReport:
    """Embed the sequences of a table that the store does not have, and commit them shard by shard.

    Killed at any moment, it leaves whole shards; called again, it goes on at the next one. Several
    processes that call it at once on one store divide the shards among them: each claims one before
    it computes it, and what a dead process had claimed is taken over. It returns when everything is
    stored, whoever embedded it; or, as one part of a divided work, when all that is not stored is
    in the hands of others.

    Args:
        store: The store of this encoder; the stores of its variants, where it makes several.
        encoder: The model.
        table: Distinct sequences and their digests.
        batch_tokens: Most tokens of a batch on one device. Fewer than the model's own belong to
            another store; see :func:`~geneb_jax.embed.batch_budget.limited`.
        progress: Told how far it is.
        forward: Programs and parameters of an earlier call, to be used again.
        on_nonfinite: Told of the sequences without a finite embedding once all others are
            committed; raises by default.
        executor: Computes shards; one after the other, here, by default.
        embed: What computes a shard; :func:`~geneb_jax.embed.shard_work.embed_shard` with the
            encoder by default. An executor over processes needs one that can be pickled and loads
            the model there.
        lease_seconds: How long a process on another machine may be silent before its claim is
            taken over.
        part: Which part of the work this process is: its own sequences come first.
        on_first_rows: Given the rows of the first shard, for whoever wants to look at them early.
        on_shard: Given every shard that this call embedded, which it must not hold on to.

    Raises:
        NonFiniteError: as said; or at once where thousands of rows hold no finite one.
        BatchMemoryError: if the device memory does not hold a batch.
        ModelError: if the model does not fit the device.
        StoreError: if the store cannot be written.
        InterruptedRunError: if the device fails; what was committed is kept.
    """
    encoder = limited(encoder, batch_tokens)
    if store.identity != encoder.identity or store.width != encoder.width:
        raise ValueError(f"{store.place} is not the store of {encoder.identity.model_id}")
    total = len(table.sequences)
    missing = store.missing(table.digests)
    if not len(missing):
        return EmbedReport(encoder.identity.model_id, embedded=0, reused=total)
    clock = _clock(encoder, progress, text_lengths(table.sequences)[missing])
    shards = SharedShards(
        store,
        table,
        missing,
        clock=clock,
        lease_seconds=lease_seconds,
        part=part,
        rows=work_rows(encoder),
    )
    lacking = len(missing)
    del missing  # among many millions every list counts
    compute: Callable[[], Iterator[ShardRows]]
    if embed is None:
        embedder = forward or embedder_of(encoder, batch_tokens=batch_tokens)
        here = partial(_embed_here, embedder, clock)
        if executor is map and isinstance(embedder, Forward):
            # Counting shares its cores with the commits; a network waits for its tokens.
            threads = 1 if embedder.encoder.any_rows else 2
            compute = partial(computed_ahead, here, shards, threads=threads)
        else:
            compute = partial(executor, here, shards)
    else:
        compute = partial(executor, embed, shards)
    counts: list[ShardRows] = []
    unusable: list[np.ndarray] = []
    committed: list[int] = []
    seen = 0

    def commit(shard: ShardRows) -> None:
        if len(shard.digests):
            committed.append(store.commit(shard.digests, shard.rows))
        shards.finish(shard)
        give_back_free_memory()

    with shards, Committer(commit) as committer:
        while shards.pending():
            give_back_free_memory()  # of planning
            with _closing(compute()) as computed:
                for shard in computed:
                    if not counts:
                        on_first_rows(shard.rows)
                    on_shard(shard)
                    committer.put(shard)
                    counts.append(shard.counts())
                    unusable.append(shard.unusable)
                    seen += len(shard.positions) + len(shard.unusable)
                    if embed is not None:
                        clock.advance(len(shard.positions) + len(shard.unusable), shard.bp)
                    if seen >= _HOPELESS_ROWS and sum(map(len, unusable)) == seen:
                        committer.settle()
                        _refuse(_nonfinite(encoder, table.sequences, unusable))
                    del shard
            committer.settle()
        left = shards.left_to_others
    embedded, bad = sum(committed), sum(map(len, unusable))
    if bad:
        on_nonfinite(_nonfinite(encoder, table.sequences, unusable))
    return report_of(
        encoder.identity.model_id,
        counts,
        embedded=embedded,
        reused=total - embedded - bad - left,
        from_others=lacking - embedded - bad - left,
        left_to_others=left,
        seconds=clock.seconds,
    )


@contextmanager
def _closing(results: Iterator[ShardRows]) -> Iterator[Iterator[ShardRows]]:
    """Close an iterator that can be closed, so that its threads end before anybody goes on."""
    try:
        yield results
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()


def _embed_here(
    embedder: Embedder, clock: ProgressClock, work: ShardWork, stop: Event | None = None
) -> ShardRows:
    """Compute a shard in this process, telling of each batch."""

    def done(sequences: int, bp: int) -> None:
        if stop is not None and stop.is_set():
            raise Stopped
        clock.advance(sequences, bp)

    while True:
        try:
            return embed_shard(embedder, work, done=done)
        except BatchMemoryError as error:
            # Only where no shape changes a bit: else these rows would not be those of their key.
            if not (isinstance(embedder, Forward) and embedder.encoder.any_rows):
                raise
            _go_on_smaller(embedder, error)


def _nonfinite(
    encoder: Encoder, texts: Sequence[str], unusable: Sequence[np.ndarray]
) -> NonFiniteError:
    """What is wrong with the rows that were left out."""
    bad = np.concatenate(unusable)
    shown = ", ".join(_shortened(texts[at]) for at in bad[:3].tolist())
    return NonFiniteError(
        # How many were tried is left out: a resumed run must say the same.
        f"{len(bad)} embeddings hold NaN or infinity; none of these was stored",
        where=encoder.identity.model_id,
        cause=f"first sequences: {shown}",
        hint="try --dtype float32; a float16 or bfloat16 overflow is the usual cause",
        positions=bad,
    )


def _shortened(text: str) -> str:
    dots = "..." if len(text) > _SHOWN_LETTERS else ""
    return f"{text[:_SHOWN_LETTERS]}{dots} ({len(text)} letters)"


def read_or_embed(
    store: EmbeddingStore,
    encoder: Encoder,
    table: Sequences,
    digests: np.ndarray | None = None,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    forward: Forward | None = None,
    on_report: Callable[[EmbedReport], None] = lambda report: None,
) -> np.ndarray:
    """Read embeddings, embedding first what is missing or turns out to be damaged.

    Args:
        store: The store of this encoder.
        encoder: The model.
        table: All sequences of the run.
        digests: uint8 ``[n, 16]``, which of them to read; all by default.
        batch_tokens: Most tokens of a batch on one device.
        progress: Told how far an embedding is.
        forward: Programs and parameters of an earlier call, to be used again.
        on_report: Told what each embedding did, if there was any.

    Returns:
        float32 ``[n, width]`` in the order of ``digests``.

    Raises:
        NonFiniteError: if rows that are wanted hold NaN or infinity.
        QuarantinedRowsError: if rows are damaged again as soon as they are written.
    """
    wanted = table.digests if digests is None else digests
    attempt = 1
    while True:
        if len(store.missing(wanted)):
            unusable: list[NonFiniteError] = []
            on_report(
                embed_into(
                    store,
                    encoder,
                    table,
                    batch_tokens=batch_tokens,
                    progress=progress,
                    forward=forward,
                    on_nonfinite=unusable.append,
                )
            )
            if unusable and len(store.missing(wanted)):
                raise unusable[0]
        try:
            return store.read(wanted)
        except QuarantinedRowsError as error:
            if attempt == _READ_TRIES:
                raise
            _LOG.warning("%s", error.message)
        attempt += 1
