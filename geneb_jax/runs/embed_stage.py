"""Bring a model's embeddings of all tasks' distinct sequences into the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.benchmark import Task
from geneb_jax.data import SequenceTable
from geneb_jax.embed import EmbedReport, embed_into, limited, open_store
from geneb_jax.errors import GenebError, NonFiniteError, StoreError
from geneb_jax.models import Encoder, load_encoder
from geneb_jax.places import store_folder
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_data import TaskData
from geneb_jax.store import EmbeddingStore

__all__ = ["Embedded", "embed_model", "load_requested"]


def load_requested(request: RunRequest, name: str) -> Encoder:
    """Load one of the request's models as the request wants it.

    Raises:
        GenebError: see :func:`geneb_jax.models.load_encoder`.
    """
    encoder = load_encoder(
        name,
        path=request.path,
        weights=request.weights,
        dtype=request.dtype,
        pooling=request.pooling,
        layer=request.layer,
        offline=request.offline,
        allow_remote_code=request.allow_remote_code,
    )
    return limited(encoder, request.batch_tokens)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embeddings of a run's tasks.

    Attributes:
        store: Where they are.
        report: What this call did.
        unusable: Task -> why some of its sequences have no embedding.
    """

    store: EmbeddingStore
    report: EmbedReport
    unusable: dict[Task, str]


def embed_model(
    encoder: Encoder,
    request: RunRequest,
    data: TaskData,
    observer: RunObserver,
    *,
    stored_only: bool = False,
) -> Embedded:
    """Embed what the store lacks.

    Raises:
        NonFiniteError: if every task holds a sequence without a finite embedding.
        StoreError: with ``stored_only``, if every task lacks something.
    """
    sequences = data.read()
    identity = encoder.identity
    store = open_store(request.store or str(store_folder()), encoder)
    if stored_only:
        missing = store.missing(sequences.digests)
        report = EmbedReport(identity.model_id, embedded=0, reused=len(sequences) - len(missing))
        error = StoreError(
            f"{len(missing)} of {len(sequences)} sequences are not embedded with "
            f"{identity.model_id}",
            where=request.store or store_folder(),
            hint="run `geneb-jax embed` with the same options first, or `geneb-jax run`",
        )
        return Embedded(store, report, _without(data, sequences, missing, error))
    refused: list[NonFiniteError] = []
    report = embed_into(
        store,
        encoder,
        sequences,
        batch_tokens=request.batch_tokens,
        progress=observer.embedding,
        on_nonfinite=refused.append,
    )
    observer.finished()
    if not refused:
        return Embedded(store, report, {})
    return Embedded(store, report, _without(data, sequences, refused[0].positions, refused[0]))


def _without(
    data: TaskData, sequences: SequenceTable, positions: np.ndarray, error: GenebError
) -> dict[Task, str]:
    """The tasks that hold some of these sequences, and what is to be said of each.

    Raises:
        GenebError: the error itself, if no other task is left.
    """
    lacking = np.zeros(len(sequences), bool)
    lacking[positions] = True
    unusable = {}
    for task, *parts in zip(data.tables, sequences.train_rows, sequences.test_rows, strict=True):
        rows = np.concatenate(parts)
        count = int(np.count_nonzero(lacking[rows]))
        if count:
            unusable[task] = f"{count} of {len(rows)} rows have no embedding: {error.message}"
    if len(unusable) == len(data.tables):
        raise error
    return unusable
