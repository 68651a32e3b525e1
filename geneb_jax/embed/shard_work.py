"""A shard of an embedding as data: plain values that any process turns into rows.

:func:`plan_shards` cuts what is missing into shards, from the sequences alone, so that every
process that looks at the same table and the same store makes the same list. :func:`embed_shard`
computes one, here or wherever it was sent. Who commits the rows is not this module's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, overload

import numpy as np

from geneb_jax.data.text_buffer import text_lengths, texts_at
from geneb_jax.embed.batch_plan import Bucket
from geneb_jax.embed.forward import Forward
from geneb_jax.embed.row_counts import RowCounts, WindowCounts, require_within_context, row_counts
from geneb_jax.embed.windows import mean_over_windows
from geneb_jax.errors import ModelError
from geneb_jax.models.encoder import Encoder, SequenceEncoder, TokenEncoder

__all__ = [
    "Embedder",
    "PlannedShards",
    "Sequences",
    "ShardRows",
    "ShardWork",
    "embed_shard",
    "embedder_of",
    "plan_shards",
]

_TEXTS_AT_A_TIME = 256
_NAME_DIGITS = 16
#: Letters of a shard: their tokens, and the texts themselves, are held at once.
_MOST_BP = 1 << 25

#: What computes rows: a model that batches by itself, or one that the engine batches.
Embedder = Forward | SequenceEncoder


class Sequences(Protocol):
    """What the engine needs of a sequence table (:class:`geneb_jax.data.SequenceTable`)."""

    @property
    def sequences(self) -> Sequence[str]:
        """Distinct texts."""

    @property
    def digests(self) -> np.ndarray:
        """uint8 ``[n, 16]``, the digest of each text."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardWork:
    """Sequences that are embedded and committed together.

    Attributes:
        positions: Where they stand in the table of the run, int64 ``[m]``.
        digests: uint8 ``[m, 16]``.
        texts: The sequences, longest first.
    """

    positions: np.ndarray
    digests: np.ndarray
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def name(self) -> str:
        """Says which sequences these are, 16 hexadecimal digits."""
        return hashlib.sha256(self.digests.tobytes()).hexdigest()[:_NAME_DIGITS]

    @property
    def bp(self) -> int:
        """Letters in all."""
        return sum(map(len, self.texts))

    def only(self, kept: np.ndarray) -> ShardWork:
        """A part of it, by mask or positions within it."""
        rows = np.arange(len(self))[kept]
        texts = tuple(self.texts[row] for row in rows)
        return ShardWork(self.positions[rows], self.digests[rows], texts)


@dataclass(frozen=True, slots=True, eq=False)
class ShardRows:
    """What came of a shard.

    Attributes:
        name: The work's.
        digests: uint8 ``[k, 16]`` of the sequences with a finite embedding.
        rows: Their embeddings, float32 ``[k, width]``.
        positions: Where those stand in the table of the run, int64 ``[k]``.
        unusable: Positions of the sequences whose embeddings hold NaN or infinity, int64.
        bp: Letters of the work.
        read: What the model made of each sequence of the work; None where it does not say.
        padded_tokens: Positions that ran, padding and empty rows included.
        buckets: Shapes that ran.
        compile_count: Programs compiled for it.
        batch_tokens: Tokens of a batch on one device.
        products: How products were computed, where the dtype does not say it.
    """

    name: str
    digests: np.ndarray
    rows: np.ndarray
    positions: np.ndarray
    unusable: np.ndarray
    bp: int
    read: RowCounts | None = None
    padded_tokens: int = 0
    buckets: tuple[Bucket, ...] = ()
    compile_count: int = 0
    batch_tokens: int = 0
    products: str = ""

    def counts(self) -> ShardRows:
        """The same without the embeddings and whose they are, for a report."""
        # Arrays of their own: an empty view would keep all rows alive.
        return replace(
            self,
            digests=np.empty((0, self.digests.shape[1]), np.uint8),
            rows=np.empty((0, self.rows.shape[1]), np.float32),
            positions=np.empty(0, np.int64),
            read=None if self.read is None else self.read.narrow(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlannedShards(Sequence[ShardWork]):
    """Shards in the order in which they are to be computed; each is made when it is drawn.

    Attributes:
        table: Distinct sequences and their digests.
        positions: Where the sequences of each shard stand in it, int64.
    """

    table: Sequences
    positions: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, at: int) -> ShardWork: ...
    @overload
    def __getitem__(self, at: slice) -> PlannedShards: ...
    def __getitem__(self, at: int | slice) -> ShardWork | PlannedShards:
        """A shard, or some of them."""
        if isinstance(at, slice):
            return PlannedShards(self.table, self.positions[at])
        positions = self.positions[at]
        return ShardWork(
            positions,
            np.ascontiguousarray(self.table.digests[positions]),
            texts_at(self.table.sequences, positions),
        )


def plan_shards(table: Sequences, missing: np.ndarray, *, rows_per_shard: int) -> PlannedShards:
    """Cut the missing sequences of a table into shards.

    The order is longest first, so that memory is at its peak at once and not at the end, ties by
    digest; the order of the table does not matter.

    Args:
        table: Distinct sequences and their digests.
        missing: Their positions, int64 ``[n]``.
        rows_per_shard: Rows of a shard at most; it has fewer where these would be more than 32
            million letters.
    """
    lengths = text_lengths(table.sequences)[missing]
    # Half a digest decides: of 10 billion sequences hardly two share it.
    halves = np.ascontiguousarray(table.digests[missing, :8]).view(">u8")[:, 0].astype(np.uint64)
    order = np.lexsort([halves, -lengths])
    lengths, order = lengths[order], missing[order]
    before = np.cumsum(lengths) - lengths
    positions, first = [], 0
    while first < len(order):
        fit = int(np.searchsorted(before, before[first] + _MOST_BP, "left"))
        last = min(first + rows_per_shard, max(fit, first + 1))
        positions.append(order[first:last])
        first = last
    return PlannedShards(table, positions)


def embedder_of(encoder: Encoder, *, batch_tokens: int | None = None) -> Embedder:
    """What computes an encoder's rows; one of these is made a process, and used for every shard."""
    if isinstance(encoder, TokenEncoder):
        return Forward(encoder, batch_tokens=batch_tokens)
    if isinstance(encoder, SequenceEncoder):
        return encoder
    raise TypeError(f"{type(encoder).__name__} is neither a TokenEncoder nor a SequenceEncoder")


def embed_shard(
    embedder: Embedder,
    work: ShardWork,
    *,
    done: Callable[[int, int], None] = lambda sequences, bp: None,
) -> ShardRows:
    """Compute the rows of a shard.

    Args:
        embedder: See :func:`embedder_of`.
        work: The sequences.
        done: Called with (sequences, bp) as results come back.

    Raises:
        BatchMemoryError: if the device memory does not hold a batch.
        ModelError: if the model cannot run, or gives an array of another shape than promised.
        InterruptedRunError: if the device fails.
    """
    encoder = embedder.encoder if isinstance(embedder, Forward) else embedder
    if encoder.overlong.kind == "windows":
        return _in_windows(embedder, encoder, work, done)
    shard = _whole(embedder, work, done)
    if encoder.overlong.kind == "refuse":
        require_within_context(encoder, work.texts, shard.read)
    return shard


def _in_windows(
    embedder: Embedder,
    encoder: Encoder,
    work: ShardWork,
    done: Callable[[int, int], None],
) -> ShardRows:
    """Rows that are means over windows, each window embedded as any text is."""
    parts: list[ShardRows] = []
    blocks = WindowCounts(encoder, work.texts)

    def rows_of(texts: tuple[str, ...]) -> np.ndarray:
        count = len(texts)
        part = _whole(embedder, ShardWork(np.arange(count), np.zeros((count, 16), np.uint8), texts))
        rows = np.full((count, *part.rows.shape[1:]), np.nan, np.float32)
        rows[part.positions] = part.rows
        parts.append(part.counts())
        return rows

    rows = mean_over_windows(encoder, work.texts, rows_of, done=done, seen=blocks.add)
    shapes = dict.fromkeys(bucket for part in parts for bucket in part.buckets)
    last = parts[-1]
    return replace(
        _finite_part(work, rows),
        read=blocks.total(),
        padded_tokens=sum(part.padded_tokens for part in parts),
        buckets=tuple(shapes),
        compile_count=sum(part.compile_count for part in parts),
        batch_tokens=last.batch_tokens,
        products=last.products,
    )


def _whole(
    embedder: Embedder,
    work: ShardWork,
    done: Callable[[int, int], None] = lambda sequences, bp: None,
) -> ShardRows:
    """Rows of texts that are read in one piece."""
    if isinstance(embedder, Forward):
        return _by_forward(embedder, work, done)
    rows = np.empty((len(work), embedder.width), np.float32)
    for first in range(0, len(work), _TEXTS_AT_A_TIME):
        texts = work.texts[first : first + _TEXTS_AT_A_TIME]
        part = np.asarray(embedder.embed(texts))
        if part.shape != (len(texts), embedder.width):
            raise ModelError(
                f"it gave an array {list(part.shape)} for {len(texts)} sequences, "
                f"[{len(texts)}, {embedder.width}] was promised",
                where=embedder.identity.model_id,
            )
        rows[first : first + len(texts)] = part
        done(len(texts), sum(map(len, texts)))
    return replace(_finite_part(work, rows), read=row_counts(embedder, work.texts))


def _by_forward(forward: Forward, work: ShardWork, done: Callable[[int, int], None]) -> ShardRows:
    bp = np.array([len(text) for text in work.texts], np.int64)
    own = forward.own
    compiled, padded = own.compile_count, own.padded_tokens
    tokens = forward.encoder.tokenize_many(work.texts)
    rows, buckets = forward.embed(
        tokens, done=lambda members: done(len(members), int(bp[members].sum()))
    )
    return replace(
        _finite_part(work, rows),
        read=RowCounts.of(forward.encoder.counts_of_tokens(tokens)),
        padded_tokens=own.padded_tokens - padded,
        buckets=buckets,
        compile_count=own.compile_count - compiled,
        batch_tokens=forward.batch_tokens,
        products=forward.encoder.products,
    )


def _finite_part(work: ShardWork, rows: np.ndarray) -> ShardRows:
    finite = np.isfinite(rows).all(axis=1)
    if finite.all():
        return ShardRows(work.name, work.digests, rows, work.positions, work.positions[:0], work.bp)
    return ShardRows(
        work.name,
        work.digests[finite],
        rows[finite],
        work.positions[finite],
        work.positions[~finite],
        work.bp,
    )
