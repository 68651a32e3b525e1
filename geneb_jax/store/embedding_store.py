"""Embeddings on disk: found by key and sequence digest, committed shard by shard, checked on read.

A commit, in this order; a process that dies at any point leaves what the previous commit left:

1. take the writer's lock and read the manifest again;
2. write the rows as one new shard file of the array (tensorstore: temporary name, flush, rename,
   flush of the folder);
3. write the row file: whose rows they are, a checksum each (temporary name, flush, rename, flush of
   the folder);
4. replace the manifest, which now names the row file and its SHA-256 (the same way);
5. release the lock.

The lock is held for a commit, never for a computation. Who computes what is settled before it:

0. claim the rows of a shard (:mod:`geneb_jax.store.claims`) and read the manifest again; what
   others have committed or claimed is left out; the claim is released after step 5.

A shard that the manifest does not name does not exist for a reader. A shard that it names and that
fails a check is put in quarantine: its rows are missing again, and the caller embeds them anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from geneb_jax.errors import ModelError, StoreError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.store.array import DamagedShardError, ShardedArray, shard_key
from geneb_jax.store.claims import LEASE_SECONDS, Claims
from geneb_jax.store.digests import Digests, digest_rows, first_occurrences
from geneb_jax.store.folders import ChangedMeanwhileError, Folder, open_folder
from geneb_jax.store.keys import folder_name, key_hash
from geneb_jax.store.manifest import DamagedManifestError, Manifest, Quarantined, Shard
from geneb_jax.store.manifest_file import (
    load_manifest,
    load_or_rebuild,
    read_row_file,
    replace_manifest,
    row_file_name,
    shard_damage,
)
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import DamagedRowFileError, RowFile, encode_row_file
from geneb_jax.store.row_table import RowTable
from geneb_jax.store.tensorstore_context import refuse_after_fork

__all__ = ["EmbeddingStore", "QuarantinedRowsError"]

_LOG = logging.getLogger(__name__)
#: Rows of a shard unless the caller says otherwise: what a kill can cost at most.
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

    def __init__(self, folder: Folder, manifest: Manifest, *, read_only: bool) -> None:
        self._folder = folder
        self._read_only = read_only
        self._row_files: dict[str, RowFile] = {}
        self._use(manifest)

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
        if not read_only:
            folder.prepare()
        if read_only:
            try:
                manifest = load_manifest(folder) or fresh
            except DamagedManifestError as error:
                raise StoreError(
                    f"the manifest is damaged: {error}",
                    where=folder.place,
                    hint="open the store for writing once: it is rebuilt where its files agree",
                ) from error
        else:
            manifest = load_or_rebuild(folder, fresh)
        if key_hash(manifest.identity, manifest.width) != key_hash(identity, width):
            raise StoreError(
                "the store belongs to another model, revision, tokenizer or pooling",
                where=folder.place,
                hint="move it away, or choose another folder with --store",
            )
        return cls(folder, manifest, read_only=read_only)

    @property
    def place(self) -> str:
        """Where the store is: a path or a URL."""
        return self._folder.place

    @property
    def identity(self) -> EncoderIdentity:
        """The key."""
        return self._manifest.identity

    @property
    def width(self) -> int:
        """Columns of an embedding."""
        return self._manifest.width

    @property
    def rows_per_shard(self) -> int:
        """Rows of a full shard: what one commit holds."""
        return self._manifest.rows_per_shard

    @property
    def quarantined_rows(self) -> int:
        """Rows ever put in quarantine in this store."""
        return sum(shard.rows for shard in self._manifest.quarantined)

    def __len__(self) -> int:
        return len(self._table)

    def digests(self) -> np.ndarray:
        """Digests of the stored rows in their order, uint8 ``[len(self), 16]``."""
        return self._table.digests

    def _use(self, manifest: Manifest) -> None:
        """Take over a manifest: read the row files that are new, index all digests."""
        row_files: dict[str, RowFile] = {}
        damaged: list[tuple[Shard, str]] = []
        for shard in manifest.shards:
            known = self._row_files.get(shard.row_file_sha256)
            try:
                row_files[shard.row_file_sha256] = known or read_row_file(
                    self._folder, shard, manifest
                )
            except DamagedRowFileError as error:
                damaged.append((shard, f"{row_file_name(shard.slot)}: {error}"))
        self._manifest, self._row_files = manifest, row_files
        if damaged:
            self._quarantine(damaged)
            return
        self._array = ShardedArray(
            self._folder, rows_per_shard=manifest.rows_per_shard, width=manifest.width
        )
        self._table = RowTable(manifest.rows_per_shard)
        for shard in manifest.shards:
            self._table.append(row_files[shard.row_file_sha256])

    def refresh(self) -> None:
        """Read the manifest again, to see what other processes have committed since.

        Raises:
            StoreError: if the manifest is gone or of an unknown version.
        """
        refuse_after_fork()
        try:
            manifest = load_manifest(self._folder)
        except DamagedManifestError:
            manifest = None
        if manifest is None:
            if self._read_only and not len(self):
                return
            raise StoreError(
                "the manifest has disappeared or is damaged",
                where=self.place,
                hint="run the same command again: the store is rebuilt where its files agree",
            )
        if manifest != self._manifest:
            self._use(manifest)

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
        absent = np.flatnonzero(self._table.rows(wanted) < 0)
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
        added = 0
        with self._folder.writing():
            self.refresh()
            new = self.missing(wanted)
            while len(new):
                chosen = new[: self.rows_per_shard]
                try:
                    self._commit_shard(wanted[chosen], rows[chosen])
                    added += len(chosen)
                except ChangedMeanwhileError:
                    self.refresh()
                new = self.missing(wanted)
        return added

    def _commit_shard(self, digests: np.ndarray, rows: np.ndarray) -> None:
        """Steps 2 to 4 of the protocol, for at most one shard of rows."""
        slot = self._manifest.next_slot
        while not self._folder.claim(slot):
            slot += 1
        # A row file that a killed writer left here must not describe the rows to come.
        self._folder.delete(row_file_name(slot))
        self._array.write(slot, rows)
        file = RowFile(
            key=key_hash(self.identity, self.width),
            slot=slot,
            width=self.width,
            rows_per_shard=self.rows_per_shard,
            digests=digests,
            checksums=row_checksums(digests, rows),
        )
        content = encode_row_file(file)
        self._folder.write(row_file_name(slot), content)
        shard = Shard(slot, len(rows), hashlib.sha256(content).hexdigest())
        manifest = replace(self._manifest, shards=(*self._manifest.shards, shard))
        replace_manifest(self._folder, manifest)
        self._manifest = manifest
        self._row_files[shard.row_file_sha256] = file
        self._table.append(file)

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
            at = self._table.rows(wanted)
            if (at < 0).any():
                raise StoreError(
                    f"{int((at < 0).sum())} of {len(wanted)} embeddings are not stored",
                    where=self.place,
                    hint="embed them first",
                )
            places = self._table.places[at]
            try:
                rows = self._array.read(places, shard_count=self._shard_count())
                if np.array_equal(row_checksums(wanted, rows), self._table.checksums[at]):
                    return rows
                reason = "rows do not agree with their checksums"
            except DamagedShardError as error:
                reason = str(error)
            # Another process may have replaced what this one knew; the manifest tells.
            self.refresh()
            touched = set(np.unique(places // self.rows_per_shard).tolist())
            damaged = self._check([s for s in self._manifest.shards if s.slot in touched])
            if damaged:
                self._quarantine(damaged)
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
        damaged = self._check(self._manifest.shards)
        if damaged:
            self._quarantine(damaged)
        return [f"shard {shard.slot}, {shard.rows} rows: {reason}" for shard, reason in damaged]

    def _shard_count(self) -> int:
        return max((shard.slot for shard in self._manifest.shards), default=-1) + 1

    def _check(self, shards: Sequence[Shard]) -> list[tuple[Shard, str]]:
        """The shards whose rows cannot be read or do not agree with their checksums, and why."""
        if not self._read_only:
            self._array.ensure_room(self._shard_count())
        damaged = []
        for shard in shards:
            file = self._row_files[shard.row_file_sha256]
            reason = shard_damage(self._array, file, shard_count=self._shard_count())
            if reason:
                damaged.append((shard, reason))
        return damaged

    def _quarantine(self, damaged: Sequence[tuple[Shard, str]]) -> None:
        """Drop shards from the manifest and set their files aside."""
        for shard, reason in damaged:
            _LOG.warning(
                "%s: shard %d (%d rows) is damaged: %s", self.place, shard.slot, shard.rows, reason
            )
        if self._read_only:
            raise StoreError(
                f"{sum(shard.rows for shard, _ in damaged)} stored rows are damaged",
                where=self.place,
                cause=damaged[0][1],
                hint="open the store for writing: they are put in quarantine and embedded anew",
            )
        with self._folder.writing():
            current = load_manifest(self._folder) or self._manifest
            bad = {shard.row_file_sha256: reason for shard, reason in damaged}
            gone = [shard for shard in current.shards if shard.row_file_sha256 in bad]
            manifest = replace(
                current,
                shards=tuple(s for s in current.shards if s.row_file_sha256 not in bad),
                quarantined=(
                    *current.quarantined,
                    *(Quarantined(s.slot, s.rows, bad[s.row_file_sha256]) for s in gone),
                ),
            )
            replace_manifest(self._folder, manifest)
            for shard in gone:
                aside = f"quarantine/{shard.slot:06d}"
                self._folder.set_aside(row_file_name(shard.slot), f"{aside}.rows")
                self._folder.set_aside(shard_key(shard.slot), f"{aside}.shard")
        self._use(manifest)

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
