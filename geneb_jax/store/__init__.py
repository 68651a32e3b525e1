"""Embeddings on disk, keyed by encoder and joined by sequence digest."""

from __future__ import annotations

from geneb_jax.store.embedding_store import EmbeddingStore, QuarantinedRowsError
from geneb_jax.store.keys import folder_name, key_hash

__all__ = ["EmbeddingStore", "QuarantinedRowsError", "folder_name", "key_hash"]
