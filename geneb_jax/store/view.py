"""What one process knows of a store, kept up with what others commit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.contents import Contents, read_contents
from geneb_jax.store.entries import Entry, Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.index_runs import DamagedIndexError
from geneb_jax.store.indexing import damaged_indexes, index_rows, summarise
from geneb_jax.store.manifest import DamagedManifestError
from geneb_jax.store.manifest_file import load_manifest
from geneb_jax.store.row_files import DamagedRowFileError, RowFile
from geneb_jax.store.shard_files import read_row_file
from geneb_jax.store.shard_writing import put_in_quarantine

__all__ = ["StoreView"]

_LOG = logging.getLogger(__name__)
#: Entries, and rows that no index lists, after which one entry takes the place of all.
_MOST_ENTRIES, _MOST_FRESH_ROWS = 256, 1 << 18
#: Digests looked up at once: what a look-up needs besides stays small.
_FOUND_AT_A_TIME = 1 << 16

#: Shards that cannot be used, and why.
Damage = Sequence[tuple[Shard, str]]


class StoreView:
    """The contents of a store and where its rows are; several threads may share it.

    Args:
        folder: The store's folder.
        contents: What it holds.
        read_only: Nothing may be mended.
    """

    def __init__(self, folder: Folder, contents: Contents, *, read_only: bool) -> None:
        self._folder = folder
        self._read_only = read_only
        self._unusable: frozenset[str] = frozenset()
        # Guards what this object knows. The writer's lock is taken before it, never after: damage
        # that is found while it is held is dealt with when it is not.
        self._knowing = threading.RLock()
        self.contents = contents
        with self._knowing:
            damaged = self._index()
        self.quarantine(damaged)

    def __len__(self) -> int:
        return len(self._rows.table)

    def _index(self) -> Damage:
        """Open the indexes, read the row files beyond them."""
        self._rows = index_rows(self._folder, self.contents, self._unusable)
        self._unusable = self._rows.unusable
        return self._rows.damaged

    def refresh(self) -> None:
        """Read what other processes have committed since; costs what is new.

        Raises:
            StoreError: if the manifest is gone or of an unknown version.
        """
        with self._knowing:
            damaged = self._take(self._current())
        self.quarantine(damaged)

    def _current(self) -> Contents:
        try:
            manifest = load_manifest(self._folder)
            if self._read_only and not self.contents.entries:
                # It was not there when it was opened; whoever made it chose the room of a shard.
                if manifest is None:
                    return self.contents
                return read_contents(self._folder, Contents(manifest))
            if manifest == self.contents.manifest:
                return read_contents(self._folder, self.contents)
        except DamagedManifestError as error:
            cause: str | None = str(error)
        else:
            cause = "another process has deleted the store, or made it anew"
        raise StoreError(
            "the manifest has disappeared or is damaged",
            where=self._folder.place,
            cause=cause,
            hint="run the same command again: the store is mended where its files agree",
        )

    def _take(self, contents: Contents) -> Damage:
        """Take over newer contents; what is known stays where shards were added only."""
        before, self.contents = self.contents, contents
        if contents is before:
            return ()
        gone = before.shards.keys() - contents.shards.keys()
        if gone or before.manifest != contents.manifest:
            return self._index()
        files, damaged = [], []
        for slot in sorted(contents.shards.keys() - before.shards.keys()):
            shard = contents.shards[slot]
            try:
                files.append(read_row_file(self._folder, shard, contents.manifest))
            except DamagedRowFileError as error:
                damaged.append((shard, str(error)))
        return [*damaged, *self._extend(files)]

    def _extend(self, files: Sequence[RowFile], *, new: bool = False) -> Damage:
        try:
            self._rows.table.extend(files, new=new)
        except DamagedIndexError:
            return self._without_damaged_indexes()
        return ()

    def add(self, file: RowFile, entry: Mapping[str, Entry]) -> None:
        """Take over a shard that this process has committed."""
        with self._knowing:
            self.contents = self.contents.with_entries({**self.contents.entries, **entry})
            damaged = self._extend([file], new=True)
        self.quarantine(damaged)

    def find(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place and checksum of each row; see :meth:`RowTable.find`.

        Indexes that turn out to be damaged are not used any more, and are replaced where allowed.
        """
        if len(digests) <= _FOUND_AT_A_TIME:
            return self._find(digests)
        places, checksums = np.empty(len(digests), np.int64), np.empty(len(digests), np.uint64)
        for first in range(0, len(digests), _FOUND_AT_A_TIME):
            some = slice(first, first + _FOUND_AT_A_TIME)
            places[some], checksums[some] = self._find(digests[some])
        return places, checksums

    def _find(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._knowing:
            try:
                return self._rows.table.find(digests)
            except DamagedIndexError:
                damaged = self._without_damaged_indexes()
        self.quarantine(damaged)
        if not self._read_only:
            self.summarise()
        with self._knowing:
            return self._rows.table.find(digests)

    def _without_damaged_indexes(self) -> Damage:
        bad = damaged_indexes(self._rows.indexes)
        _LOG.warning(
            "%s: %s damaged; rows are looked up in the row files",
            self._folder.place,
            ", ".join(sorted(bad)),
        )
        self._unusable |= bad
        return self._index()

    def summarise(self) -> None:
        """Let one entry and few indexes take the place of all entries; see ``indexing``."""
        with self._folder.writing():
            self.refresh()
            with self._knowing:
                self.contents = summarise(self._folder, self.contents, self._rows)
                damaged = self._index()
            self.quarantine(damaged)

    def summarise_if_due(self) -> None:
        """The same, if there are many entries, or many rows that no index lists."""
        many = len(self.contents.entries) >= _MOST_ENTRIES
        if many or self._rows.table.fresh_rows >= _MOST_FRESH_ROWS:
            self.summarise()

    def quarantine(self, damaged: Iterable[tuple[Shard, str]]) -> None:
        """Give shards up and set their files aside; nothing for none.

        Raises:
            StoreError: if the store is read-only.
        """
        damaged = list(damaged)
        for shard, reason in damaged:
            _LOG.warning(
                "%s: shard %d (%d rows) is damaged: %s",
                self._folder.place,
                shard.slot,
                shard.rows,
                reason,
            )
        if not damaged:
            return
        if self._read_only:
            raise StoreError(
                f"{sum(shard.rows for shard, _ in damaged)} stored rows are damaged",
                where=self._folder.place,
                cause=damaged[0][1],
                hint="open the store for writing: they are put in quarantine and embedded anew",
            )
        with self._folder.writing():
            now = put_in_quarantine(self._folder, self.contents, damaged)
            with self._knowing:
                self.contents = now
                more = self._index()
            self.quarantine(more)
