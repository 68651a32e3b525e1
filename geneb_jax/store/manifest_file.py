"""Reading and writing a store's manifest: what it is, and what it holds."""

from __future__ import annotations

from geneb_jax.errors import StoreError
from geneb_jax.store.contents import Contents, read_contents
from geneb_jax.store.folder import Folder
from geneb_jax.store.manifest import (
    FORMAT_VERSION,
    Manifest,
    UnknownManifestVersionError,
    decode_manifest,
    encode_manifest,
)

__all__ = ["MANIFEST", "load_contents", "load_manifest", "write_manifest"]

MANIFEST = "manifest.json"


def load_manifest(folder: Folder) -> Manifest | None:
    """The manifest, ``None`` where there is none.

    Raises:
        StoreError: if another version of this project wrote it.
        DamagedManifestError: if it is cut or changed.
    """
    content = folder.read(MANIFEST)
    if content is None:
        return None
    try:
        return decode_manifest(content)
    except UnknownManifestVersionError as error:
        raise StoreError(
            f"the store has {error}, this geneb-jax knows version {FORMAT_VERSION}",
            where=f"{folder.place}/{MANIFEST}",
            hint="use the geneb-jax that wrote it, or another folder with --store; or delete it "
            "with 'geneb-jax store prune --damaged', and its rows are embedded anew",
        ) from error


def load_contents(folder: Folder) -> Contents | None:
    """What a store holds, ``None`` where there is no manifest.

    Raises:
        StoreError: if another version of this project wrote it.
        DamagedManifestError: if the manifest or an entry of it is cut or changed.
    """
    manifest = load_manifest(folder)
    return None if manifest is None else read_contents(folder, Contents(manifest))


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest durably; it is the same for whoever writes it."""
    folder.write(MANIFEST, encode_manifest(manifest))
