"""SHA-256 of weight files, remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from geneb_jax.durable_files import write_text
from geneb_jax.errors import CheckpointError, OutputError
from geneb_jax.models.spec import PinnedFile
from geneb_jax.places import cache_folder

__all__ = ["check_pinned", "combined_sha256", "file_sha256"]

_REMEMBERED_FROM_BYTES = 1 << 22  # hashing less takes no time worth a cache


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content.

    Large files are hashed once: the digest is kept in the cache folder under path, size and time of
    last change.
    """
    stat = path.stat()
    if stat.st_size < _REMEMBERED_FROM_BYTES:
        return _hash(path)
    memory = cache_folder() / "file-digests.json"
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known = _read(memory).get(key)
    if known is not None:
        return known
    digest = _hash(path)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{memory}.lock"):
            write_text(memory, json.dumps(_read(memory) | {key: digest}, indent=0, sort_keys=True))
    except (OSError, OutputError):
        pass  # a cache that cannot be written only costs time
    return digest


def combined_sha256(digests: Sequence[str]) -> str:
    """One SHA-256 for several files' SHA-256, in order; a single file's own for one."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest()


def check_pinned(path: Path, pinned: PinnedFile) -> str:
    """SHA-256 of a downloaded file, which must be the pinned one.

    Raises:
        CheckpointError: if the content differs.
    """
    size = path.stat().st_size
    digest = file_sha256(path) if size == pinned.size_bytes else ""
    if digest != pinned.sha256:
        raise CheckpointError(
            f"is not the published file: {size} bytes, SHA-256 {digest[:12] or 'not computed'}; "
            f"expected {pinned.size_bytes} bytes, {pinned.sha256[:12]}",
            where=path,
            cause="the download is damaged, or the file was changed",
            hint="delete it and download it again",
        )
    return digest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(memory: Path) -> dict[str, str]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
