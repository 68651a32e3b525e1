"""A small attention model as an encoder, with the same model in NumPy beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import SequenceEncoder, TokenEncoder, TokenizedSequence

DIM, LIMIT = 12, 4096


class AttentionEncoder(TokenEncoder):
    """One masked self-attention layer over letters with positions, mean over tokens."""

    def __init__(self, *, limit_tokens: int = LIMIT, pad_id: int = 0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.params = {
            "letters": rng.standard_normal((8, DIM)).astype(np.float32),
            "positions": rng.standard_normal((limit_tokens, DIM)).astype(np.float32),
            "query": (rng.standard_normal((DIM, DIM)) / DIM).astype(np.float32),
        }
        self.limit_tokens = self.longest_tokens = limit_tokens
        self.pad_id = pad_id

    @property
    def identity(self) -> EncoderIdentity:
        return EncoderIdentity("toy", "test", "none", "letters", "mean", -1, "float32", "toy/1")

    @property
    def width(self) -> int:
        return DIM

    def tokenize(self, sequence: str) -> TokenizedSequence:
        kept = sequence[: self.limit_tokens]
        ids = np.array(["ACGT".find(letter) + 1 for letter in kept], np.int32)
        return TokenizedSequence(
            ids, dropped_bp=len(sequence) - len(kept), unknown_bp=int((ids == 0).sum())
        )

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        hidden = params["letters"][ids] + params["positions"][: ids.shape[1]][None]
        scores = jnp.einsum("rtd,de,rse->rts", hidden, params["query"], hidden)
        scores = jnp.where(mask[:, None, :], scores, -1e30)
        weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = jnp.where(mask[:, None, :], weights, 0.0)
        weights = weights / jnp.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)
        mixed = jnp.einsum("rts,rsd->rtd", weights, hidden)
        mixed = jnp.where(mask[:, :, None], mixed, 0.0)
        count = jnp.maximum(mask.sum(axis=1, keepdims=True), 1)
        return mixed.sum(axis=1) / count.astype(jnp.float32)

    def by_numpy(self, sequence: str) -> np.ndarray:
        """The same embedding in float64 NumPy, one sequence, no padding; float64 [DIM]."""
        ids = self.tokenize(sequence).ids
        if not len(ids):
            return np.zeros(DIM)
        hidden = self.params["letters"].astype(np.float64)[ids]
        hidden = hidden + self.params["positions"][: len(ids)]
        scores = hidden @ self.params["query"].astype(np.float64) @ hidden.T
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (weights / weights.sum(axis=1, keepdims=True) @ hidden).mean(axis=0)


class LengthEncoder(SequenceEncoder):
    """A model that embeds texts by itself: letter counts."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    @property
    def identity(self) -> EncoderIdentity:
        return EncoderIdentity("counts", "test", "none", "text", "sum", -1, "float32", "counts/1")

    @property
    def width(self) -> int:
        return 4

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        self.calls.append(len(sequences))
        counts = [[sequence.count(letter) for letter in "ACGT"] for sequence in sequences]
        return np.array(counts, np.float32)


@pytest.fixture
def attention() -> type[AttentionEncoder]:
    return AttentionEncoder


@pytest.fixture
def counting() -> LengthEncoder:
    return LengthEncoder()


@pytest.fixture
def draw() -> Any:
    """Random sequences: draw(count, shortest, longest, seed=0)."""

    def call(count: int, shortest: int, longest: int, seed: int = 0) -> list[str]:
        rng = np.random.default_rng(seed)
        letters = np.array(list("ACGT"))
        lengths = rng.integers(shortest, longest + 1, count)
        return ["".join(letters[rng.integers(0, 4, length)]) for length in lengths]

    return call


@pytest.fixture
def table() -> Any:
    """A sequence table of texts, duplicates removed."""

    def call(sequences: Sequence[str]) -> SimpleNamespace:
        distinct = tuple(dict.fromkeys(sequences))
        digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in distinct]
        flat = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
        return SimpleNamespace(sequences=distinct, digests=flat)

    return call
