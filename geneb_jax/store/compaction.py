"""Fill shards up: many small ones become few, and what they said is said by one entry.

A shard is merged in one step: the entry that names the new shard gives up the old ones, whose files
are deleted after it. Whoever is killed before that entry leaves files that nobody names; whoever is
killed after it leaves files that count no more. Both go with the next ``compact`` or ``prune``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.store.array import DamagedShardError, ShardedArray, shard_key
from geneb_jax.store.entries import Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import DamagedRowFileError
from geneb_jax.store.shard_files import read_row_file, row_file_name
from geneb_jax.store.shard_writing import write_shard
from geneb_jax.store.view import StoreView

__all__ = ["Compacted", "compact"]

#: A shard that holds this share of its room, or more, is left as it is.
_FULL_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done.

    Attributes:
        shards_before: Shards that counted.
        shards_after: The same afterwards.
        entries_before: Entries of the manifest.
        rows: Rows of the store.
        deleted_files: Files that were deleted.
    """

    shards_before: int
    shards_after: int
    entries_before: int
    rows: int
    deleted_files: int


def compact(folder: Folder, array: ShardedArray, view: StoreView) -> Compacted:
    """Merge small shards and summarise the entries of a store.

    Other processes may read and write meanwhile.

    Args:
        folder: The store's folder.
        array: Its array.
        view: What is known of it.

    Raises:
        StoreError: if it cannot be written.
    """
    view.refresh()
    before, entries = len(view.contents.shards), len(view.contents.entries)
    array.ensure()
    for group in _groups(list(view.contents.shards.values()), array.rows_per_shard):
        with folder.writing():
            view.refresh()
            _merge(folder, array, view, group)
    view.summarise()
    deleted = _delete_merged(folder, view)
    return Compacted(before, len(view.contents.shards), entries, len(view), deleted)


def _groups(shards: Sequence[Shard], room: int) -> list[list[Shard]]:
    """Small shards that fit together, two or more each, in the order of their slots."""
    groups: list[list[Shard]] = [[]]
    for shard in shards:
        if shard.rows >= _FULL_ENOUGH * room:
            continue
        if sum(one.rows for one in groups[-1]) + shard.rows > room:
            groups.append([])
        groups[-1].append(shard)
    return [group for group in groups if len(group) > 1]


def _merge(folder: Folder, array: ShardedArray, view: StoreView, group: Sequence[Shard]) -> None:
    """Write the rows of some shards as one, unless one of them is damaged or gone."""
    contents = view.contents
    if any(contents.shards.get(shard.slot) != shard for shard in group):
        return
    digests, rows, damaged = [], [], []
    for shard in group:
        first = shard.slot * array.rows_per_shard
        places = np.arange(first, first + shard.rows, dtype=np.int64)
        try:
            file = read_row_file(folder, shard, contents.manifest)
            found = array.read(places)
        except (DamagedRowFileError, DamagedShardError) as error:
            damaged.append((shard, str(error)))
            continue
        if not np.array_equal(row_checksums(file.digests, found), file.checksums):
            damaged.append((shard, "rows do not agree with their checksums"))
            continue
        # Of a sequence that two writers stored, the row that others read is kept.
        kept = view.find(file.digests)[0] == places
        digests.append(file.digests[kept])
        rows.append(found[kept])
    if damaged:
        view.quarantine(damaged)
        return
    if not sum(map(len, rows)):
        return
    slots = [shard.slot for shard in group]
    write_shard(
        folder, array, contents, np.concatenate(digests), np.concatenate(rows), merged=slots
    )
    view.refresh()


def _delete_merged(folder: Folder, view: StoreView) -> int:
    """Delete the files of shards whose rows stand in others."""
    gone = {row_file_name(slot): slot for slot in view.contents.merged}
    deleted = 0
    for name in folder.names("rows"):
        if name in gone:
            key = shard_key(gone[name])
            folder.delete(key)
            folder.delete(key.rpartition("/")[0])  # the folder that held it
            folder.delete(name)
            deleted += 2
    return deleted
