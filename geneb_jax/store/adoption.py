"""What becomes of a store whose manifest or entries are lost: whole shards are taken up again."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace

from geneb_jax.errors import StoreError
from geneb_jax.store.array import ShardedArray
from geneb_jax.store.contents import (
    Contents,
    DamagedEntryError,
    add_entry,
    read_contents,
)
from geneb_jax.store.entries import Entry, Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.keys import key_hash
from geneb_jax.store.manifest import DamagedManifestError, Manifest
from geneb_jax.store.manifest_file import load_manifest, write_manifest
from geneb_jax.store.row_files import DamagedRowFileError, RowFile, decode_row_file
from geneb_jax.store.shard_files import row_file_folder, row_file_name, shard_damage

__all__ = ["load_or_repair"]

_LOG = logging.getLogger(__name__)


def load_or_repair(folder: Folder, fresh: Manifest) -> Contents:
    """The contents of a folder; what is lost of its manifest is made again from its shards.

    Args:
        folder: The store's folder.
        fresh: The manifest of an empty store of this key, written where there is none.

    Raises:
        StoreError: if another version of this project wrote it, or it contradicts itself.
    """
    try:
        manifest = load_manifest(folder)
    except DamagedManifestError as error:
        _LOG.warning("%s: the manifest is damaged: %s", folder.place, error)
        manifest = None
    if manifest is None:
        with folder.writing():
            manifest = _manifest_again(folder, fresh)
    try:
        contents = read_contents(folder, Contents(manifest))
        if not _lacks_something(contents):
            return contents
    except DamagedEntryError:
        pass
    except DamagedManifestError as error:
        raise _contradiction(folder, str(error)) from error
    with folder.writing():
        contents = _whole_entries(folder, manifest)
        return _adopted(folder, contents) if _lacks_something(contents) else contents


def _lacks_something(contents: Contents) -> bool:
    """Whether there may be shards that no entry names: none at all are named, or not every slot."""
    named = len(contents.shards) + len(contents.quarantined) + len(contents.merged)
    return not contents.entries or named <= contents.last_slot


def _manifest_again(folder: Folder, fresh: Manifest) -> Manifest:
    """Write a manifest like the one that was lost: only the size of shards has to be found out."""
    try:
        found = load_manifest(folder)
        if found is not None:
            return found
    except DamagedManifestError:
        pass
    key = key_hash(fresh.identity, fresh.width)
    sizes = {
        file.rows_per_shard
        for file in map(_readable, _row_files(folder))
        if file and file.key == key
    }
    if len(sizes) > 1:
        raise _contradiction(folder, "the shards are of different sizes")
    if sizes:
        _LOG.warning("%s: the manifest was written again", folder.place)
        fresh = replace(fresh, rows_per_shard=sizes.pop())
    write_manifest(folder, fresh)
    return fresh


def _contradiction(folder: Folder, cause: str) -> StoreError:
    return StoreError(
        "the manifest is lost or damaged and cannot be made again from the shards",
        where=folder.place,
        cause=cause,
        hint="remove it with 'geneb-jax store prune --damaged'; its rows are embedded anew",
    )


def _whole_entries(folder: Folder, manifest: Manifest) -> Contents:
    """The contents without damaged entries, which are set aside."""
    while True:
        try:
            return read_contents(folder, Contents(manifest))
        except DamagedEntryError as error:
            _LOG.warning("%s: %s; its shards are looked for", folder.place, error)
            folder.set_aside(error.name, f"quarantine/{error.name.replace('/', '-')}")
        except DamagedManifestError as error:
            raise _contradiction(folder, str(error)) from error


def _row_files(folder: Folder) -> list[bytes]:
    return [folder.read(name) or b"" for name in folder.names("rows")]


def _readable(content: bytes) -> RowFile | None:
    try:
        return decode_row_file(content)
    except DamagedRowFileError:
        return None


def _adopted(folder: Folder, contents: Contents) -> Contents:
    """The contents with the whole shards that no entry names, each with an entry now."""
    manifest = contents.manifest
    key = key_hash(manifest.identity, manifest.width)
    places = {"rows"}
    if contents.entries:
        places = {
            row_file_folder(slot) for slot in range(contents.last_slot + 1)
            if not contents.knows(slot)
        }  # fmt: skip
    array = ShardedArray(folder, rows_per_shard=manifest.rows_per_shard, width=manifest.width)
    count = 0
    for name in [name for place in sorted(places) for name in folder.names(place)]:
        content = folder.read(name) or b""
        file = _readable(content)
        if file is None or name != row_file_name(file.slot) or contents.knows(file.slot):
            continue
        if (file.key, file.rows_per_shard) != (key, manifest.rows_per_shard):
            continue
        if not count:
            array.ensure()
        count += 1
        reason = shard_damage(array, file)
        if reason:
            _LOG.warning("%s: shard %d is left out: %s", folder.place, file.slot, reason)
            continue
        shard = Shard(file.slot, len(file.digests), hashlib.sha256(content).hexdigest())
        contents = add_entry(folder, contents, f"{file.slot:09d}", Entry((shard,)))
        _LOG.warning("%s: shard %d was taken up again", folder.place, file.slot)
    return contents
