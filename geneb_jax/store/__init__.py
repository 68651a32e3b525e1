"""Embeddings on disk, keyed by encoder and joined by sequence digest."""

from __future__ import annotations

from geneb_jax.store.catalog import StoreEntry, delete_store, list_stores, prune_remnants
from geneb_jax.store.claims import Claim, Claims
from geneb_jax.store.embedding_store import EmbeddingStore, QuarantinedRowsError
from geneb_jax.store.keys import folder_name, key_hash

__all__ = [
    "Claim",
    "Claims",
    "EmbeddingStore",
    "QuarantinedRowsError",
    "StoreEntry",
    "delete_store",
    "folder_name",
    "key_hash",
    "list_stores",
    "prune_remnants",
]
