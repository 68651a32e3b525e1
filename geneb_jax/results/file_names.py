"""File names out of names that people chose: never outside the folder, never two for one."""

from __future__ import annotations

import hashlib
import re

from geneb_jax.benchmark.identifiers import safe_file_name

__all__ = ["safe_folder_name", "submission_file_name"]

_OUTSIDE = re.compile(r"[^A-Za-z0-9._-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LONGEST = 100  # bytes; file systems allow 255, and names are joined to longer ones


def safe_folder_name(name: str) -> str:
    """Turn any text into one path component of plain characters.

    A name that is already plain stays as it is; any other is cleaned, cut and given a hash of the
    original, so that two names never share a folder by cleaning.
    """
    cleaned = _OUTSIDE.sub("_", name)
    plain = (
        cleaned == name
        and 0 < len(name) <= _LONGEST
        and not name.startswith((".", "-"))
        and not name.endswith(".")
        and not _RESERVED.fullmatch(name)
    )
    if plain:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    head = cleaned[: _LONGEST - 15].strip(".-") or "name"
    if _RESERVED.fullmatch(head):  # Windows looks at what stands before the first dot
        head = f"_{head}"
    return f"{head}--{digest}"


def submission_file_name(model_id: str) -> str:
    """The name GENEB asks for: everything outside ``A-Za-z0-9._-`` becomes ``_``."""
    return safe_file_name(model_id) + ".json"
