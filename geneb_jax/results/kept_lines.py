"""The lines of a table are copied from the one that stands there, where their rows are the same.

A table of many rows is written model by model. Beside the records stands which lines are of which
rows: the SHA-256 of everything that the rows hold, and of the lines' bytes. Lines are copied only
if the very same rows are to be written and the bytes in the file still have their digest; anything
else is made from the rows. So nothing is believed of a table that was edited, damaged or made by
another release, and without the list everything is the same, and takes longer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import IO

import numpy as np

from geneb_jax import durable_files
from geneb_jax.errors import OutputError
from geneb_jax.plain_files import open_plain
from geneb_jax.results.score_columns import TEXTS, ScoreTable
from geneb_jax.results.score_rows import SCORE_COLUMNS
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = ["FEWEST_ROWS", "write_lines"]

#: Raised whenever the same rows become other lines.
_KIND = "lines 1"
#: Rows of a table from which on the list saves more than it takes.
FEWEST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where the lines of some rows stand: first byte, bytes, and their SHA-256."""

    start: int
    size: int
    sha256: str


def write_lines(
    path: Path,
    header: bytes,
    table: ScoreTable,
    lines_of: Callable[[ScoreTable], Iterable[bytes]],
    *,
    of: str = "",
    keep: bool = False,
) -> None:
    """Write a table of rows atomically, model by model where each one's rows stand together.

    Args:
        path: The file, in the folder that has the records.
        header: What it begins with.
        table: All rows.
        lines_of: The lines of the rows of some models; the lines of all are those of each, one
            after the other.
        of: What else decides the lines, as a digest.
        keep: Whether lines are copied, and a list left for the next writer. That it cannot be
            written is no error.

    Raises:
        OutputError: if the file cannot be written; the old one is intact.
    """
    parts = _by_model(table)
    listed = keep and len(table) >= FEWEST_ROWS
    index = path.parent / "records" / f"{path.name}.lines.json"
    # The last bit of a mean may be NumPy's own.
    about = {"of": of, "release": _release(), "numpy": np.__version__}
    known = _known(index, about) if listed else {}
    written: list[tuple[str, int, int, str]] = []

    def made() -> Iterator[bytes]:
        yield header
        place = len(header)
        with ExitStack() as stack:
            old = _opened(path, stack) if known else None
            for part in parts:
                digest = _digest(part) if listed else None
                lines = _copied(old, known.get(digest)) if digest is not None else None
                blocks = lines_of(part) if lines is None else (lines,)
                total, size = hashlib.sha256(), 0
                for block in blocks:
                    size += len(block)
                    if digest is not None:
                        total.update(block)
                    yield block
                if digest is not None:
                    written.append((digest, place, size, total.hexdigest()))
                place += size

    durable_files.write_parts(path, made())
    if listed:
        try:
            write_sealed(index, _KIND, {**about, "parts": [list(part) for part in written]})
        except OutputError:
            return


def _by_model(table: ScoreTable) -> list[ScoreTable]:
    """The rows of each model; all at once where those of one do not stand together."""
    known: list[ScoreTable] | None = table.derived.get("by model")
    if known is None:
        codes = table.columns["model_id"]
        starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
        ends = [*starts[1:], len(codes)]
        known = [table.take(slice(*pair)) for pair in zip(starts, ends, strict=False)]
        if len(np.unique(codes)) < len(starts):
            known = [table]
        table.derived["by model"] = known
    return known


def _digest(table: ScoreTable) -> str | None:
    """SHA-256 over every cell; None where there are numbers beyond 64 bits."""
    found: str | None = table.derived.get("digest")
    if found is not None:
        return found
    total = hashlib.sha256()
    for column in SCORE_COLUMNS:
        values = table.columns[column]
        if values.dtype == object:
            return None
        if column in TEXTS:
            names, values = _own_names(table.names[column], values)
            total.update(repr(names).encode("utf-8", "surrogatepass"))
        total.update(f"{column} {values.dtype.str} {values.shape}\n".encode("ascii"))
        total.update(np.ascontiguousarray(values).data)
    found = table.derived["digest"] = total.hexdigest()
    return found


def _own_names(names: tuple[str, ...], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The names that are in use, sorted, and each row's place in them, whatever others there are.

    Where one name is all, no row needs to say so.
    """
    in_use = np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist()
    in_use.sort(key=names.__getitem__)
    if len(in_use) < 2:
        return [names[code] for code in in_use], np.array([len(codes)], np.int64)
    place = np.zeros(len(names), np.int32)
    place[in_use] = np.arange(len(in_use))
    return [names[code] for code in in_use], place[codes]


@lru_cache(maxsize=1)
def _release() -> str:
    try:
        return metadata.version("geneb-jax")
    except metadata.PackageNotFoundError:
        return ""


def _known(index: Path, about: dict[str, str]) -> dict[str, _Kept]:
    """Digest of rows -> where their lines were left."""
    try:
        content = read_sealed(index, _KIND)
        if {name: content[name] for name in about} != about:
            return {}
        return {digest: _Kept(*where) for digest, *where in content["parts"]}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _opened(path: Path, stack: ExitStack) -> IO[bytes] | None:
    try:
        return stack.enter_context(os.fdopen(open_plain(path), "rb"))
    except (OSError, ValueError):
        return None


def _copied(file: IO[bytes] | None, kept: _Kept | None) -> bytes | None:
    """The lines as they stand in the file; None if they are not the ones that were written."""
    if file is None or kept is None:
        return None
    try:
        if kept.start + kept.size > os.fstat(file.fileno()).st_size:
            return None
        file.seek(kept.start)
        lines = file.read(kept.size)
    except (OSError, ValueError, TypeError):
        return None
    return lines if hashlib.sha256(lines).hexdigest() == kept.sha256 else None
