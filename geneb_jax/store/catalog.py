"""All stores below one root: what they hold, and what in them may be thrown away."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.errors import StoreError
from geneb_jax.store.array import shard_key
from geneb_jax.store.claims import living_claims
from geneb_jax.store.contents import Contents
from geneb_jax.store.folders import Folder, LocalFolder, RemoteFolder, open_folder
from geneb_jax.store.keys import folder_name
from geneb_jax.store.manifest import DamagedManifestError
from geneb_jax.store.manifest_file import MANIFEST, load_contents
from geneb_jax.store.shard_files import row_file_name

__all__ = ["StoreEntry", "delete_store", "list_stores", "prune_remnants"]

_STORE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One store of a root.

    Attributes:
        name: Folder name below the root.
        contents: What it holds; None where that cannot be read.
        problem: Why it cannot be read, empty where it can.
        size_bytes: Bytes of all its files, None in a bucket.
    """

    name: str
    contents: Contents | None
    problem: str
    size_bytes: int | None


def list_stores(root: str | os.PathLike[str]) -> list[StoreEntry]:
    """Every store below ``root``, by name; a root that does not exist has none."""
    entries = []
    for name in _store_names(root):
        folder = open_folder(root, name)
        contents, problem = None, ""
        try:
            contents = load_contents(folder)
            if contents is None:
                problem = "there is no manifest"
            elif folder_name(contents.manifest.identity, contents.manifest.width) != name:
                contents, problem = None, "the manifest belongs to another store"
        except DamagedManifestError as error:
            problem = f"the manifest is damaged: {error}"
        except StoreError as error:
            problem = error.what
        entries.append(StoreEntry(name, contents, problem, folder.size_bytes()))
    return entries


def _store_names(root: str | os.PathLike[str]) -> list[str]:
    text = os.fspath(root)
    if "://" in text:
        names = {key.split("/", 1)[0] for key in RemoteFolder(text).all_names() if "/" in key}
    else:
        path = Path(text).expanduser()
        names = (
            {entry.name for entry in path.iterdir() if entry.is_dir()} if path.is_dir() else set()
        )
    return sorted(name for name in names if _STORE_NAME.fullmatch(name))


def prune_remnants(
    root: str | os.PathLike[str], entry: StoreEntry, *, dry_run: bool = False
) -> list[str]:
    """Delete the files of a whole store that its manifest does not name.

    Those are shards in quarantine, and what killed writers left behind; the claims of processes
    that may be alive stay.

    Returns:
        Names of the files, below the store's folder.
    """
    if entry.contents is None:
        return []
    folder = open_folder(root, entry.name)
    with folder.writing(), folder.claiming():
        names = set(folder.all_names())
        contents = load_contents(folder)
        if contents is None:
            return []
        living = living_claims(folder)
        kept = _named(contents) | living
        # A bucket has no lock. A slot's mark keeps it from being written twice, also when its
        # writer died; and what nobody names yet may be a commit under way.
        unsafe: tuple[str, ...] = ("claims/slots/",)
        if living and folder.lists_at_once:
            unsafe += ("rows/", "array/")
        remnants = sorted(name for name in names - kept if not name.startswith(unsafe))
        if not dry_run:
            for name in remnants:
                folder.delete(name)
    return remnants


def _named(contents: Contents) -> set[str]:
    """Every file that belongs to a store."""
    names = {MANIFEST, LocalFolder.LOCK_NAME, LocalFolder.CLAIMS_LOCK_NAME, "array/zarr.json"}
    for slot in contents.shards:
        names |= {row_file_name(slot), shard_key(slot)}
    return names | set(contents.entries) | set(contents.indexes)


def delete_store(root: str | os.PathLike[str], entry: StoreEntry) -> None:
    """Delete a whole store, its manifest first: what is left of a killed deletion is no store."""
    folder: Folder = open_folder(root, entry.name)
    with folder.writing():
        folder.delete(MANIFEST)
        for name in folder.all_names():
            if name not in (LocalFolder.LOCK_NAME, LocalFolder.CLAIMS_LOCK_NAME):
                folder.delete(name)
    folder.remove()
