"""Sequences to stored rows: how much of the time the device, the host and the commits take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from geneb_jax.data import sequence_digest
from geneb_jax.embed import Forward, embed_into, embed_sequences, open_store
from geneb_jax.embed.throughput import drawn_sequences
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder

__all__ = ["share_of_parts"]

_BP = 500


def share_of_parts(model: str, count: int) -> dict[str, Any]:
    """Seconds of tokenizing alone, of embedding without a store, and with one, each warm.

    ``device_share`` is what is left of a run with a store when tokenizing and commits are taken
    away: an upper bound where they overlap with computing.
    """
    encoder = load_encoder(model, LoadOptions(weights="random", dtype="auto"))
    assert isinstance(encoder, TokenEncoder)
    texts = drawn_sequences(count, shortest_bp=_BP, longest_bp=_BP)
    digests = np.frombuffer(b"".join(map(sequence_digest, texts)), np.uint8).reshape(count, -1)
    table = SimpleNamespace(sequences=tuple(texts), digests=digests)
    forward = Forward(encoder)
    embed_sequences(encoder, texts, forward=forward)
    tokenizing = _seconds(lambda: encoder.tokenize_many(texts))
    embedding = _seconds(lambda: embed_sequences(encoder, texts, forward=forward))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), encoder)
        storing = _seconds(lambda: embed_into(store, encoder, table, forward=forward))
    commits = max(0.0, storing - embedding)
    return {
        "sequences": count,
        "dtype": encoder.identity.dtype,
        "products": encoder.products,
        "sequences_per_second": count / storing,
        "seconds": storing,
        "tokenizing_seconds": tokenizing,
        "embedding_seconds": embedding,
        "commit_seconds": commits,
        "device_share": float(np.clip(1 - (tokenizing + commits) / storing, 0, 1)),
    }


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
