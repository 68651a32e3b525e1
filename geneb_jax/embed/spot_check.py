"""Embed a few stored sequences again and compare: do the stored numbers still come out?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.embed.fill import embed_sequences
from geneb_jax.embed.shard_work import Sequences
from geneb_jax.models.encoder import Encoder
from geneb_jax.store import EmbeddingStore

__all__ = ["SpotCheck", "spot_check"]

#: Largest error, relative to the largest number of its row, that another kind of device may make;
#: beyond it the stored row is not the embedding of its sequence.
_ALLOWED = {"float32": 1e-3, "bfloat16": 1e-1, "float16": 2e-2}


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """Result of a spot check.

    Attributes:
        checked: Sequences embedded again.
        largest_error: Largest error over them, relative to the largest number of its row.
        allowed: What it may be.
        worst_sequence: The text with the largest error.
    """

    checked: int
    largest_error: float
    allowed: float
    worst_sequence: str

    @property
    def passed(self) -> bool:
        """Whether every stored row is the embedding of its sequence."""
        return self.largest_error <= self.allowed


def spot_check(
    store: EmbeddingStore,
    encoder: Encoder,
    table: Sequences,
    *,
    sample: int,
    batch_tokens: int | None = None,
) -> SpotCheck:
    """Embed the first, the last and random stored sequences of a table again.

    Args:
        store: The store of this encoder.
        encoder: The model.
        table: Sequences and digests; those that are not stored are left out.
        sample: Sequences to embed.
        batch_tokens: Most tokens of a batch.

    Raises:
        QuarantinedRowsError: if a stored row fails its checksum.
    """
    absent = np.zeros(len(table.digests), bool)
    absent[store.missing(table.digests)] = True
    stored = np.flatnonzero(~absent)
    if not len(stored) or sample < 1:
        return SpotCheck(0, 0.0, _ALLOWED[encoder.identity.dtype], "")
    drawn = np.random.default_rng(0).permutation(stored)[: max(0, sample - 2)]
    chosen = np.unique(np.concatenate((stored[[0, -1]], drawn)))[:sample]
    texts = [table.sequences[at] for at in chosen]
    again = embed_sequences(encoder, texts, batch_tokens=batch_tokens)
    kept = store.read(table.digests[chosen])
    scale = np.maximum(np.abs(again).max(axis=1), np.finfo(np.float32).tiny)
    errors = np.abs(again - kept).max(axis=1) / scale
    worst = int(errors.argmax())
    return SpotCheck(
        len(texts), float(errors[worst]), _ALLOWED[encoder.identity.dtype], texts[worst]
    )
