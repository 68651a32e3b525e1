"""The two kinds of place a store can be in: a local folder, or a prefix of a bucket."""

from __future__ import annotations

import os
from pathlib import Path

from geneb_jax.store.folder import ChangedMeanwhileError, Folder, full_or_unwritable
from geneb_jax.store.local_folder import LocalFolder
from geneb_jax.store.remote_folder import RemoteFolder

__all__ = [
    "ChangedMeanwhileError",
    "Folder",
    "LocalFolder",
    "RemoteFolder",
    "full_or_unwritable",
    "open_folder",
]


def open_folder(root: str | os.PathLike[str], name: str) -> Folder:
    """The folder of a key below ``root``, which is a path or a URL."""
    text = os.fspath(root)
    if "://" in text:
        return RemoteFolder(f"{text.rstrip('/')}/{name}")
    return LocalFolder(Path(text).expanduser() / name)
