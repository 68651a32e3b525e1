"""The array of a store: zarr3 in shards, every inner chunk and every shard index with a CRC-32C.

Chunks are compressed (zstd, level 1): counts of 6-mers in short sequences shrink a hundredfold,
dense embeddings by some 8 percent, at about 3 seconds of one core a gigabyte.

One shard of the array is one file, written whole by one commit and never changed. The array has
three axes, so that a thousand shards make a folder: ``[group, row, column]``, where shard ``slot``
is in group ``slot // 1000`` from row ``slot % 1000 * rows_per_shard`` on. Outside of this module a
row has one number, its place: ``slot * rows_per_shard`` and onward. The array is far larger than
what is written, so that it never has to grow; a missing chunk is an error, never a fill value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.folder import Folder, full_or_unwritable
from geneb_jax.store.tensorstore_context import shared_context

__all__ = ["SHARDS_A_FOLDER", "DamagedShardError", "ShardedArray", "shard_key"]

#: Shards whose files share a folder: some file systems, and all people, are slow with more.
SHARDS_A_FOLDER = 1000
_CHUNK_BYTES = 1 << 20
_DESCRIPTION = "array/zarr.json"
#: Groups of the array: more shards than any store will have, few enough for 64-bit places.
_GROUPS = 1 << 20
#: What tensorstore calls bytes that are not what was written.
_DAMAGE = ("DATA_LOSS", "NOT_FOUND", "INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION")


class DamagedShardError(Exception):
    """A read met bytes that are not what was written, or none."""


def shard_key(slot: int) -> str:
    """Name of a shard's file below the store's folder."""
    return f"array/c/{slot // SHARDS_A_FOLDER}/{slot % SHARDS_A_FOLDER}/0"


def _chunk_rows(rows_per_shard: int, width: int) -> int:
    """Rows of an inner chunk: the largest divisor of the shard that stays near 1 MiB."""
    most = max(1, _CHUNK_BYTES // (4 * width))
    return max(
        rows for rows in range(1, min(most, rows_per_shard) + 1) if rows_per_shard % rows == 0
    )


class ShardedArray:
    """float32 rows of ``width`` numbers in shards of ``rows_per_shard`` rows."""

    def __init__(self, folder: Folder, *, rows_per_shard: int, width: int) -> None:
        self._folder = folder
        self.rows_per_shard = rows_per_shard
        self._width = width
        self._opened: Any = None
        self._plain: set[int] = set()

    def _spec(self) -> dict[str, Any]:
        plain = {"name": "bytes", "configuration": {"endian": "little"}}
        packed = {"name": "zstd", "configuration": {"level": 1}}
        checksum = {"name": "crc32c"}
        inner = [1, _chunk_rows(self.rows_per_shard, self._width), self._width]
        return {
            "driver": "zarr3",
            "kvstore": self._folder.array_kvstore(),
            "metadata": {
                "data_type": "float32",
                "shape": [_GROUPS, SHARDS_A_FOLDER * self.rows_per_shard, self._width],
                "fill_value": "NaN",
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [1, self.rows_per_shard, self._width]},
                },
                "chunk_key_encoding": {"name": "default"},
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": inner,
                            "codecs": [plain, packed, checksum],
                            "index_codecs": [plain, checksum],
                        },
                    }
                ],
            },
            "fill_missing_data_reads": False,
            "recheck_cached_metadata": "open",
        }

    def _open(self, *, create: bool) -> Any:
        """Open the array.

        Its description (zarr.json) follows from the manifest, so where it is lost or damaged it is
        written again; the shards are not touched by that.
        """
        import tensorstore as ts

        if self._opened is not None:
            return self._opened
        spec = self._spec()
        if self._folder.is_odd(_DESCRIPTION):
            if not create:
                raise DamagedShardError("the array's description is no plain file")
            self._folder.delete(_DESCRIPTION)
        try:
            self._opened = ts.open(spec, open=True, context=shared_context()).result()
        except ValueError as error:
            if not str(error).startswith(_DAMAGE):
                raise self._failure("cannot open the array", error) from error
            if not create:
                raise DamagedShardError("the array's description is lost or damaged") from error
            self._folder.delete(_DESCRIPTION)
            try:
                opening = ts.open(spec, create=True, open=True, context=shared_context())
                self._opened = opening.result()
            except (ValueError, OSError) as again:
                raise full_or_unwritable(self._folder, 1024, again) from again
        return self._opened

    def _failure(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            what, where=self._folder.place, cause=str(error).split(" [")[0].rstrip(".")
        )

    def ensure(self) -> None:
        """Create the array, or write its description again where that is lost or damaged."""
        self._opened = None
        self._open(create=True)

    @contextmanager
    def writing(self, slot: int, rows: np.ndarray) -> Iterator[None]:
        """Write the rows of one shard as a new file, flushed to the disk when the context ends.

        Raises:
            StoreError: if it cannot be written, with the bytes needed and free.
        """
        array = self._open(create=True)
        group, number = divmod(slot, SHARDS_A_FOLDER)
        first = number * self.rows_per_shard
        # What a killed writer left in this slot was never committed; without it the shard file is
        # written in one go instead of merged.
        self._folder.make_room(shard_key(slot))
        try:
            written = array[group, first : first + len(rows)].write(rows)
            try:
                yield
            finally:
                written.result()
        except (ValueError, OSError) as error:
            raise full_or_unwritable(self._folder, rows.nbytes, error) from error

    def read(self, places: np.ndarray) -> np.ndarray:
        """Read rows by their places: float32 ``[len(places), width]``.

        Raises:
            DamagedShardError: if any chunk is missing or fails its checksum.
            StoreError: if the files cannot be read at all.
        """
        array = self._open(create=False)
        self._require_plain(places)
        groups, rows = np.divmod(places, SHARDS_A_FOLDER * self.rows_per_shard)
        try:
            if len(places) and (groups == groups[0]).all():
                return _read_rows(array[int(groups[0])], rows)
            found = np.empty((len(places), self._width), np.float32)
            order = np.argsort(groups, kind="stable")
            edges = np.flatnonzero(np.diff(groups[order])) + 1
            for first, last in pairwise([0, *edges.tolist(), len(order)]):
                at = order[first:last]
                if len(at):
                    found[at] = _read_rows(array[int(groups[at[0]])], rows[at])
            return found
        except ValueError as error:
            if str(error).startswith(_DAMAGE):
                raise DamagedShardError(str(error).split(" [")[0]) from error
            raise self._failure("cannot read the array", error) from error

    def _require_plain(self, places: np.ndarray) -> None:
        """Look once at every shard's file before it is opened: a pipe would be waited for."""
        if not len(places):
            return
        slots = np.flatnonzero(np.bincount(places // self.rows_per_shard))
        for slot in set(slots.tolist()) - self._plain:
            if self._folder.is_odd(shard_key(slot)):
                raise DamagedShardError(f"{shard_key(slot)} is no plain file")
            self._plain.add(slot)


def _read_rows(group: Any, rows: np.ndarray) -> np.ndarray:
    """Rows of a group, read as a range where they are one."""
    if rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return np.asarray(group[int(rows[0]) : int(rows[-1]) + 1].read().result())
    return np.asarray(group[rows].read().result())
