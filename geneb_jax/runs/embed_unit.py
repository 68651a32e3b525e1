"""A unit of embedding in a worker: some sequences, computed and committed there.

The worker commits, and not the driver: rows travel once, to the store; a worker that is told to
leave keeps what it has whether or not anybody hears of it; and hundreds of workers do not wait for
one process that writes. The store's claims and its lock make that safe, as they do for processes
that know nothing of each other.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from geneb_jax.embed import EmbedReport, ShardRows, ShardWork, embed_into, embedder_of, open_store
from geneb_jax.embed.report import report_of
from geneb_jax.embed.short_shard import ShortShards
from geneb_jax.errors import NonFiniteError
from geneb_jax.fleet import stopping, tell
from geneb_jax.models import Encoder
from geneb_jax.part import Part
from geneb_jax.runs.encoder_source import ModelReference
from geneb_jax.store import EmbeddingStore

__all__ = ["EmbedUnit", "EmbeddedUnit", "embed_unit", "release_kept"]

#: Between two words on how far a unit is.
_TELL_SECONDS = 0.5
#: Workers never wait for what others hold: the driver asks again.
_NEVER_WAIT = Part(1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class EmbedUnit:
    """Sequences that one worker embeds.

    Attributes:
        model: The model, and the store of its embeddings.
        positions: Where they stand in the table of the run, int64 ``[m]``.
        digests: uint8 ``[m, 16]``.
        sequences: The texts.
    """

    model: ModelReference
    positions: np.ndarray
    digests: np.ndarray
    sequences: tuple[str, ...]

    @property
    def bp(self) -> int:
        """Letters in all."""
        return sum(map(len, self.sequences))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedUnit:
    """What a worker did of a unit.

    Attributes:
        positions: The unit's.
        bp: The unit's letters.
        report: What was embedded; a unit that stopped short has embedded less than it holds.
        unusable: Positions, in the table of the run, of the sequences without a finite embedding.
        seconds: Wall time in the worker.
        machine: Name of the worker's machine.
    """

    positions: np.ndarray
    bp: int
    report: EmbedReport
    unusable: np.ndarray
    seconds: float
    machine: str


@dataclass(slots=True)
class _Kept:
    """A model that stays loaded between units, with its store and its shards' computer."""

    model: ModelReference
    encoder: Encoder
    store: EmbeddingStore
    shards: ShortShards


_kept: _Kept | None = None


class _StoppedShort(Exception):
    """The worker is to leave; what is computed is handed over."""


def embed_unit(unit: EmbedUnit) -> EmbeddedUnit:
    """Embed what the store lacks of a unit and commit it, here.

    Raises:
        GenebError: see :func:`geneb_jax.embed.embed_into`.
    """
    began = time.perf_counter()
    kept = _keep(unit.model)
    telling = _Telling()
    kept.shards.done = telling.add
    work = _Shards(kept)
    refused: list[NonFiniteError] = []
    try:
        report = embed_into(
            kept.store,
            kept.encoder,
            unit,
            batch_tokens=unit.model.source.batch_tokens,
            on_nonfinite=refused.append,
            executor=work.map,
            embed=kept.shards,
            part=_NEVER_WAIT,
        )
    except _StoppedShort:
        report = work.report()
    unusable = np.concatenate([unit.positions[:0], *(unit.positions[e.positions] for e in refused)])
    seconds = time.perf_counter() - began
    return EmbeddedUnit(unit.positions, unit.bp, report, unusable, seconds, platform.node())


def release_kept() -> None:
    """Give up the loaded model and its memory on the device."""
    global _kept
    if _kept is not None:
        _kept.model.release()
    _kept = None


def _keep(model: ModelReference) -> _Kept:
    """The model, loaded once for all units; another one is given up first."""
    global _kept
    if _kept is None or _kept.model != model:
        release_kept()
        encoder = model.encoder()
        embedder = embedder_of(encoder, batch_tokens=model.source.batch_tokens)
        store = open_store(model.store, encoder)
        _kept = _Kept(model, encoder, store, ShortShards(embedder, stopping=stopping))
    return _kept


class _Shards:
    """An executor of this process that stops once a shard was short, or has to be the last one."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self._began = time.perf_counter()
        self._counts: list[ShardRows] = []
        self._embedded = 0

    def map(
        self, function: Callable[[ShardWork], ShardRows], shards: Iterable[ShardWork]
    ) -> Iterator[ShardRows]:
        """See :data:`geneb_jax.embed.ShardMap`."""
        for work in shards:
            rows = function(work)
            yield rows
            self._counts.append(rows.counts())
            self._embedded += len(rows.digests)
            if stopping():
                # It is committed by now, or waits for its turn: a second commit changes nothing.
                if len(rows.digests):
                    self._kept.store.commit(rows.digests, rows.rows)
                raise _StoppedShort

    def report(self) -> EmbedReport:
        """What was done before the stop."""
        return report_of(
            self._kept.encoder.identity.model_id,
            self._counts,
            embedded=self._embedded,
            reused=0,
            seconds=time.perf_counter() - self._began,
        )


class _Telling:
    """Tells the driver how far the unit is, a few times a second at most."""

    def __init__(self) -> None:
        self._letters = self._sequences = 0
        self._told = time.perf_counter()

    def add(self, sequences: int, letters: int) -> None:
        """Count a batch."""
        self._letters += letters
        self._sequences += sequences
        now = time.perf_counter()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            tell(self._letters, self._sequences)
