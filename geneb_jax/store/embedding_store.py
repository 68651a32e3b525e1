"""Embeddings on disk: found by key and sequence digest, committed shard by shard, checked on read.

A commit, in this order; a process that dies at any point leaves what the previous commit left:

1. take the writer's lock, if the place has one, and read what others have committed;
2. take a slot; write the rows as one new shard file of the array (tensorstore: temporary name,
   flush, rename, flush of the folder);
3. at the same time, write the row file: whose rows they are, a checksum each (temporary name,
   flush, rename, flush of the folder);
4. once both are there, write an entry of the manifest, which names the row file and its SHA-256
   (the same way): a few hundred bytes, however many shards there are;
5. now and then, let one entry and an index take the place of many entries (``indexing.summarise``);
6. release the lock.

The lock is held for a commit, never for a computation. Who computes what is settled before it:

0. claim the rows of a shard (:mod:`geneb_jax.store.claims`) and read the entries that are new; what
   others have committed or claimed is left out; the claim is released after step 6.

A shard that no entry names does not exist for a reader. A shard that one names and that fails a
check is put in quarantine: its rows are missing again, and the caller embeds them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from geneb_jax.errors import ModelError, StoreError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.store.adoption import load_or_repair
from geneb_jax.store.array import DamagedShardError, ShardedArray
from geneb_jax.store.claims import LEASE_SECONDS, Claims
from geneb_jax.store.compaction import Compacted, compact
from geneb_jax.store.contents import Contents
from geneb_jax.store.digests import DIGEST_BYTES, Digests, digest_rows, first_occurrences
from geneb_jax.store.entries import Shard
from geneb_jax.store.folder import Folder
from geneb_jax.store.folders import open_folder
from geneb_jax.store.keys import folder_name, key_hash
from geneb_jax.store.manifest import DamagedManifestError, Manifest
from geneb_jax.store.manifest_file import load_contents
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import DamagedRowFileError, RowFile
from geneb_jax.store.shard_files import read_row_file, shard_damage
from geneb_jax.store.shard_writing import write_shard
from geneb_jax.store.tensorstore_context import refuse_after_fork
from geneb_jax.store.view import StoreView

__all__ = ["EmbeddingStore", "QuarantinedRowsError"]

#: Rows of a shard unless the caller says otherwise.
DEFAULT_ROWS_PER_SHARD = 2048


class QuarantinedRowsError(StoreError):
    """Rows that were asked for failed their checks; they are missing now and can be embedded again.

    Attributes:
        row_count: How many rows of the store were put in quarantine.
    """

    def __init__(self, row_count: int, *, where: str, cause: str) -> None:
        self.row_count = row_count
        super().__init__(
            f"{row_count} stored rows are damaged and were put in quarantine",
            where=where,
            cause=cause,
            hint="run the same command again: they are embedded anew",
        )


class EmbeddingStore:
    """The embeddings of one key. Open it with :meth:`open`."""

    def __init__(self, folder: Folder, contents: Contents, *, read_only: bool) -> None:
        self._folder = folder
        self._read_only = read_only
        self._opened: ShardedArray | None = None
        self._view = StoreView(folder, contents, read_only=read_only)

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        identity: EncoderIdentity,
        width: int,
        *,
        read_only: bool = False,
        rows_per_shard: int | None = None,
    ) -> EmbeddingStore:
        """Open the store of ``identity`` below ``root``, and create it where there is none.

        Args:
            root: A local folder, or a URL of a tensorstore key-value store (``gs://``, ``s3://``).
            identity: The encoder's key.
            width: Columns of an embedding.
            read_only: Never write; a store that does not exist is empty.
            rows_per_shard: Rows of a shard of a new store; an existing one keeps its own.

        Raises:
            StoreError: if it is damaged beyond its own repair, of an unknown version, or the
                process was forked from one that used a store.
            OutputError: if the folder cannot be written.
        """
        refuse_after_fork()
        folder = open_folder(root, folder_name(identity, width))
        fresh = Manifest(identity, width, rows_per_shard or DEFAULT_ROWS_PER_SHARD)
        if read_only:
            try:
                contents = load_contents(folder) or Contents(fresh)
            except DamagedManifestError as error:
                raise StoreError(
                    f"the manifest is damaged: {error}",
                    where=folder.place,
                    hint="open the store for writing once: it is mended where its files agree",
                ) from error
        else:
            folder.prepare()
            contents = load_or_repair(folder, fresh)
        found = contents.manifest
        if key_hash(found.identity, found.width) != key_hash(identity, width):
            raise StoreError(
                "the store belongs to another model, revision, tokenizer or pooling",
                where=folder.place,
                hint="move it away, or choose another folder with --store",
            )
        return cls(folder, contents, read_only=read_only)

    @property
    def _array(self) -> ShardedArray:
        """The array; opened anew only where a reader was there before the store was."""
        if self._opened is None or self._opened.rows_per_shard != self.rows_per_shard:
            self._opened = ShardedArray(
                self._folder, rows_per_shard=self.rows_per_shard, width=self.width
            )
        return self._opened

    @property
    def place(self) -> str:
        """Where the store is: a path or a URL."""
        return self._folder.place

    @property
    def identity(self) -> EncoderIdentity:
        """The key."""
        return self._view.contents.manifest.identity

    @property
    def width(self) -> int:
        """Columns of an embedding."""
        return self._view.contents.manifest.width

    @property
    def rows_per_shard(self) -> int:
        """Rows of a full shard: what one commit holds at most."""
        return self._view.contents.manifest.rows_per_shard

    @property
    def quarantined_rows(self) -> int:
        """Rows ever put in quarantine in this store."""
        return sum(shard.rows for shard in self._view.contents.quarantined.values())

    def __len__(self) -> int:
        return len(self._view)

    def digests(self) -> np.ndarray:
        """Digests of the stored rows in their order, uint8 ``[len(self), 16]``; reads files."""
        parts = []
        for shard in self._view.contents.shards.values():
            try:
                parts.append(self._row_file(shard).digests)
            except DamagedRowFileError as error:
                self._view.quarantine([(shard, str(error))])
                raise QuarantinedRowsError(
                    shard.rows, where=self.place, cause=str(error)
                ) from error
        if not parts:
            return np.zeros((0, DIGEST_BYTES), np.uint8)
        every = np.concatenate(parts)
        return every[first_occurrences(every)]

    def _row_file(self, shard: Shard) -> RowFile:
        return read_row_file(self._folder, shard, self._view.contents.manifest)

    def refresh(self) -> None:
        """Read what other processes have committed since; costs what is new.

        Raises:
            StoreError: if the manifest is gone or of an unknown version.
        """
        refuse_after_fork()
        self._view.refresh()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer for a while; another process waits and then finds everything there."""
        refuse_after_fork()
        self._require_writable()
        with self._folder.writing():
            self.refresh()
            yield

    def claims(self, *, lease_seconds: float = LEASE_SECONDS) -> Claims:
        """A way to divide the missing rows among processes; see :class:`Claims`."""
        refuse_after_fork()
        self._require_writable()
        return Claims(self._folder, lease_seconds=lease_seconds)

    def missing(self, digests: Digests) -> np.ndarray:
        """Positions in ``digests`` of what is not stored, each digest once; int64, ascending."""
        wanted = digest_rows(digests)
        absent = np.flatnonzero(self._view.find(wanted)[0] < 0)
        return absent[first_occurrences(wanted[absent])]

    def commit(self, digests: Digests, rows: np.ndarray) -> int:
        """Store rows. Digests that are stored already are left as they are.

        Args:
            digests: ``n`` digests.
            rows: float32 ``[n, width]``, finite. More than ``rows_per_shard`` rows are several
                commits.

        Returns:
            The number of rows that were new.

        Raises:
            ModelError: if any number is not finite; nothing is stored then.
            StoreError: if the disk is full or the store cannot be written.
        """
        refuse_after_fork()
        self._require_writable()
        wanted = digest_rows(digests)
        if rows.dtype != np.float32 or rows.shape != (len(wanted), self.width):
            raise ValueError(
                f"rows must be float32 [{len(wanted)}, {self.width}], got {rows.dtype} {rows.shape}"
            )
        _require_finite(wanted, rows, self.identity.model_id)
        with self._folder.writing():
            self.refresh()
            new = self.missing(wanted)
            if len(new) < len(wanted):  # nearly always all are new, and none is copied
                wanted, rows = wanted[new], rows[new]
            for first in range(0, len(new), self.rows_per_shard):
                last = first + self.rows_per_shard
                self._commit_shard(wanted[first:last], rows[first:last])
            added = len(new)
            self._view.summarise_if_due()
        return added

    def _commit_shard(self, digests: np.ndarray, rows: np.ndarray) -> None:
        """Steps 2 to 4 of the protocol, for at most one shard of rows."""
        self._view.add(*write_shard(self._folder, self._array, self._view.contents, digests, rows))

    def compact(self) -> Compacted:
        """Merge small shards, summarise entries; see :mod:`geneb_jax.store.compaction`."""
        refuse_after_fork()
        self._require_writable()
        return compact(self._folder, self._array, self._view)

    def summarise(self) -> None:
        """Let one entry and few indexes take the place of all entries: it opens faster then."""
        refuse_after_fork()
        self._require_writable()
        self._view.summarise()

    def read(self, digests: Digests) -> np.ndarray:
        """Rows of the given digests, in their order: float32 ``[n, width]``, every row checked.

        Raises:
            QuarantinedRowsError: if stored rows fail their checks. They are in quarantine then
                (unless the store is read-only), and :meth:`missing` lists them.
            StoreError: if some digests are not stored, or the files cannot be read.
        """
        refuse_after_fork()
        wanted = digest_rows(digests)
        if not len(wanted):
            return np.zeros((0, self.width), np.float32)
        reason = ""
        for _ in range(2):
            places, checksums = self._view.find(wanted)
            if (places < 0).any():
                raise StoreError(
                    f"{int((places < 0).sum())} of {len(wanted)} embeddings are not stored",
                    where=self.place,
                    hint="embed them first",
                )
            try:
                rows = self._array.read(places)
                if np.array_equal(row_checksums(wanted, rows), checksums):
                    return rows
                reason = "rows do not agree with their checksums"
            except DamagedShardError as error:
                reason = str(error)
            # Another process may have replaced what this one knew; the entries tell.
            self.refresh()
            touched = np.unique(places // self.rows_per_shard).tolist()
            shards = self._view.contents.shards
            damaged = self._check([shards[slot] for slot in touched if slot in shards])
            if damaged:
                self._view.quarantine(damaged)
                raise QuarantinedRowsError(
                    sum(shard.rows for shard, _ in damaged), where=self.place, cause=damaged[0][1]
                )
        raise StoreError("the rows cannot be read", where=self.place, cause=reason)

    def verify(self) -> list[str]:
        """Read and check every row; damaged shards go into quarantine unless read-only.

        Returns:
            One line for each damaged shard.
        """
        self.refresh()
        damaged = self._check(list(self._view.contents.shards.values()))
        if damaged:
            self._view.quarantine(damaged)
        return [f"shard {shard.slot}, {shard.rows} rows: {reason}" for shard, reason in damaged]

    def _check(self, shards: Sequence[Shard]) -> list[tuple[Shard, str]]:
        """The shards whose rows cannot be read or do not agree with their checksums, and why."""
        if not self._read_only:
            self._array.ensure()
        damaged = []
        for shard in shards:
            try:
                file = read_row_file(self._folder, shard, self._view.contents.manifest)
                reason = shard_damage(self._array, file)
            except DamagedRowFileError as error:
                reason = str(error)
            if reason:
                damaged.append((shard, reason))
        return damaged

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreError("the store was opened read-only", where=self.place)


def _require_finite(digests: np.ndarray, rows: np.ndarray, model_id: str) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        first = ", ".join(digests[row].tobytes().hex() for row in bad[:3])
        raise ModelError(
            f"{len(bad)} of {len(rows)} embeddings hold NaN or infinity; none of them was stored",
            where=model_id,
            cause=f"first sequence digests: {first}",
        )
