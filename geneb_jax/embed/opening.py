"""Open the store of an encoder, with shards sized for what the encoder costs."""

from __future__ import annotations

import os

from geneb_jax.errors import OutputError
from geneb_jax.models.encoder import Encoder
from geneb_jax.store import EmbeddingStore

__all__ = ["open_store", "shard_rows"]

_MOST_ROWS = 2048
_FEWEST_ROWS = 128
#: Parameters times rows that a kill may cost: 2048 rows at 25 million parameters.
_PARAMETER_ROWS = 2048 * 25_000_000


def shard_rows(encoder: Encoder) -> int:
    """Rows of a shard for this encoder, 128 to 2048, a power of two.

    A kill loses at most one shard, so a shard is smaller the more a row costs. It follows from the
    number of parameters alone: shard boundaries must not depend on the machine.
    """
    parameters = encoder.parameter_count or 0
    rows = _MOST_ROWS
    while rows > _FEWEST_ROWS and rows * parameters > _PARAMETER_ROWS:
        rows //= 2
    return rows


def open_store(
    root: str | os.PathLike[str], encoder: Encoder, *, read_only: bool = False
) -> EmbeddingStore:
    """Open or create the store of ``encoder`` below ``root``; see :meth:`EmbeddingStore.open`.

    Where nothing can be written (a mount to read from), a store that holds rows is opened to read:
    who finds all rows there needs no more, and who does not is told so then.
    """

    def opened(*, to_read: bool) -> EmbeddingStore:
        return EmbeddingStore.open(
            root,
            encoder.identity,
            encoder.width,
            read_only=to_read,
            rows_per_shard=shard_rows(encoder),
        )

    try:
        return opened(to_read=read_only)
    except OutputError:
        kept = opened(to_read=True)
        if not len(kept):
            raise
        return kept
