"""What a task's test rows are to its training rows, kept once a task beside the records.

Looked for when the task is first probed into a folder; an older folder has no such file, and its
tables then speak of exact repeats alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.plain_files import read_plain
from geneb_jax.results.array_files import LARGEST_BYTES, array_bytes, arrays_of
from geneb_jax.results.file_names import safe_folder_name

__all__ = ["find_repeats", "keep_repeats", "repeats_path"]

#: Raised when the search for near repeats changes, so that an earlier one's finds are not believed.
_SEARCH = 1
_LARGEST_KIND = 3


def repeats_path(out: Path, task_id: str, fingerprint: str) -> Path:
    """Where the kinds of a task with this content are, or would be."""
    name = f"{safe_folder_name(task_id)}-{fingerprint[:16]}.repeats{_SEARCH}.npz"
    return out / "answers" / name


def keep_repeats(out: Path, task_id: str, fingerprint: str, kinds: np.ndarray) -> Path:
    """Write the kinds of a task's test rows.

    Args:
        out: The run's folder.
        task_id: The task.
        fingerprint: Of its files.
        kinds: uint8 ``[test row]``, values of :class:`geneb_jax.data.LeakKind`.

    Raises:
        OutputError: if the file cannot be written.
    """
    path = repeats_path(out, task_id, fingerprint)
    durable_files.write_bytes(path, array_bytes({"kinds": kinds.astype(np.uint8)}))
    return path


def find_repeats(out: Path, task_id: str, fingerprint: str) -> np.ndarray | None:
    """The kinds, uint8 ``[test row]``; None if they are absent or damaged."""
    try:
        content = read_plain(repeats_path(out, task_id, fingerprint), largest_bytes=LARGEST_BYTES)
        kinds = arrays_of(content, {"kinds": 1})["kinds"]
    except (OSError, ValueError):
        return None
    if kinds.size and not 0 <= int(kinds.min()) <= int(kinds.max()) <= _LARGEST_KIND:
        return None
    return kinds.astype(np.uint8)
