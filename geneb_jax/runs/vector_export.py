"""Vectors out: the user's files, a run's tasks or a whole store into one file of named vectors.

Sequences of files go through the store block by block: memory holds the names and one block,
nothing is embedded twice, and a killed export goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geneb_jax.data import (
    SequenceList,
    SequenceTable,
    read_sequences,
    sequence_digest,
)
from geneb_jax.embed import (
    BatchMemoryError,
    EmbedReport,
    Forward,
    RowCounts,
    added_reports,
    embedder_of,
    open_store,
    read_or_embed,
    row_counts,
    with_row_counts,
)
from geneb_jax.embed.progress import EmbedProgress
from geneb_jax.embed.row_counts import joined_counts
from geneb_jax.errors import DataError, ModelError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import Encoder
from geneb_jax.models.adapters.harness_encoder import HarnessEncoder
from geneb_jax.results import installed_versions
from geneb_jax.runs.encoder_source import EncoderSource
from geneb_jax.runs.harness_order import read_split_rows
from geneb_jax.runs.input_look import InputLook
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.within_context import require_listed_within_context
from geneb_jax.runs.work import ModelWork, RunWork
from geneb_jax.store import EmbeddingStore
from geneb_jax.vectors import VectorSheet, VectorWriter, writing_vectors

__all__ = ["export_files", "export_store", "export_tasks", "model_facts"]

#: A block of sequences: so many rows, or so many letters, whichever is first.
BLOCK_ROWS, BLOCK_BP = 8192, 2**26


def model_facts(identity: EncoderIdentity, width: int, parameters: int | None) -> dict[str, Any]:
    """What a file of vectors says of who made them: identity, weights, layer, pooling, versions."""
    return {
        "format": "geneb-jax vectors 1",
        "model": identity.as_dict(),
        "identity": identity.short,
        "width": width,
        "parameters": parameters,
        "versions": installed_versions(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
    }


def export_files(
    source: EncoderSource,
    root: str,
    listed: SequenceList,
    columns: Mapping[str, str],
    path: Path,
    observer: RunObserver,
) -> EmbedReport:
    """Embed the sequences of files and write them with their names.

    Args:
        source: How the model is loaded.
        root: Folder or URL of the embedding store.
        listed: What the files hold (:func:`geneb_jax.data.list_sequences`).
        columns: The columns that they were listed with.
        path: The file to write; its ending says the format.
        observer: Told how far it is.

    Raises:
        DataError: if a file is no longer what was listed.
        NonFiniteError: if an embedding holds NaN or infinity.
        OutputError: if the file cannot be written; nothing is left of it.
    """
    while True:
        encoder = source.load()
        if isinstance(encoder, HarnessEncoder):
            raise ModelError(
                "--as-harness embeds whole splits of tasks and is nothing for single sequences",
                where=source.name,
                hint="leave --as-harness away",
            )
        try:
            return _export_files(encoder, source, root, listed, columns, path, observer)
        except BatchMemoryError as error:
            if error.smaller is None:
                raise
            observer.note(f"{error.message} Going on with {error.smaller} tokens a batch.")
            source = replace(source, batch_tokens=error.smaller)


def _export_files(
    encoder: Encoder,
    source: EncoderSource,
    root: str,
    listed: SequenceList,
    columns: Mapping[str, str],
    path: Path,
    observer: RunObserver,
) -> EmbedReport:
    identity = encoder.identity
    require_listed_within_context(encoder, listed, columns)
    store = open_store(root, encoder)
    embedder = embedder_of(encoder, batch_tokens=source.batch_tokens)
    forward = embedder if isinstance(embedder, Forward) else None
    files = [
        {"file": file.name, "sha256": digest, "sequences": listed.counts[file]}
        for file, digest in listed.digests.items()
    ]
    facts = model_facts(identity, encoder.width, encoder.parameter_count) | {"input": files}
    sheet = VectorSheet(listed.names, encoder.width, listed.columns, facts)
    reports: list[EmbedReport] = []
    counts: list[RowCounts | None] = []
    look = InputLook(encoder, observer)
    with writing_vectors(path, sheet) as writer:
        done = 0
        for texts in _blocks(listed, columns):
            look.at_tokens(texts)
            rows = read_or_embed(
                store,
                encoder,
                *_table(texts),
                batch_tokens=source.batch_tokens,
                progress=_further(observer, done, len(listed)),
                forward=forward,
                on_report=reports.append,
            )
            if len(set(texts)) > 1:
                look.at_rows(rows)
            writer.write(rows)
            counts.append(row_counts(encoder, texts))
            done += len(texts)
    observer.finished()
    embedded = sum(report.embedded for report in reports)
    added = added_reports(identity.model_id, reports, reused=len(listed) - embedded)
    known = [one for one in counts if one is not None]
    return with_row_counts(added, joined_counts(known) if known else None)


def _further(observer: RunObserver, before: int, total: int) -> Any:
    """Progress of a block as progress of the whole."""

    def tell(progress: EmbedProgress) -> None:
        done = before + progress.sequences_done
        observer.embedding(replace(progress, sequences_done=done, sequences_total=total))

    return tell


def _blocks(listed: SequenceList, columns: Mapping[str, str]) -> Iterator[list[str]]:
    """The texts, a block at a time, while the files are held to what was listed."""
    texts: list[str] = []
    letters = at = 0
    for path, digest in listed.digests.items():
        hasher = hashlib.sha256()
        for one in read_sequences(path, columns, hasher=hasher):
            if at == len(listed) or one.name != listed.names[at]:
                raise _changed(path)
            at += 1
            texts.append(one.text)
            letters += len(one.text)
            if len(texts) == BLOCK_ROWS or letters >= BLOCK_BP:
                yield texts
                texts, letters = [], 0
        if hasher.hexdigest() != digest:
            raise _changed(path)
    if texts:
        yield texts


def _changed(path: Path) -> DataError:
    return DataError(
        "the file was changed while it was being read",
        where=path,
        hint="run the same command again once it is complete",
    )


def _table(texts: Sequence[str]) -> tuple[SequenceTable, np.ndarray]:
    """The distinct sequences of a block, and the digest of each of its rows."""
    distinct = tuple(dict.fromkeys(texts))
    digests = {text: sequence_digest(text) for text in distinct}
    every, rows = (
        np.frombuffer(b"".join(digests[text] for text in some), np.uint8).reshape(-1, 16)
        for some in (distinct, texts)
    )
    return SequenceTable(distinct, every, (), ()), rows


def export_tasks(work: RunWork, model: ModelWork, path: Path, observer: RunObserver) -> int:
    """Write the stored embeddings of a run's tasks: rows in file order, training rows first.

    Names are ``TASK/SPLIT/ROW``; columns are ``task``, ``split`` and ``label``.

    Returns:
        The number of rows.

    Raises:
        StoreError: if embeddings are missing.
    """
    read, encoder = work.tables.read(observer), model.reference.encoder()
    store = open_store(model.reference.store, encoder)
    parts = [
        (task, split, labels)
        for task, table in read.tables.items()
        for split, labels in (("train", table.train_labels), ("test", table.test_labels))
    ]
    sheet = VectorSheet(
        tuple(f"{t.task_id}/{split}/{row}" for t, split, y in parts for row in range(len(y))),
        encoder.width,
        {
            "task": np.array([t.task_id for t, _, y in parts for _ in y]),
            "split": np.array([split for _, split, y in parts for _ in y]),
            "label": np.concatenate([y for _, _, y in parts]),
        },
        model_facts(encoder.identity, encoder.width, encoder.parameter_count)
        | {"suite": work.suite.name},
    )
    with writing_vectors(path, sheet) as writer:
        for task, table in read.tables.items():
            splits: tuple[np.ndarray, ...]
            if isinstance(encoder, HarnessEncoder):
                splits = read_split_rows(store, encoder, table)
            else:
                splits = tuple(
                    store.read(read.sequences.digests[rows]) for rows in read.rows_of(task)
                )
            for rows in splits:
                writer.write(np.ascontiguousarray(rows, np.float32))
    return len(sheet.names)


def export_store(store: EmbeddingStore, path: Path) -> int:
    """Write every row of a store; names are the digests of the sequences, which it does not know.

    Returns:
        The number of rows.
    """
    digests = store.digests()
    names = tuple(digest.tobytes().hex() for digest in digests)
    sheet = VectorSheet(names, store.width, {}, model_facts(store.identity, store.width, None))
    edges = [*range(0, len(names), BLOCK_ROWS), len(names)]
    with writing_vectors(path, sheet) as writer:
        _copy(store, digests, edges, writer)
    return len(names)


def _copy(
    store: EmbeddingStore, digests: np.ndarray, edges: Sequence[int], writer: VectorWriter
) -> None:
    for first, last in pairwise(edges):
        writer.write(store.read(digests[first:last]))
