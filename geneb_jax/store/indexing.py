"""The rows of a store, found through its indexes where these are whole and its row files else."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from geneb_jax.store.contents import Contents, add_entry
from geneb_jax.store.entries import Entry, IndexFile, Shard, encode_entry
from geneb_jax.store.folder import Folder
from geneb_jax.store.index_runs import DamagedIndexError, IndexRun, merged_run
from geneb_jax.store.keys import key_hash
from geneb_jax.store.row_files import DamagedRowFileError
from geneb_jax.store.row_table import RowTable
from geneb_jax.store.shard_files import read_row_file

__all__ = ["IndexedRows", "damaged_indexes", "index_rows", "summarise"]

_LOG = logging.getLogger(__name__)
#: Rows of an index at most: larger ones are not merged, which bounds memory and rewriting.
_MOST_ROWS = 1 << 22
_NAME_DIGITS, _ENTRY_DIGITS = 32, 16


@dataclass(frozen=True, slots=True)
class IndexedRows:
    """The rows of a store and how they were found.

    Attributes:
        table: Where they are.
        indexes: The indexes that it rests on, largest first.
        damaged: Shards whose row files cannot be used, and why.
        unusable: Indexes that are damaged.
    """

    table: RowTable
    indexes: tuple[tuple[IndexFile, IndexRun], ...]
    damaged: tuple[tuple[Shard, str], ...]
    unusable: frozenset[str]


def index_rows(folder: Folder, contents: Contents, unusable: Collection[str] = ()) -> IndexedRows:
    """Open the indexes of a store, and read the row files of the shards that are in none.

    Args:
        folder: The store's folder.
        contents: What it holds.
        unusable: Indexes that are known to be damaged.
    """
    key = key_hash(contents.manifest.identity, contents.manifest.width)
    rows_per_shard = contents.manifest.rows_per_shard
    opened: list[tuple[IndexFile, IndexRun]] = []
    covered: set[int] = set()
    bad = set(unusable)
    # Writers that did not know of each other may have indexed the same shards.
    for index in sorted(contents.indexes.values(), key=lambda one: (-one.rows, one.name)):
        slots = set(index.slots)
        if index.name in bad or slots & covered or not all(map(contents.knows, slots)):
            continue
        try:
            run = _open_run(folder, index, key)
            gone = slots - contents.shards.keys()
            if gone:
                without = np.array(sorted(gone), np.int64)
                run = merged_run([run], without=without, rows_per_shard=rows_per_shard)
        except DamagedIndexError as error:
            _LOG.warning("%s/%s: %s; its rows are looked up in the row files", folder.place,
                         index.name, error)  # fmt: skip
            bad.add(index.name)
            continue
        opened.append((index, run))
        covered |= slots
    files, damaged = [], []
    for shard in contents.shards.values():
        if shard.slot in covered:
            continue
        try:
            files.append(read_row_file(folder, shard, contents.manifest))
        except DamagedRowFileError as error:
            damaged.append((shard, str(error)))
    table = RowTable(rows_per_shard, [run for _, run in opened])
    try:
        table.extend(files)
    except DamagedIndexError:
        return index_rows(folder, contents, bad | damaged_indexes(opened))
    return IndexedRows(table, tuple(opened), tuple(damaged), frozenset(bad))


def damaged_indexes(opened: Collection[tuple[IndexFile, IndexRun]]) -> set[str]:
    """Names of the indexes with bytes that are not what was written."""
    bad = set()
    for index, run in opened:
        try:
            run.verify()
        except DamagedIndexError:
            bad.add(index.name)
    return bad


def _open_run(folder: Folder, index: IndexFile, key: str) -> IndexRun:
    content = folder.open_bytes(index.name)
    if content is None:
        raise DamagedIndexError("it is missing")
    run = IndexRun.decode(content, key)
    if len(run) != index.rows:
        raise DamagedIndexError("it is another index than the manifest says")
    return run


def summarise(folder: Folder, contents: Contents, rows: IndexedRows) -> Contents:
    """Let one entry and few indexes take the place of all entries.

    Whoever is interrupted in it leaves files that say the same thing twice, or that nobody names.

    Args:
        folder: The store's folder, held for writing where that means something.
        contents: What it holds, as of now.
        rows: Its rows.

    Returns:
        The same contents, in one entry.
    """
    key = key_hash(contents.manifest.identity, contents.manifest.width)
    live = contents.shards.keys()
    kept = list(rows.indexes)
    run = rows.table.fresh_run()
    slots = set(live).difference(*(index.slots for index, _ in kept))
    absorbed = [pair for pair in kept if not live >= set(pair[0].slots)]
    kept = [pair for pair in kept if pair not in absorbed]
    count = sum(len(one) for _, one in absorbed) + (len(run) if run else 0)
    while kept and len(kept[-1][1]) <= count and count + len(kept[-1][1]) <= _MOST_ROWS:
        absorbed.append(kept.pop())
        count += len(absorbed[-1][1])
    indexes = [index for index, _ in kept]
    if slots or absorbed:
        runs = [*(one for _, one in reversed(absorbed)), *([run] if run else [])]
        slots |= {slot for index, _ in absorbed for slot in index.slots if slot in live}
        whole = merged_run(runs) if runs else IndexRun(np.zeros((4, 0), np.uint64))
        content = whole.encode(key)
        name = f"index/{hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]}"
        folder.write(name, content)
        indexes.append(IndexFile(name, len(whole), tuple(sorted(slots))))
    entry = Entry(
        tuple(contents.shards[slot] for slot in sorted(live)),
        tuple(contents.quarantined[slot] for slot in sorted(contents.quarantined)),
        tuple(sorted(contents.merged)),
        tuple(indexes),
    )
    name = f"all-{hashlib.sha256(encode_entry(entry, key)).hexdigest()[:_ENTRY_DIGITS]}"
    after = add_entry(folder, contents, name, entry)
    older = [path for path in contents.entries if not path.endswith(name)]
    for path in older:
        folder.delete(path)
    named = {index.name for index in indexes}
    for path in contents.indexes.keys() - named:
        folder.delete(path)
    return after.with_entries(
        {path: one for path, one in after.entries.items() if path not in older}
    )
