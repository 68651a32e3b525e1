"""Whether what an import read is still what it was: its copies are scored, not the files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from geneb_jax.data.layouts.source_files import CONVERTED, IMPORT_FILE, IMPORT_KIND
from geneb_jax.plain_files import is_folder, is_plain_file, open_plain
from geneb_jax.sealed_files import read_sealed

__all__ = ["changed_since_import"]

_SHOWN = 3


def changed_since_import(folder: Path) -> str | None:
    """A sentence on files that were edited or taken away after their copies were made; or None.

    Nothing is said where the source as a whole is elsewhere now, and of folders with a file a
    sequence. Files of the same size are compared by their digests: times are lost in copies.

    Args:
        folder: The task files of a suite, perhaps made by an import.
    """
    try:
        content = read_sealed(folder / IMPORT_FILE, IMPORT_KIND)
        # Copies below their source went with it, wherever it is now.
        source = folder.parent if folder.name == CONVERTED else Path(content["source"])
        root = source if is_folder(source) else source.parent
        if not os.path.lexists(source):
            return None
        changed = [one["path"] for one in content["files"] if _is_changed(root, one)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not changed:
        return None
    shown = ", ".join(changed[:_SHOWN]) + (" ..." if len(changed) > _SHOWN else "")
    number = "1 file" if len(changed) == 1 else f"{len(changed)} files"
    return (
        f"{number} of {source} changed after the copies in {folder} were made, which are what is "
        f"scored: {shown}. To have them read anew, move the copies and their suite.toml away and "
        "give the same `geneb-jax suite` command again"
    )


def _is_changed(root: Path, read: dict[str, Any]) -> bool:
    path = root / read["path"]
    if read["files"] != 1 or is_folder(path):
        return False
    if not is_plain_file(path):
        return True
    if path.stat().st_size != read["bytes"]:
        return True
    with os.fdopen(open_plain(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != read["sha256"]
