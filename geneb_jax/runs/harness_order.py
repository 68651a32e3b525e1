"""Rows that belong to a place in a file: embedding and reading them for ``--as-harness``.

An extractor's row may depend on every other of its split, so rows are kept a split at a time, under
(fingerprint of the task's files, split, place) instead of under the sequence. A split is extracted
in one call and is never divided; what is stored is not extracted again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from geneb_jax.benchmark import Task
from geneb_jax.data import DIGEST_BYTES, TaskTable
from geneb_jax.embed import EmbedReport, ProgressCallback
from geneb_jax.embed.progress import ProgressClock
from geneb_jax.errors import GenebError, ModelError, NonFiniteError
from geneb_jax.models.adapters.harness_encoder import HarnessEncoder
from geneb_jax.store import EmbeddingStore, QuarantinedRowsError

__all__ = ["embed_splits", "missing_rows", "read_split_rows", "split_digests"]


def split_digests(fingerprint: str, split: str, rows: int) -> np.ndarray:
    """uint8 ``[rows, 16]``: the keys of a split's rows, in the file's order.

    Args:
        fingerprint: Of the task's files.
        split: ``train`` or ``test``.
        rows: Rows of the split.
    """
    stem = f"as-harness {fingerprint} {split} ".encode()
    keys = (
        hashlib.blake2b(stem + str(row).encode(), digest_size=DIGEST_BYTES).digest()
        for row in range(rows)
    )
    return np.frombuffer(b"".join(keys), np.uint8).reshape(rows, DIGEST_BYTES)


def _splits(table: TaskTable) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    for split, texts in (("train", table.train_sequences), ("test", table.test_sequences)):
        yield split_digests(table.fingerprint, split, len(texts)), texts


def missing_rows(store: EmbeddingStore, table: TaskTable) -> int:
    """How many of a task's rows have to be extracted: all of a split that lacks any."""
    return sum(len(texts) for keys, texts in _splits(table) if len(store.missing(keys)))


def embed_splits(
    store: EmbeddingStore,
    encoder: HarnessEncoder,
    tables: Mapping[Task, TaskTable],
    *,
    progress: ProgressCallback | None = None,
) -> tuple[EmbedReport, dict[Task, GenebError]]:
    """Extract the splits that the store lacks, task after task, train before test.

    Returns:
        What was done, and the tasks that have no embeddings with the reason.

    Raises:
        GenebError: if no task has embeddings; the first reason.
    """
    failed: dict[Task, GenebError] = {}
    embedded = reused = 0
    todo = [
        sum(map(len, texts))
        for table in tables.values()
        for keys, texts in _splits(table)
        if len(store.missing(keys))
    ]
    clock = ProgressClock(
        progress,
        model_id=encoder.identity.model_id,
        sequences_total=sum(missing_rows(store, table) for table in tables.values()),
        bp_total=sum(todo),
    )
    for task, table in tables.items():
        try:
            for keys, texts in _splits(table):
                new = _embed_split(store, encoder, keys, texts)
                embedded, reused = embedded + new, reused + len(texts) - new
                if new:
                    clock.advance(len(texts), sum(map(len, texts)))
        except (ModelError, NonFiniteError) as error:
            failed[task] = error
    if failed and len(failed) == len(tables):
        raise next(iter(failed.values()))
    name, seconds = encoder.identity.model_id, clock.seconds
    return EmbedReport(name, embedded=embedded, reused=reused, seconds=seconds), failed


def _embed_split(
    store: EmbeddingStore, encoder: HarnessEncoder, keys: np.ndarray, texts: Sequence[str]
) -> int:
    """Extract a split and keep the rows that are not stored; how many those were."""
    missing = store.missing(keys)
    if not len(missing):
        return 0
    rows = encoder.split_rows(texts)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise NonFiniteError(
            f"{len(bad)} of {len(rows)} embeddings of a split hold NaN or infinity; none of it was "
            "stored",
            where=encoder.identity.model_id,
            cause=f"first row: {bad[0]}",
            hint="the extractor's own arithmetic overflows; float32 usually does not",
            positions=bad,
        )
    store.commit(keys[missing], rows[missing])
    return len(missing)


def read_split_rows(
    store: EmbeddingStore, encoder: HarnessEncoder, table: TaskTable
) -> tuple[np.ndarray, np.ndarray]:
    """The train and the test rows of a task, float32 ``[row, width]`` each.

    Damaged rows are made anew, by extracting their whole split.

    Raises:
        StoreError: if rows are missing.
    """
    found = []
    for keys, texts in _splits(table):
        try:
            found.append(store.read(keys))
        except QuarantinedRowsError:
            _embed_split(store, encoder, keys, texts)
            found.append(store.read(keys))
    return found[0], found[1]
