"""Open the store of an encoder, with shards sized for what the encoder costs."""

from __future__ import annotations

import os

from geneb_jax.errors import OutputError
from geneb_jax.models.encoder import Encoder
from geneb_jax.store import EmbeddingStore

__all__ = ["open_store", "shard_rows", "work_rows"]

_MOST_ROWS = 2048
_FEWEST_ROWS = 128
#: Parameters times rows that a kill may cost: 2048 rows at 25 million parameters.
_PARAMETER_ROWS = 2048 * 25_000_000


#: Bytes of the rows of a counting model that are computed and committed together, and of the rows
#: that a shard has room for.
_WORK_BYTES, _SHARD_BYTES = 12 << 20, 64 << 20
_FEWEST_COUNTED_ROWS, _MOST_ROWS_A_SHARD = 1024, 1 << 16


def shard_rows(encoder: Encoder) -> int:
    """Rows of a network that are computed and committed together, 128 to 2048, a power of two.

    A kill loses what is not committed, so there are fewer the more a row costs. It follows from the
    number of parameters alone: it must not depend on the machine. Shapes of batches follow from it
    (:func:`geneb_jax.embed.forward.ladder_of`), and last bits from these.
    """
    parameters = encoder.parameter_count or 0
    rows = _MOST_ROWS
    while rows > _FEWEST_ROWS and rows * parameters > _PARAMETER_ROWS:
        rows //= 2
    return rows


def work_rows(encoder: Encoder) -> int:
    """Rows that are computed and committed together: by cost, or by bytes for counting."""
    if not getattr(encoder, "any_rows", False):
        return shard_rows(encoder)
    rows = _WORK_BYTES // (4 * encoder.width)
    return min(max(rows, _FEWEST_COUNTED_ROWS), _MOST_ROWS_A_SHARD)


def _power_of_two(rows: int) -> int:
    """The largest power of two up to a number, 1 at least."""
    return 1 << (max(rows, 1).bit_length() - 1)


def open_store(
    root: str | os.PathLike[str], encoder: Encoder, *, read_only: bool = False
) -> EmbeddingStore:
    """Open or create the store of ``encoder`` below ``root``; see :meth:`EmbeddingStore.open`.

    A shard has room for 64 MiB. What is committed at once is often less: ``store compact`` fills
    shards up.

    Where nothing can be written (a mount to read from), a store that holds rows is opened to read:
    who finds all rows there needs no more, and who does not is told so then.
    """
    room = _power_of_two(_SHARD_BYTES // (4 * encoder.width))

    def opened(*, to_read: bool) -> EmbeddingStore:
        return EmbeddingStore.open(
            root,
            encoder.identity,
            encoder.width,
            read_only=to_read,
            rows_per_shard=max(min(room, _MOST_ROWS_A_SHARD), work_rows(encoder)),
        )

    try:
        return opened(to_read=read_only)
    except OutputError:
        kept = opened(to_read=True)
        if not len(kept):
            raise
        return kept
