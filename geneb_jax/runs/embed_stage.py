"""Bring a model's embeddings of all tasks' distinct sequences into the store."""

from __future__ import annotations

from geneb_jax.embed import EmbedReport, embed_into, open_store
from geneb_jax.errors import StoreError
from geneb_jax.models import Encoder, load_encoder
from geneb_jax.places import store_folder
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_data import TaskData
from geneb_jax.store import EmbeddingStore

__all__ = ["embed_model", "load_requested"]


def load_requested(request: RunRequest, name: str) -> Encoder:
    """Load one of the request's models as the request wants it.

    Raises:
        GenebError: see :func:`geneb_jax.models.load_encoder`.
    """
    return load_encoder(
        name,
        path=request.path,
        weights=request.weights,
        dtype=request.dtype,
        pooling=request.pooling,
        layer=request.layer,
        offline=request.offline,
        allow_remote_code=request.allow_remote_code,
    )


def embed_model(
    encoder: Encoder,
    request: RunRequest,
    data: TaskData,
    observer: RunObserver,
    *,
    stored_only: bool = False,
) -> tuple[EmbeddingStore, EmbedReport]:
    """Embed what the store lacks.

    Raises:
        StoreError: with ``stored_only``, if something is missing.
    """
    sequences = data.read()
    identity = encoder.identity
    store = open_store(request.store or str(store_folder()), encoder)
    if stored_only and (missing := len(store.missing(sequences.digests))):
        raise StoreError(
            f"{missing} of {len(sequences)} sequences are not embedded with {identity.model_id}",
            where=request.store or store_folder(),
            hint="run `geneb-jax embed` with the same options first, or `geneb-jax run`",
        )
    report = embed_into(
        store, encoder, sequences, batch_tokens=request.batch_tokens, progress=observer.embedding
    )
    observer.finished()
    return store, report
