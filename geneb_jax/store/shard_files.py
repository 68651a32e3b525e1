"""The two files of a shard, its rows and whose they are: names, reading, checking."""

from __future__ import annotations

import hashlib

import numpy as np

from geneb_jax.store.array import SHARDS_A_FOLDER, DamagedShardError, ShardedArray
from geneb_jax.store.entries import Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.manifest import Manifest
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import DamagedRowFileError, RowFile, decode_row_file

__all__ = ["read_row_file", "row_file_folder", "row_file_name", "shard_damage"]


def row_file_folder(slot: int) -> str:
    """The folder of a shard's row file."""
    return f"rows/{slot // SHARDS_A_FOLDER:06d}"


def row_file_name(slot: int) -> str:
    """Name of a shard's row file below the store's folder."""
    return f"{row_file_folder(slot)}/{slot:09d}.rows"


def read_row_file(folder: Folder, shard: Shard, manifest: Manifest) -> RowFile:
    """The row file of a committed shard.

    Raises:
        DamagedRowFileError: if it is missing, changed, or another shard's; it is named.
    """
    name = row_file_name(shard.slot)
    content = folder.read(name)
    if content is None:
        raise DamagedRowFileError(f"{name} is missing")
    if hashlib.sha256(content).hexdigest() != shard.row_file_sha256:
        raise DamagedRowFileError(f"{name}: its SHA-256 does not agree with the manifest")
    file = decode_row_file(content, checked=True)
    if (file.slot, file.width, len(file.digests)) != (shard.slot, manifest.width, shard.rows):
        raise DamagedRowFileError(f"{name} belongs to another shard")
    return file


def shard_damage(array: ShardedArray, file: RowFile) -> str | None:
    """Why a shard's rows cannot be trusted, ``None`` where they can."""
    first = file.slot * array.rows_per_shard
    places = np.arange(first, first + len(file.digests), dtype=np.int64)
    try:
        rows = array.read(places)
    except DamagedShardError as error:
        return str(error)
    wrong = int((row_checksums(file.digests, rows) != file.checksums).sum())
    return f"{wrong} rows do not agree with their checksums" if wrong else None
