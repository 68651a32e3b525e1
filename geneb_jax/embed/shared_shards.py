"""The shards that this process computes, of a work that other processes may share.

Every process plans the same shards from what is missing. The first one takes them from the front of
the list; who finds others at work goes from the middle of what nobody holds towards the front, then
plans anew. So they seldom want the same shard, and the list's end comes last for all: it has the
rare lengths, each with a program of its own to compile, and who began there would do little else. A
shard is claimed when it is drawn, and what was stored or claimed meanwhile is left out of it.
Whoever has committed all that it drew waits for what others hold, and takes it over if they die.

Where a process is one of N parts (:class:`geneb_jax.part.Part`), its own sequences come first, then
what is left of the others'; what others hold it leaves to them and ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np

from geneb_jax.data.text_buffer import text_lengths
from geneb_jax.embed.progress import ProgressClock
from geneb_jax.embed.shard_work import Sequences, ShardRows, ShardWork, plan_shards
from geneb_jax.embed.variant_stores import RowStore
from geneb_jax.part import Part
from geneb_jax.store.digests import DigestIndex

__all__ = ["SharedShards"]

_LOG = logging.getLogger(__name__)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 1.0
_SECONDS_BEFORE_NOTICE = 1.0


class SharedShards:
    """An iterable of claimed shards, and the way to give them back once they are committed.

    Args:
        store: Where the rows go.
        table: Distinct sequences and their digests.
        missing: Positions that the store lacks, int64.
        clock: Told what is left to do.
        lease_seconds: How long a silent process on another machine keeps its claim.
        part: Which part of the work this process is, where somebody divides it.
        rows: Rows of a shard; what the store has room for by default.
    """

    def __init__(
        self,
        store: RowStore,
        table: Sequences,
        missing: np.ndarray,
        *,
        clock: ProgressClock,
        lease_seconds: float,
        part: Part | None = None,
        rows: int | None = None,
    ) -> None:
        self._store = store
        self._table = table
        self._left = missing
        self._lengths = text_lengths(table.sequences).astype(np.uint32)
        self._taken = np.zeros(len(table.digests), bool)
        self._clock = clock
        self._part = part
        self._rows = min(rows or store.rows_per_shard, store.rows_per_shard)
        self._claims = store.claims(lease_seconds=lease_seconds)
        self._drawn: dict[str, str] = {}
        self._planned: Sequence[ShardWork] = ()

    def __enter__(self) -> SharedShards:
        self._claims.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._claims.__exit__(kind, error, traceback)

    def pending(self) -> bool:
        """Whether there is something to draw.

        Waits while others hold all that is left, but for a part of a divided work, which is done.
        """
        waited, pause = 0.0, _FIRST_WAIT_SECONDS
        while True:
            self._store.refresh()
            # What this process has drawn is stored, or can not be.
            self._left = self._left[~self._taken[self._left]]
            digests = self._table.digests
            if len(self._left) < len(digests):
                digests = digests[self._left]
            self._left = self._left[self._store.missing(digests)]
            del digests
            self._clock.expect(len(self._left), int(self._lengths[self._left].sum()))
            if not len(self._left):
                return False
            held = self._claims.held_by_others()
            free = self._left
            if len(held):
                free = free[DigestIndex(held).positions(self._table.digests[free]) < 0]
            if len(free):
                self._planned = self._plan(free, others=bool(len(held)))
                return True
            if self._part is not None:
                return False
            time.sleep(pause)
            if waited < _SECONDS_BEFORE_NOTICE <= waited + pause:
                _LOG.warning(
                    "%s: other processes embed %d sequences; waiting for them",
                    self._store.place,
                    len(self._left),
                )
            waited, pause = waited + pause, min(2 * pause, _LONGEST_WAIT_SECONDS)

    def _plan(self, free: np.ndarray, *, others: bool) -> Sequence[ShardWork]:
        """The shards to draw of what nobody holds, in order."""
        alone = not others
        if self._part is not None:
            own = free[self._part.owns(self._table.digests[free])]
            # Among its own sequences a part is alone, unless somebody helps it.
            free, alone = (own, True) if len(own) else (free, alone)
        planned = plan_shards(self._table, free, rows_per_shard=self._rows)
        return planned if alone else planned[(len(planned) - 1) // 2 :: -1]

    @property
    def left_to_others(self) -> int:
        """Sequences that are neither stored nor to be had, as of the last question."""
        return len(self._left)

    def __iter__(self) -> Iterator[ShardWork]:
        """Claim what can be had, without waiting for anybody."""
        for shard in self._planned:
            work = self._claim(shard)
            if work is not None:
                self._taken[work.positions] = True
                yield work

    def finish(self, shard: ShardRows) -> None:
        """Release the claim of a shard whose finite rows are committed."""
        self._claims.release([self._drawn.pop(shard.name)])

    def _claim(self, shard: ShardWork) -> ShardWork | None:
        """What of a shard is ours to compute."""
        claim = self._claims.take(shard.digests)
        if claim is None:
            return None
        # Read after the claim: nobody commits these rows any more.
        self._store.refresh()
        claimed = DigestIndex(claim.digests).positions(shard.digests) >= 0
        absent = np.zeros(len(shard), bool)
        absent[self._store.missing(shard.digests)] = True
        ours = shard.only(claimed & absent)
        if not len(ours):
            self._claims.release([claim.name])
            return None
        self._drawn[ours.name] = claim.name
        return ours
