"""Small JSON files that carry the checksum of what they hold: believed whole, or not at all.

What a run decides by later (which suite a folder belongs to, what a task's files were, who a model
is) is kept in such files, beside the records of finished units. Tables and run.json are made from
them, whatever stands in an earlier one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.plain_files import read_plain
from geneb_jax.strict_json import read_json

__all__ = ["read_sealed", "seal_of", "write_sealed"]

_LARGEST_BYTES = 64 * 2**20
_DEEPEST = 16
_PARTS = {"kind", "sha256", "content"}


def seal_of(content: object) -> str:
    """SHA-256 (hex) over plain data: canonical JSON with sorted names and shortest exact floats."""
    text = json.dumps(
        content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_sealed(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write plain data under a kind, atomically, unless the very same stands there.

    Args:
        path: The file.
        kind: What it holds and in which version of its form, such as ``suite 1``.
        content: JSON objects, arrays, texts, finite numbers, booleans, None.

    Raises:
        ValueError: if a number is not finite.
        OutputError: if the file cannot be written; an earlier one is intact.
    """
    record = {"kind": kind, "sha256": seal_of([kind, content]), "content": content}
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    try:
        if read_plain(path, largest_bytes=_LARGEST_BYTES) == text.encode("utf-8"):
            return
    except (OSError, ValueError):
        pass
    durable_files.write_text(path, text)


def read_sealed(path: Path, kind: str) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote.

    Raises:
        FileNotFoundError: if there is no file.
        OSError: if it cannot be read.
        ValueError: with the reason, if it is not such a file, of another kind, or was changed.
    """
    record = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
    if not isinstance(record, dict) or set(record) != _PARTS:
        raise ValueError("not a sealed record")
    if record["kind"] != kind:
        raise ValueError(f"it holds {str(record['kind'])[:40]!r}, this release reads {kind!r}")
    content = record["content"]
    if not isinstance(content, dict) or record["sha256"] != seal_of([kind, content]):
        raise ValueError("it does not match its checksum: edited by hand or damaged")
    return content
