"""All rows of a store in memory: digest -> place in the array and checksum, for many at once."""

from __future__ import annotations

import numpy as np

from geneb_jax.store.digests import DIGEST_BYTES, DigestIndex
from geneb_jax.store.row_files import RowFile

__all__ = ["RowTable"]


class RowTable:
    """Rows in the order of their shards. Grows by a shard at a time at little cost.

    The look-up is a few sorted indexes of falling size; a new one is merged with those before it
    that are no larger, so that n shards cost n log n in all, not n squared.
    """

    def __init__(self, rows_per_shard: int) -> None:
        self._rows_per_shard = rows_per_shard
        self._digests: list[np.ndarray] = []
        self._checksums: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self._indexes: list[tuple[int, DigestIndex]] = []  # (first row, index)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, file: RowFile) -> None:
        """Add the rows of a shard."""
        first_row, count = self._count, len(file.digests)
        first_place = file.slot * self._rows_per_shard
        self._digests.append(file.digests)
        self._checksums.append(file.checksums)
        self._places.append(np.arange(first_place, first_place + count, dtype=np.int64))
        self._count += count
        newest = file.digests
        while self._indexes and len(self._indexes[-1][1]) <= len(newest):
            first_row, _ = self._indexes.pop()
            newest = self.digests[first_row:]
        self._indexes.append((first_row, DigestIndex(newest)))

    @staticmethod
    def _joined(parts: list[np.ndarray], empty: np.ndarray) -> np.ndarray:
        """The parts as one array, which then replaces them."""
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0] if parts else empty

    @property
    def digests(self) -> np.ndarray:
        """uint8 ``[n, 16]``."""
        return self._joined(self._digests, np.zeros((0, DIGEST_BYTES), np.uint8))

    @property
    def checksums(self) -> np.ndarray:
        """uint64 ``[n]``."""
        return self._joined(self._checksums, np.zeros(0, np.uint64))

    @property
    def places(self) -> np.ndarray:
        """Row of the array that holds each row of the store, int64 ``[n]``."""
        return self._joined(self._places, np.zeros(0, np.int64))

    def rows(self, digests: np.ndarray) -> np.ndarray:
        """The row of each digest, -1 where it is not stored; int64 ``[len(digests)]``."""
        found = np.full(len(digests), -1, np.int64)
        for first_row, index in self._indexes:
            within = index.positions(digests)
            found = np.where((found < 0) & (within >= 0), within + first_row, found)
        return found
