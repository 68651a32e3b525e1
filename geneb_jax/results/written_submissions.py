"""The submission files that runs wrote into a folder: what is stale is removed, nobody else's.

A submission of an earlier state of the folder must not stay beside tables that say otherwise. The
folder's records keep the digest of each file that was written; a file is removed only if it is
still that, so that one which somebody edited or put there stays, and is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.errors import OutputError
from geneb_jax.plain_files import read_plain
from geneb_jax.results.submission import SUBMISSION_FOLDER
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = ["StaleSubmissions", "note_submissions", "remove_stale_submissions"]

_KIND = "submissions 1"
_LARGEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class StaleSubmissions:
    """Files of an earlier state: those that were removed, and those that are not a run's own."""

    removed: tuple[Path, ...]
    left: tuple[Path, ...]


def remove_stale_submissions(out: Path, written: Collection[Path]) -> StaleSubmissions:
    """Remove what earlier runs wrote and this one did not; note what this one wrote.

    Args:
        out: The output folder.
        written: The files that were written just now.

    Raises:
        OutputError: if a file cannot be removed or the note cannot be written.
    """
    known = _known(out)
    removed: list[Path] = []
    left: list[Path] = []
    for path in sorted((out / SUBMISSION_FOLDER).glob("*.json")):
        if path in written:
            continue
        if known.get(path.name) != _digest(path):
            left.append(path)
            continue
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove it ({error.strerror})", where=path) from error
        removed.append(path)
    if written or known:
        digests = {path.name: _digest(path) for path in sorted(written)}
        write_sealed(_list_path(out), _KIND, digests)
    return StaleSubmissions(tuple(removed), tuple(left))


def note_submissions(out: Path, written: Sequence[Path]) -> None:
    """Note files that were written besides a run, so that a later run may replace them."""
    digests = _known(out) | {path.name: _digest(path) for path in written}
    write_sealed(_list_path(out), _KIND, digests)


def _list_path(out: Path) -> Path:
    return out / "records" / "submissions.json"


def _known(out: Path) -> dict[str, str]:
    try:
        found = read_sealed(_list_path(out), _KIND)
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_plain(path, largest_bytes=_LARGEST_BYTES)).hexdigest()
    except (OSError, ValueError):
        return ""
