"""Reading, replacing and rebuilding a store's manifest file."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.array import DamagedShardError, ShardedArray
from geneb_jax.store.folders import Folder
from geneb_jax.store.keys import key_hash
from geneb_jax.store.manifest import (
    FORMAT_VERSION,
    DamagedManifestError,
    Manifest,
    Shard,
    UnknownManifestVersionError,
    decode_manifest,
    encode_manifest,
)
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import DamagedRowFileError, RowFile, decode_row_file

__all__ = [
    "load_manifest",
    "load_or_rebuild",
    "read_row_file",
    "rebuild_manifest",
    "replace_manifest",
    "row_file_name",
    "shard_damage",
]

_LOG = logging.getLogger(__name__)
_MANIFEST = "manifest.json"


def row_file_name(slot: int) -> str:
    """Name of a shard's row file below the store's folder."""
    return f"rows/{slot:06d}.rows"


def load_manifest(folder: Folder) -> Manifest | None:
    """The manifest, ``None`` where there is none.

    Raises:
        StoreError: if another version of this project wrote it.
        DamagedManifestError: if it is cut or changed.
    """
    content = folder.read(_MANIFEST)
    if content is None:
        return None
    try:
        return decode_manifest(content)
    except UnknownManifestVersionError as error:
        raise StoreError(
            f"the store has {error}, this geneb-jax knows version {FORMAT_VERSION}",
            where=f"{folder.place}/{_MANIFEST}",
            hint="use the geneb-jax that wrote it, or another folder with --store",
        ) from error


def replace_manifest(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest durably; see :meth:`Folder.replace`."""
    folder.replace(_MANIFEST, encode_manifest(manifest))


def read_row_file(folder: Folder, shard: Shard, manifest: Manifest) -> RowFile:
    """The row file of a committed shard.

    Raises:
        DamagedRowFileError: if it is missing, changed, or another shard's.
    """
    content = folder.read(row_file_name(shard.slot))
    if content is None:
        raise DamagedRowFileError("it is missing")
    if hashlib.sha256(content).hexdigest() != shard.row_file_sha256:
        raise DamagedRowFileError("its SHA-256 does not agree with the manifest")
    file = decode_row_file(content)
    if (file.slot, file.width, len(file.digests)) != (shard.slot, manifest.width, shard.rows):
        raise DamagedRowFileError("it belongs to another shard")
    return file


def shard_damage(array: ShardedArray, file: RowFile, *, shard_count: int) -> str | None:
    """Why a shard's rows cannot be trusted, ``None`` where they can."""
    first = file.slot * array.rows_per_shard
    places = np.arange(first, first + len(file.digests), dtype=np.int64)
    try:
        rows = array.read(places, shard_count=shard_count)
    except DamagedShardError as error:
        return str(error)
    wrong = int((row_checksums(file.digests, rows) != file.checksums).sum())
    return f"{wrong} rows do not agree with their checksums" if wrong else None


def rebuild_manifest(folder: Folder, fresh: Manifest) -> Manifest:
    """A manifest for a folder without a whole one, from shards that all agree with themselves.

    Args:
        folder: The store's folder.
        fresh: The manifest of an empty store of this key, returned where there are no shards.

    Raises:
        StoreError: if any row file or shard that is there does not agree with itself.
    """
    key = key_hash(fresh.identity, fresh.width)
    files: dict[str, RowFile] = {}
    problems: list[str] = []
    for name in folder.names("rows"):
        content = folder.read(name) or b""
        try:
            file = decode_row_file(content)
        except DamagedRowFileError as error:
            problems.append(f"{name}: {error}")
            continue
        if file.key != key or name != row_file_name(file.slot):
            problems.append(f"{name}: it belongs to another store or shard")
        else:
            files[hashlib.sha256(content).hexdigest()] = file
    if len({file.rows_per_shard for file in files.values()}) > 1:
        problems.append("rows: the shards are of different sizes")
    if not problems and files:
        rows_per_shard = next(iter(files.values())).rows_per_shard
        fresh = replace(fresh, rows_per_shard=rows_per_shard)
        array = ShardedArray(folder, rows_per_shard=rows_per_shard, width=fresh.width)
        shard_count = max(file.slot for file in files.values()) + 1
        array.ensure_room(shard_count)
        for file in files.values():
            reason = shard_damage(array, file, shard_count=shard_count)
            if reason:
                problems.append(f"shard {file.slot}: {reason}")
    if problems:
        raise StoreError(
            "the manifest is lost or damaged and cannot be rebuilt from the shards",
            where=folder.place,
            cause="; ".join(problems[:3]),
            hint="remove it with 'geneb-jax store prune --damaged'; its rows are embedded anew",
        )
    if files:
        _LOG.warning("%s: the manifest was rebuilt from %d whole shards", folder.place, len(files))
    shards = (Shard(file.slot, len(file.digests), sha256) for sha256, file in files.items())
    return replace(fresh, shards=tuple(sorted(shards, key=lambda shard: shard.slot)))


def load_or_rebuild(folder: Folder, fresh: Manifest) -> Manifest:
    """The manifest of a folder; where it is lost or damaged, under the writer's lock, a new one.

    Raises:
        StoreError: as :func:`load_manifest` and :func:`rebuild_manifest`.
    """
    try:
        found = load_manifest(folder)
        if found is not None:
            return found
    except DamagedManifestError as error:
        _LOG.warning("%s: the manifest is damaged: %s", folder.place, error)
    with folder.writing():
        try:
            found = load_manifest(folder)
        except DamagedManifestError:
            found = None
        if found is None:
            found = rebuild_manifest(folder, fresh)
            replace_manifest(folder, found)
    return found
