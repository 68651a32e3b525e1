"""A shard that can end early: computed in pieces of some seconds, each of whole batches.

Whoever is told to leave (a spot machine's notice) commits the rows of the pieces that are done. A
piece holds whole batches of the ladder, so cutting costs neither padding nor bits; a shard that
takes only some seconds is not cut at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from geneb_jax.embed.forward import Forward
from geneb_jax.embed.row_counts import RowCounts, joined_counts
from geneb_jax.embed.shard_work import Embedder, ShardRows, ShardWork, embed_shard

__all__ = ["ShortShards", "joined"]

#: Seconds that a piece takes, about; notices of spot machines leave 30 or more, and a nanny that is
#: told to end leaves its worker 8.
PIECE_SECONDS = 4.0
#: Pieces of a shard of which nobody knows how long it takes.
_FIRST_PIECES = 8
#: What stands in a joined shard as in its last piece; everything else is added up.
_LAST = frozenset({"name", "batch_tokens", "products"})


class ShortShards:
    """Computes shards, and stops between two pieces when it is told to.

    Args:
        embedder: See :func:`~geneb_jax.embed.shard_work.embedder_of`.
        stopping: Asked after each piece.
        done: Called with (sequences, letters) as results come back.
        piece_seconds: How long a piece should take.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        stopping: Callable[[], bool],
        done: Callable[[int, int], None] = lambda sequences, bp: None,
        piece_seconds: float = PIECE_SECONDS,
    ) -> None:
        self.stopping, self.done = stopping, done
        self._embedder, self._piece_seconds = embedder, piece_seconds
        self._seconds_per_bp: float | None = None

    def __call__(self, work: ShardWork) -> ShardRows:
        """All rows of a shard, or those of its first pieces, under its name."""
        pieces: list[ShardRows] = []
        for piece in self._pieces(work):
            began = time.perf_counter()
            rows = embed_shard(self._embedder, piece, done=self.done)
            if rows.bp:
                self._seconds_per_bp = (time.perf_counter() - began) / rows.bp
            pieces.append(rows)
            if self.stopping():
                break
        return joined(work.name, pieces)

    def _pieces(self, work: ShardWork) -> Iterator[ShardWork]:
        """The shard cut into pieces; how long the next one is follows from those before it."""
        if self._seconds(work.bp) <= 2 * self._piece_seconds:
            yield work
            return
        batches = self._batches(work)
        first, bp = 0, work.bp
        while first < len(batches):
            share = self._piece_seconds / self._seconds(bp)
            if self._seconds_per_bp is None:
                share = 1 / _FIRST_PIECES
            last, letters = first, 0
            while last < len(batches) and (last == first or letters < share * bp):
                letters += sum(len(work.texts[at]) for at in batches[last].tolist())
                last += 1
            yield work.only(np.concatenate(batches[first:last]))
            first = last

    def _seconds(self, bp: int) -> float:
        """How long so many letters take; for ever, as long as nobody knows."""
        known = self._seconds_per_bp
        return float("inf") if known is None else max(known * bp, 1e-9)

    def _batches(self, work: ShardWork) -> Sequence[np.ndarray]:
        """Positions within the shard that run together, int64 each, in the order they run."""
        if isinstance(self._embedder, Forward) and not _in_windows(self._embedder):
            tokens = self._embedder.encoder.tokenize_many(work.texts)
            batches = self._embedder.ladder.batches(tokens.length_tokens)
            members = [batch.members for batch in batches]
            if sum(map(len, members)) == len(work):
                return members
        # A model that batches by itself, or that sees a sequence in several parts.
        return np.array_split(np.arange(len(work)), min(len(work), _FIRST_PIECES**2))


def _in_windows(forward: Forward) -> bool:
    return forward.encoder.overlong.kind == "windows"


def joined(name: str, pieces: Sequence[ShardRows]) -> ShardRows:
    """One shard of several pieces: arrays one behind the other, counts added up."""
    if len(pieces) == 1:
        return replace(pieces[0], name=name)
    values = {
        field.name: _joined([getattr(piece, field.name) for piece in pieces])
        for field in fields(ShardRows)
        if field.name not in _LAST
    }
    return replace(pieces[-1], **values, name=name)


def _joined(values: Sequence[Any]) -> Any:
    if any(value is None for value in values):
        return None
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    if isinstance(values[0], RowCounts):
        return joined_counts(values)
    if isinstance(values[0], tuple):
        return tuple(dict.fromkeys(one for value in values for one in value))
    return sum(values)
