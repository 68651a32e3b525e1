"""The array of a store: zarr3 in shards, every inner chunk and every shard index with a CRC-32C.

Chunks are compressed (zstd, level 1): counts of 6-mers in short sequences shrink a hundredfold,
dense embeddings by some 8 percent, at about 3 seconds of one core a gigabyte.

One shard of the array is one file, written whole by one commit and never changed: shard ``slot``
holds rows ``slot * rows_per_shard`` onward. A missing chunk is an error, never a fill value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.folders import Folder, full_or_unwritable
from geneb_jax.store.tensorstore_context import shared_context

__all__ = ["DamagedShardError", "ShardedArray", "shard_key"]

_CHUNK_BYTES = 1 << 20
_FIRST_SHARDS = 8
#: What tensorstore calls bytes that are not what was written.
_DAMAGE = ("DATA_LOSS", "NOT_FOUND", "INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION")


class DamagedShardError(Exception):
    """A read met bytes that are not what was written, or none."""


def shard_key(slot: int) -> str:
    """Name of a shard's file below the store's folder."""
    return f"array/c/{slot}/0"


def _chunk_rows(rows_per_shard: int, width: int) -> int:
    """Rows of an inner chunk: the largest divisor of the shard that stays near 1 MiB."""
    most = max(1, _CHUNK_BYTES // (4 * width))
    return max(
        rows for rows in range(1, min(most, rows_per_shard) + 1) if rows_per_shard % rows == 0
    )


class ShardedArray:
    """float32 ``[row, width]`` in shards of ``rows_per_shard`` rows."""

    def __init__(self, folder: Folder, *, rows_per_shard: int, width: int) -> None:
        self._folder = folder
        self.rows_per_shard = rows_per_shard
        self._width = width
        self._opened: Any = None

    def _spec(self) -> dict[str, Any]:
        plain = {"name": "bytes", "configuration": {"endian": "little"}}
        packed = {"name": "zstd", "configuration": {"level": 1}}
        checksum = {"name": "crc32c"}
        inner = [_chunk_rows(self.rows_per_shard, self._width), self._width]
        return {
            "driver": "zarr3",
            "kvstore": self._folder.array_kvstore(),
            "metadata": {
                "data_type": "float32",
                "fill_value": "NaN",
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [self.rows_per_shard, self._width]},
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

    def _open(self, shard_count: int, *, create: bool) -> Any:
        """Open the array with room for ``shard_count`` shards.

        Its description (zarr.json) follows from the manifest, so where it is lost or damaged it is
        written again; the shards are not touched by that.
        """
        import tensorstore as ts

        if self._opened is not None and self._opened.shape[0] >= shard_count * self.rows_per_shard:
            return self._opened
        spec = self._spec()
        try:
            opened = ts.open(spec, open=True, context=shared_context()).result()
            if opened.shape[1] != self._width:
                raise ValueError("FAILED_PRECONDITION: another width")
        except ValueError as error:
            if not str(error).startswith(_DAMAGE):
                raise self._failure("cannot open the array", error) from error
            if not create:
                raise DamagedShardError("the array's description is lost or damaged") from error
            self._folder.delete("array/zarr.json")
            spec["metadata"]["shape"] = [_FIRST_SHARDS * self.rows_per_shard, self._width]
            try:
                opened = ts.open(spec, create=True, open=True, context=shared_context()).result()
            except (ValueError, OSError) as again:
                raise full_or_unwritable(self._folder, 1024, again) from again
        shards = opened.shape[0] // self.rows_per_shard
        if shards < shard_count:
            if not create:
                raise DamagedShardError("the array's description is older than its manifest")
            # Room is doubled, so that the description is rewritten a few times, not once a commit.
            room = max(_FIRST_SHARDS, 1 << (shard_count - 1).bit_length())
            try:
                opened = opened.resize(
                    exclusive_max=[room * self.rows_per_shard, None], expand_only=True
                ).result()
            except (ValueError, OSError) as error:
                raise full_or_unwritable(self._folder, 1024, error) from error
        self._opened = opened
        return opened

    def _failure(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            what, where=self._folder.place, cause=str(error).split(" [")[0].rstrip(".")
        )

    def ensure_room(self, shard_count: int) -> None:
        """Create, repair or enlarge the array so that it has ``shard_count`` shards."""
        self._open(shard_count, create=True)

    def write(self, slot: int, rows: np.ndarray) -> None:
        """Write the rows of one shard as a new file, flushed to the disk when this returns.

        Raises:
            StoreError: if it cannot be written, with the bytes needed and free.
        """
        array = self._open(slot + 1, create=True)
        first = slot * self.rows_per_shard
        try:
            # What a killed writer left in this slot was never committed; without it the shard
            # file is written in one go instead of merged.
            self._folder.delete(shard_key(slot))
            array[first : first + len(rows)].write(rows).result()
        except (ValueError, OSError) as error:
            raise full_or_unwritable(self._folder, rows.nbytes, error) from error

    def read(self, positions: np.ndarray, *, shard_count: int) -> np.ndarray:
        """Read rows by their place in the array: float32 ``[len(positions), width]``.

        Raises:
            DamagedShardError: if any chunk is missing or fails its checksum.
            StoreError: if the files cannot be read at all.
        """
        array = self._open(shard_count, create=False)
        try:
            if len(positions) and positions[-1] - positions[0] == len(positions) - 1:
                steps = np.diff(positions)
                if (steps == 1).all():
                    array = array[int(positions[0]) : int(positions[-1]) + 1]
                    return np.asarray(array.read().result())
            return np.asarray(array[positions].read().result())
        except ValueError as error:
            if str(error).startswith(_DAMAGE):
                raise DamagedShardError(str(error).split(" [")[0]) from error
            raise self._failure("cannot read the array", error) from error
