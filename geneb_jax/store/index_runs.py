"""Sorted indexes on the disk: digest -> place in the array and checksum, opened without reading.

A run is a file that is written once. It lists rows in the order of their digests, in four columns,
so that a look-up touches a few pages of a memory-mapped file. Its 256 partitions, by the first byte
of a digest, have a checksum each, which is verified when a look-up first comes there: opening a
store costs the same however many rows it holds.

Everything in a run can be made again from the row files; a damaged one is dropped, not mourned.

Layout, little-endian: magic (8 bytes), key hash (32), rows (u64), starts of the partitions (u64 x
257), their checksums (first 8 bytes of SHA-256, x 256), SHA-256 of all before it (32); then the
columns, a u64 a row each: first half of the digest as a big-endian number, second half, place,
row checksum.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np

from geneb_jax.store.digests import digest_halves

__all__ = ["DamagedIndexError", "IndexRun", "merged_run"]

_MAGIC = b"GENEBi02"
_HEAD = struct.Struct("<8s32sQ")
_PARTITIONS = 256
_SEAL_BYTES, _SHORT_SEAL_BYTES = 32, 8
_HEAD_BYTES = _HEAD.size + 8 * (_PARTITIONS + 1) + _SHORT_SEAL_BYTES * _PARTITIONS + _SEAL_BYTES
_COLUMNS = 4
#: Queries that are worth sorting, so that neighbours meet in the same pages.
_MANY_QUERIES = 1024
#: Rows that are merged in one go.
_MANY_ROWS = 1 << 18


class DamagedIndexError(ValueError):
    """The bytes are not a whole run."""


class IndexRun:
    """Rows in the order of their digests.

    Args:
        columns: uint64 ``[4, n]``: the halves of the digests, places, checksums.
        seals: What the partitions must agree with; None: they were made just now.
        room: Bytes that hold the columns and, before them, room for the head of their file.
    """

    def __init__(
        self,
        columns: np.ndarray,
        seals: bytes | None = None,
        *,
        room: np.ndarray | None = None,
    ) -> None:
        self.columns = columns
        self._room = room
        edges = np.arange(_PARTITIONS, dtype=np.uint64) << np.uint64(56)
        self._starts = np.append(np.searchsorted(columns[0], edges), len(columns[0]))
        self._seals = seals
        self._unseen = np.full(_PARTITIONS, seals is not None)

    def __len__(self) -> int:
        return self.columns.shape[1]

    @classmethod
    def of(cls, digests: np.ndarray, places: np.ndarray, checksums: np.ndarray) -> IndexRun:
        """Sort rows; of rows with one digest the first place counts.

        Args:
            digests: uint8 ``[n, 16]``.
            places: int64 ``[n]``.
            checksums: uint64 ``[n]``.
        """
        head, tail = digest_halves(digests)
        return cls(_sorted(np.stack([head, tail, places.astype(np.uint64), checksums])))

    def find(self, head: np.ndarray, tail: np.ndarray) -> np.ndarray:
        """The row of each digest in this run, -1 where it is not; int64 ``[n]``.

        Raises:
            DamagedIndexError: if a partition that is touched is not what was written.
        """
        found = np.full(len(head), -1, np.int64)
        if not len(self) or not len(head):
            return found
        self._verify(head)
        order = np.argsort(head) if len(head) > _MANY_QUERIES else np.arange(len(head))
        at = np.searchsorted(self.columns[0], head[order])
        # Two digests that share 64 bits stand side by side; nearly always one look is enough.
        while len(order):
            inside = at < len(self)
            order, at = order[inside], at[inside]
            candidate = self.columns[0][at] == head[order]
            order, at = order[candidate], at[candidate]
            equal = self.columns[1][at] == tail[order]
            found[order[equal]] = at[equal]
            order, at = order[~equal], at[~equal] + 1
        return found

    def _verify(self, head: np.ndarray) -> None:
        if not self._unseen.any():
            return
        touched = np.zeros(_PARTITIONS, bool)
        touched[(head >> np.uint64(56)).astype(np.intp)] = True
        for partition in np.flatnonzero(touched & self._unseen).tolist():
            if self._seal(partition) != self._sealed(partition):
                raise DamagedIndexError(f"partition {partition} does not agree with its checksum")
            self._unseen[partition] = False

    def verify(self) -> None:
        """Check every partition; see :meth:`find`."""
        self._verify(np.arange(_PARTITIONS, dtype=np.uint64) << np.uint64(56))

    def _sealed(self, partition: int) -> bytes:
        first = partition * _SHORT_SEAL_BYTES
        return (self._seals or b"")[first : first + _SHORT_SEAL_BYTES]

    def _seal(self, partition: int) -> bytes:
        total = hashlib.sha256()
        for column in self.columns:
            total.update(column[self._span(partition)].tobytes())
        return total.digest()[:_SHORT_SEAL_BYTES]

    def _span(self, partition: int) -> slice:
        return slice(int(self._starts[partition]), int(self._starts[partition + 1]))

    @property
    def places(self) -> np.ndarray:
        """Places in the array, int64 ``[n]``, in the order of the digests."""
        return self.columns[2].view(np.int64)

    def encode(self, key: str) -> memoryview:
        """The bytes of a run of the store with this key hash."""
        seals = b"".join(self._seal(partition) for partition in range(_PARTITIONS))
        head = _HEAD.pack(_MAGIC, bytes.fromhex(key), len(self))
        head += self._starts.astype("<u8").tobytes() + seals
        head += hashlib.sha256(head).digest()
        # No copy where there is room before the columns: indexes are the largest things in memory.
        content, columns = self._room, self.columns
        if content is None or not np.little_endian:
            content, columns = _with_room(len(self))
            columns[:] = self.columns
        content[:_HEAD_BYTES] = np.frombuffer(head, np.uint8)
        return content.data

    @classmethod
    def decode(cls, content: np.ndarray, key: str) -> IndexRun:
        """Open a run; its columns are views of what is given and are checked when used.

        Args:
            content: uint8 ``[n]``, possibly memory-mapped.
            key: The store's key hash.

        Raises:
            DamagedIndexError: if it is cut, changed, or another store's.
        """
        head = content[:_HEAD_BYTES].tobytes()
        if len(head) < _HEAD_BYTES:
            raise DamagedIndexError(f"only {len(content)} bytes")
        if hashlib.sha256(head[:-_SEAL_BYTES]).digest() != head[-_SEAL_BYTES:]:
            raise DamagedIndexError("its SHA-256 does not agree")
        magic, found, count = _HEAD.unpack_from(head)
        if magic != _MAGIC or found.hex() != key:
            raise DamagedIndexError("it is no index of this store")
        if len(content) != _HEAD_BYTES + 8 * _COLUMNS * count:
            raise DamagedIndexError("it is of another length than it says")
        starts_end = _HEAD.size + 8 * (_PARTITIONS + 1)
        run = cls.__new__(cls)
        run._room = None
        run.columns = content[_HEAD_BYTES:].view("<u8").reshape(_COLUMNS, count)
        run._starts = np.frombuffer(head[_HEAD.size : starts_end], "<u8").astype(np.int64)
        run._seals = head[starts_end:-_SEAL_BYTES]
        run._unseen = np.ones(_PARTITIONS, bool)
        return run


def _with_room(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a file of so many rows, uint8, and the columns in it, uint64 ``[4, rows]``."""
    content = np.empty(_HEAD_BYTES + 8 * _COLUMNS * rows, np.uint8)
    return content, content[_HEAD_BYTES:].view("<u8").reshape(_COLUMNS, rows)


def _sorted(columns: np.ndarray) -> np.ndarray:
    order = np.argsort(columns[0], kind="stable")
    head = columns[0][order]
    if (head[1:] == head[:-1]).any():
        order = np.lexsort((columns[2], columns[1], columns[0]))
    columns = columns[:, order]
    new = np.ones(len(order), bool)
    new[1:] = (columns[:2, 1:] != columns[:2, :-1]).any(axis=0)
    return columns if new.all() else columns[:, new]


def merged_run(
    runs: Sequence[IndexRun], *, without: np.ndarray | None = None, rows_per_shard: int = 1
) -> IndexRun:
    """One run of the rows of several.

    Args:
        runs: Some of a store's.
        without: Slots whose rows are left out, int64.
        rows_per_shard: Of the store.

    Raises:
        DamagedIndexError: if one of them is damaged.
    """
    for run in runs:
        run.verify()
    total = sum(map(len, runs))
    if total <= _MANY_ROWS:
        return IndexRun(_merged([run.columns for run in runs], without, rows_per_shard))
    # Partition by partition, so that little more than the result is held.
    (room, columns), at = _with_room(total), 0
    for partition in range(_PARTITIONS):
        parts = [run.columns[:, run._span(partition)] for run in runs]
        some = _merged(parts, without, rows_per_shard)
        columns[:, at : at + some.shape[1]] = some
        at += some.shape[1]
    if at < total:
        return IndexRun(columns[:, :at])
    return IndexRun(columns, room=room)


def _merged(
    parts: Sequence[np.ndarray], without: np.ndarray | None, rows_per_shard: int
) -> np.ndarray:
    """Columns ``[4, n]`` of several runs as those of one; see :func:`merged_run`."""
    columns = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    if without is not None and len(without):
        slots = columns[2].view(np.int64) // rows_per_shard
        columns = columns[:, ~np.isin(slots, without)]
    return _sorted(columns)
