"""What the search for leaks found, kept in the user's cache by the content of the task.

The search depends on the texts alone, so a second run on the same data, into whichever folder,
reads what the first one found. A file that is damaged, or of another search, is as if absent.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.data.leaks import LeakKind, find_leaks
from geneb_jax.data.tables import TaskTable
from geneb_jax.errors import OutputError
from geneb_jax.places import cache_folder
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = ["SEARCH", "kept_leaks", "leaks_path"]

_LOG = logging.getLogger(__name__)
#: Raised when the search for near repeats changes, so that an earlier one's finds are not believed.
SEARCH = 1


def leaks_path(digest: str) -> Path:
    """Where the finds of a task with this content (:attr:`TaskTable.digest`) are, or would be."""
    return cache_folder() / "leaks" / f"{digest[:32]}.search{SEARCH}.json"


def kept_leaks(table: TaskTable) -> tuple[np.ndarray, np.ndarray]:
    """:func:`~geneb_jax.data.find_leaks` of a task: read if they were found before, else searched.

    A cache that cannot be written only costs the time of the next search.

    Returns:
        uint8 ``[test row]`` of :class:`LeakKind`, and float64 ``[test row]``, the identity.
    """
    path = leaks_path(table.digest)
    kind = f"leaks {SEARCH} of {table.digest}"
    try:
        return _unpacked(read_sealed(path, kind), rows=len(table.test_sequences))
    except (OSError, ValueError, TypeError, KeyError):
        pass
    kinds, identity = find_leaks(table.train_sequences, table.test_sequences)
    try:
        write_sealed(path, kind, _packed(kinds, identity))
    except OutputError as error:
        _LOG.info("what was found of leaks is not kept: %s", error.message)
    return kinds, identity


def _packed(kinds: np.ndarray, identity: np.ndarray) -> dict[str, Any]:
    """A digit a row, and the identities of the rows that are of a kind, exact as JSON has them."""
    return {
        "kinds": (kinds + ord("0")).astype(np.uint8).tobytes().decode("ascii"),
        "identity": identity[kinds > 0].tolist(),
    }


def _unpacked(content: dict[str, Any], *, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The opposite of :func:`_packed`; ValueError for what is not of so many rows."""
    kinds = np.frombuffer(content["kinds"].encode("ascii"), np.uint8) - ord("0")
    if len(kinds) != rows or (kinds > max(LeakKind)).any():
        raise ValueError("not the kinds of these rows")
    identity = np.full(rows, np.nan)
    identity[kinds > 0] = np.array(content["identity"], np.float64)
    return kinds, identity
