"""Embed what a store does not have yet, shard by shard; or embed texts into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from geneb_jax.embed.forward import Forward
from geneb_jax.embed.job import EmbedJob, EmbedReport
from geneb_jax.embed.progress import ProgressCallback
from geneb_jax.errors import NonFiniteError
from geneb_jax.models.encoder import Encoder
from geneb_jax.store import EmbeddingStore, QuarantinedRowsError

__all__ = ["Sequences", "embed_into", "embed_sequences", "read_or_embed"]

_LOG = logging.getLogger(__name__)
_READ_TRIES = 3
_ROWS_IN_MEMORY = 1 << 14


class Sequences(Protocol):
    """What the engine needs of a sequence table (:class:`geneb_jax.data.SequenceTable`)."""

    @property
    def sequences(self) -> Sequence[str]:
        """Distinct texts."""

    @property
    def digests(self) -> np.ndarray:
        """uint8 ``[n, 16]``, the digest of each text."""


def embed_sequences(
    encoder: Encoder,
    sequences: Sequence[str],
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    forward: Forward | None = None,
) -> np.ndarray:
    """Embed texts into memory.

    Args:
        encoder: The model.
        sequences: The texts; a text that occurs twice is embedded once.
        batch_tokens: Most tokens of a batch.
        progress: Told how far it is.
        forward: Programs and parameters of an earlier call, to be used again.

    Returns:
        float32 ``[len(sequences), width]``, finite.

    Raises:
        NonFiniteError: if the model gives NaN or infinity, naming the first sequences.
        ModelError: if it does not fit the device.
    """
    distinct = list(dict.fromkeys(sequences))
    job = EmbedJob(encoder, distinct, batch_tokens=batch_tokens, forward=forward)
    rows = np.empty((len(distinct), encoder.width), np.float32)
    everything = np.arange(len(distinct), dtype=np.int64)
    shards = job.shards(everything, rows_per_shard=_ROWS_IN_MEMORY, progress=progress)
    for members, part in shards:
        rows[members] = part
    if job.nonfinite is not None:
        raise job.nonfinite
    if len(distinct) == len(sequences):
        return rows
    where = {text: row for row, text in enumerate(distinct)}
    return rows[np.array([where[text] for text in sequences], np.int64)]


def _refuse(error: NonFiniteError) -> None:
    raise error


def embed_into(
    store: EmbeddingStore,
    encoder: Encoder,
    table: Sequences,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    forward: Forward | None = None,
    on_nonfinite: Callable[[NonFiniteError], None] = _refuse,
) -> EmbedReport:
    """Embed the sequences of a table that the store does not have, and commit them shard by shard.

    Killed at any moment, it leaves whole shards; called again, it goes on at the next one.

    Args:
        store: The store of this encoder.
        encoder: The model.
        table: Distinct sequences and their digests.
        batch_tokens: Most tokens of a batch.
        progress: Told how far it is.
        forward: Programs and parameters of an earlier call, to be used again.
        on_nonfinite: Told of the sequences without a finite embedding once all others are
            committed; raises by default.

    Raises:
        NonFiniteError: as said; or at once where thousands of rows hold no finite one.
        ModelError: if it does not fit the device.
        StoreError: if the store cannot be written.
        InterruptedRunError: if the device fails; what was committed is kept.
    """
    if store.identity != encoder.identity or store.width != encoder.width:
        raise ValueError(f"{store.place} is not the store of {encoder.identity.model_id}")
    total = len(table.sequences)
    if not len(store.missing(table.digests)):
        return EmbedReport(encoder.identity.model_id, embedded=0, reused=total)
    with store.writing():
        missing = store.missing(table.digests)
        if not len(missing):
            return EmbedReport(encoder.identity.model_id, embedded=0, reused=total)
        job = EmbedJob(
            encoder,
            table.sequences,
            digests=table.digests,
            batch_tokens=batch_tokens,
            forward=forward,
        )
        shards = job.shards(missing, rows_per_shard=store.rows_per_shard, progress=progress)
        for members, rows in shards:
            store.commit(table.digests[members], rows)
        if job.nonfinite is not None:
            on_nonfinite(job.nonfinite)
        return job.report(reused=total - len(missing))


def read_or_embed(
    store: EmbeddingStore,
    encoder: Encoder,
    table: Sequences,
    digests: np.ndarray | None = None,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
    on_report: Callable[[EmbedReport], None] = lambda report: None,
) -> np.ndarray:
    """Read embeddings, embedding first what is missing or turns out to be damaged.

    Args:
        store: The store of this encoder.
        encoder: The model.
        table: All sequences of the run.
        digests: uint8 ``[n, 16]``, which of them to read; all by default.
        batch_tokens: Most tokens of a batch.
        progress: Told how far an embedding is.
        on_report: Told what each embedding did, if there was any.

    Returns:
        float32 ``[n, width]`` in the order of ``digests``.

    Raises:
        NonFiniteError: if rows that are wanted hold NaN or infinity.
        QuarantinedRowsError: if rows are damaged again as soon as they are written.
    """
    wanted = table.digests if digests is None else digests
    for attempt in range(_READ_TRIES):
        if len(store.missing(wanted)):
            unusable: list[NonFiniteError] = []
            on_report(
                embed_into(
                    store,
                    encoder,
                    table,
                    batch_tokens=batch_tokens,
                    progress=progress,
                    on_nonfinite=unusable.append,
                )
            )
            if unusable and len(store.missing(wanted)):
                raise unusable[0]
        try:
            return store.read(wanted)
        except QuarantinedRowsError as error:
            if attempt == _READ_TRIES - 1:
                raise
            _LOG.warning("%s", error.message)
    raise AssertionError("unreachable")
