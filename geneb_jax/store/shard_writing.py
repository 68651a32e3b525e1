"""What changes the shards of a store: a commit adds one, damage takes one away."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.store.array import ShardedArray, shard_key
from geneb_jax.store.contents import Contents, add_entry, read_contents
from geneb_jax.store.entries import Entry, Quarantined, Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.keys import key_hash
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import RowFile, encode_row_file
from geneb_jax.store.shard_files import row_file_name

__all__ = ["put_in_quarantine", "write_shard"]

_NAME_DIGITS = 16


def write_shard(
    folder: Folder,
    array: ShardedArray,
    contents: Contents,
    digests: np.ndarray,
    rows: np.ndarray,
    *,
    merged: Sequence[int] = (),
) -> tuple[RowFile, Mapping[str, Entry]]:
    """Write a shard, its row file and the entry that makes it count.

    Args:
        folder: The store's folder.
        array: Its array.
        contents: What it holds.
        digests: uint8 ``[n, 16]``.
        rows: float32 ``[n, width]``, at most a full shard.
        merged: Slots whose rows these are, and that count no more from now on.

    Returns:
        The row file, and the entry under its name.

    Raises:
        StoreError: if it cannot be written.
    """
    manifest = contents.manifest
    key = key_hash(manifest.identity, manifest.width)
    slot = contents.last_slot + 1
    while not folder.claim(slot):
        slot += 1
    # A row file that a killed writer left here must not describe the rows to come.
    folder.delete(row_file_name(slot))
    # The two files in any order: without an entry neither counts.
    with array.writing(slot, rows):
        checksums = row_checksums(digests, rows)
        file = RowFile(key, slot, manifest.width, manifest.rows_per_shard, digests, checksums)
        content = encode_row_file(file)
        folder.write(row_file_name(slot), content)
    shard = Shard(slot, len(rows), hashlib.sha256(content).hexdigest())
    entry = Entry((shard,), merged=tuple(merged))
    after = add_entry(folder, contents, f"{slot:09d}", entry)
    return file, {name: one for name, one in after.entries.items() if one is entry}


def put_in_quarantine(
    folder: Folder, contents: Contents, damaged: Sequence[tuple[Shard, str]]
) -> Contents:
    """Give shards up, for all who look from now on, and set their files aside.

    Returns:
        What the store holds now, what others have committed meanwhile included.
    """
    now = read_contents(folder, contents)
    gone = tuple(
        Quarantined(shard.slot, shard.rows, reason)
        for shard, reason in damaged
        if now.shards.get(shard.slot) == shard
    )
    if not gone:
        return now
    slots = ",".join(str(one.slot) for one in gone)
    name = hashlib.sha256(slots.encode()).hexdigest()[:_NAME_DIGITS]
    now = add_entry(folder, now, f"gone-{name}", Entry(quarantined=gone))
    for one in gone:
        aside = f"quarantine/{one.slot:09d}"
        folder.set_aside(row_file_name(one.slot), f"{aside}.rows")
        folder.set_aside(shard_key(one.slot), f"{aside}.shard")
    return now
