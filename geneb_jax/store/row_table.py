"""Where every row of a store is: digest -> place in the array and checksum, for many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geneb_jax.store.digests import digest_halves
from geneb_jax.store.index_runs import IndexRun, merged_run
from geneb_jax.store.row_files import RowFile

__all__ = ["RowTable"]


class RowTable:
    """The rows of a store: indexes on the disk, and in memory what came since.

    What is in memory is a few runs of falling size; a new one is merged with those before it that
    are no larger, so that n shards cost n log n in all, not n squared. A digest that stands in two
    shards counts once.

    Args:
        rows_per_shard: Of the store.
        stored: Indexes on the disk.
    """

    def __init__(self, rows_per_shard: int, stored: Sequence[IndexRun] = ()) -> None:
        self._rows_per_shard = rows_per_shard
        self._stored = list(stored)
        self._fresh: list[IndexRun] = []

    def __len__(self) -> int:
        return sum(map(len, self._stored)) + self.fresh_rows

    @property
    def fresh_rows(self) -> int:
        """Rows that no index on the disk lists."""
        return sum(map(len, self._fresh))

    def extend(self, files: Sequence[RowFile], *, new: bool = False) -> None:
        """Add the rows of shards; rows that are here already stay as they are.

        Args:
            files: Their row files.
            new: The caller knows that none of the rows is here.

        Raises:
            DamagedIndexError: if an index on the disk is damaged.
        """
        if not files:
            return
        places = []
        for file in files:
            first = file.slot * self._rows_per_shard
            places.append(np.arange(first, first + len(file.digests), dtype=np.int64))
        newest = IndexRun.of(
            np.concatenate([file.digests for file in files]),
            np.concatenate(places),
            np.concatenate([file.checksums for file in files]),
        )
        if not new:
            known = self._find(newest.columns[0], newest.columns[1])[0] >= 0
            newest = IndexRun(newest.columns[:, ~known]) if known.any() else newest
        while self._fresh and len(self._fresh[-1]) <= len(newest):
            newest = merged_run([self._fresh.pop(), newest])
        self._fresh.append(newest)

    def find(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place and checksum of the row of each digest.

        Args:
            digests: uint8 ``[n, 16]``.

        Returns:
            int64 ``[n]``, -1 where it is not stored, and uint64 ``[n]``.

        Raises:
            DamagedIndexError: if an index on the disk is damaged.
        """
        return self._find(*digest_halves(digests))

    def _find(self, head: np.ndarray, tail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.full(len(head), -1, np.int64)
        checksums = np.zeros(len(head), np.uint64)
        left = np.arange(len(head))
        for run in (*self._stored, *self._fresh):
            rows = run.find(head[left], tail[left])
            here = rows >= 0
            places[left[here]] = run.places[rows[here]]
            checksums[left[here]] = run.columns[3][rows[here]]
            left = left[~here]
        return places, checksums

    def fresh_run(self) -> IndexRun | None:
        """What no index on the disk lists, as one run; None if there is nothing."""
        if len(self._fresh) > 1:
            self._fresh = [merged_run(self._fresh)]
        return self._fresh[0] if self._fresh and len(self._fresh[0]) else None
