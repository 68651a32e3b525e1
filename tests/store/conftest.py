"""A key, digests and rows of a small store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from geneb_jax.identity import EncoderIdentity


@pytest.fixture
def identity() -> EncoderIdentity:
    return EncoderIdentity(
        model_id="org/some model",
        revision="0123abcd",
        weights="w" * 64,
        tokenizer="t" * 64,
        pooling="mean",
        layer=-1,
        dtype="float32",
        code="toy/1",
    )


@pytest.fixture
def make_rows() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Random digests uint8 [n, 16] and rows float32 [n, width]."""

    def make(count: int, width: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        digests = rng.integers(0, 256, (count, 16)).astype(np.uint8)
        return digests, rng.standard_normal((count, width)).astype(np.float32)

    return make


@pytest.fixture
def table() -> Callable[[Sequence[str]], SimpleNamespace]:
    """A sequence table of distinct texts."""

    def call(texts: Sequence[str]) -> SimpleNamespace:
        digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        flat = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
        return SimpleNamespace(sequences=tuple(texts), digests=flat)

    return call
