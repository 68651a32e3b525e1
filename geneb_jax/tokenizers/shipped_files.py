"""Published tokenizer files that ship with the package, found by what they hold.

Only files whose licence allows it are here (``configs/tokenizers/SOURCES.txt``). A model's TOML
pins the SHA-256 of its tokenizer file; where a file of that content ships, none is downloaded.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from geneb_jax.durable_files import write_bytes
from geneb_jax.places import cache_folder
from geneb_jax.resources import config_folder

__all__ = ["is_shipped", "shipped_file"]


def is_shipped(sha256: str) -> bool:
    """Whether a file of this content ships; nothing is unpacked."""
    return (config_folder() / "tokenizers" / f"{sha256[:16]}.json.gz").is_file()


def shipped_file(sha256: str) -> Path | None:
    """The file of this content, unpacked into the cache folder; None where none ships.

    Raises:
        OutputError: if the cache folder cannot be written.
    """
    packed = config_folder() / "tokenizers" / f"{sha256[:16]}.json.gz"
    if not packed.is_file():
        return None
    target = cache_folder() / "tokenizers" / f"{sha256}.json"
    if not _holds(target, sha256):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, gzip.decompress(packed.read_bytes()))
    return target


def _holds(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
