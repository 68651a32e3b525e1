"""The rows of a model's records as one table, kept beside them so that they are parsed once.

A table is believed for a record only if that holds the very bytes that the table was made from:
every record is read and hashed whenever its folder is, and only its JSON is not taken apart anew. A
record that is new, was changed or is damaged is parsed as if there were no table. A table that is
damaged, or of another release, is made again. It adds nothing: without it everything is the same,
and takes longer.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax import durable_files
from geneb_jax.errors import OutputError
from geneb_jax.plain_files import read_plain
from geneb_jax.results.records import Records
from geneb_jax.results.run_record import installed_versions
from geneb_jax.results.score_columns import FLOATS, INTEGERS, TEXTS, ScoreTable
from geneb_jax.results.score_rows import SCORE_COLUMNS, ScoreRow
from geneb_jax.results.unit_keys import UnitKey

__all__ = ["UnitRows", "read_units"]

#: Beside the folders of the model's tasks.
_FILE = "rows.npz"
#: Raised whenever a record that was believed may no longer be, or becomes other rows.
_FORM = 2
#: Records of a model from which on a table saves more than it takes.
FEWEST_RECORDS = 64
_LARGEST_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class UnitRows:
    """Every believed unit of a folder, and all their rows.

    Attributes:
        keys: A key a unit, by the record's path.
        digests: Each key's digest.
        first: Place of each unit's first row, and behind them the number of rows; int64
            ``[unit + 1]``.
        rows: The rows of all units, in their order, under the model's own name.
    """

    keys: tuple[UnitKey, ...]
    digests: tuple[str, ...]
    first: np.ndarray
    rows: ScoreTable

    @property
    def unit_of_row(self) -> np.ndarray:
        """int64 ``[row]``: the unit of each row."""
        found: np.ndarray = np.repeat(np.arange(len(self.keys)), np.diff(self.first))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The units of one model folder.

    Attributes:
        units: Path of a record in the folder, SHA-256 of its bytes, its key as plain data, the
            key's digest, and its number of rows; by path.
        rows: All rows.
    """

    units: tuple[tuple[str, str, dict[str, Any], str, int], ...]
    rows: ScoreTable


def read_units(records: Records, *, keep: bool = False) -> UnitRows:
    """Read every record of a folder; what is not believed is noted in ``records.damaged``.

    Args:
        records: The records.
        keep: Whether to write tables for the next reader. That one cannot be written is no error.
    """
    found = [
        _read_model(records, Path(folder), list(paths), keep=keep)
        for folder, paths in groupby(records.paths(), key=_model_folder)
    ]
    units = [unit for kept in found for unit in kept.units]
    counts = [count for *_, count in units]
    return UnitRows(
        keys=tuple(_key(plain) for _, _, plain, _, _ in units),
        digests=tuple(digest for *_, digest, _ in units),
        first=np.concatenate([[0], np.cumsum(np.array(counts, np.int64))]),
        rows=ScoreTable.joined([kept.rows for kept in found]) if found else ScoreTable.of(()),
    )


def _model_folder(path: Path) -> str:
    return str(path).rsplit(os.sep, 2)[0]


def _key(plain: Mapping[str, Any]) -> UnitKey:
    return UnitKey(**plain)


def _read_model(records: Records, folder: Path, paths: Sequence[Path], *, keep: bool) -> _Kept:
    """Read the records of one model folder, parsing those that its table does not have."""
    before = _load(folder / _FILE) if len(paths) >= FEWEST_RECORDS else None
    known = {} if before is None else {unit[0]: at for at, unit in enumerate(before.units)}
    starts = np.cumsum([0] + [unit[4] for unit in before.units]) if before is not None else None
    units: list[tuple[str, str, dict[str, Any], str, int]] = []
    new: list[ScoreRow] = []
    places: list[np.ndarray] = []  # in the rows of the table, then in those that are new
    old = 0 if before is None else len(before.rows)
    for path in paths:
        content = records.content_of(path)
        if content is None:
            continue
        name = "/".join(str(path).rsplit(os.sep, 2)[1:])
        digest = hashlib.sha256(content).hexdigest()
        at = known.get(name)
        if before is not None and starts is not None and at is not None:
            unit = before.units[at]
            if unit[1] == digest:
                units.append(unit)
                places.append(np.arange(starts[at], starts[at + 1]))
                continue
        stored = records.unit_of(path, content)
        if stored is not None:
            plain, count = stored.key.as_dict(), len(stored.rows)
            units.append((name, digest, plain, stored.key.digest, count))
            places.append(np.arange(old + len(new), old + len(new) + count))
            new += stored.rows
    if before is not None and not new and len(units) == len(before.units):
        return before
    added = ScoreTable.of(new)
    rows = added if before is None else ScoreTable.joined([before.rows, added])
    order = np.concatenate(places) if places else np.zeros(0, np.int64)
    kept = _Kept(tuple(units), rows.take(order) if before is not None else rows)
    if keep and len(units) >= FEWEST_RECORDS:
        _save(folder / _FILE, kept)
    return kept


@lru_cache(maxsize=1)
def _release() -> str:
    return installed_versions(["geneb-jax"]).get("geneb-jax", "")


def _header(path: Path, kept: _Kept) -> dict[str, Any]:
    return {
        "form": _FORM,
        # A copy of the folder under another name has records where those of other keys belong.
        "folder": path.parent.name,
        "release": _release(),
        "columns": list(SCORE_COLUMNS),
        "names": {column: list(kept.rows.names[column]) for column in sorted(TEXTS)},
        "units": [list(unit) for unit in kept.units],
    }


def _save(path: Path, kept: _Kept) -> None:
    """Write a table; the same bytes for the same records."""
    columns = kept.rows.columns
    if any(column.dtype == object for column in columns.values()):
        return  # numbers beyond 64 bits: such records are parsed each time
    whole = [columns[name] for name in SCORE_COLUMNS if name in INTEGERS]
    text = json.dumps(_header(path, kept), ensure_ascii=True, separators=(",", ":"))
    arrays = {
        "header": np.frombuffer(text.encode("ascii"), np.uint8),
        "floats": np.stack([columns[name] for name in SCORE_COLUMNS if name in FLOATS]),
        "texts": np.stack([columns[name] for name in SCORE_COLUMNS if name in TEXTS]),
        # What stands for None differs by type, so each column keeps its own.
        **{f"whole_{at}": column for at, column in enumerate(whole)},
    }
    arrays["seal"] = np.frombuffer(_seal(arrays), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    try:
        durable_files.write_bytes(path, buffer.getvalue())
    except OutputError:
        return


def _seal(arrays: Mapping[str, np.ndarray]) -> bytes:
    """SHA-256 over names, types, shapes and bytes of all arrays but itself."""
    total = hashlib.sha256()
    for name in sorted(arrays.keys() - {"seal"}):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode("ascii"))
        total.update(np.ascontiguousarray(array).data)
    return total.digest()


def _load(path: Path) -> _Kept | None:
    """A table, if there is one and all of it holds."""
    try:
        content = read_plain(path, largest_bytes=_LARGEST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if arrays["seal"].tobytes() != _seal(arrays):
            return None
        header = json.loads(arrays["header"].tobytes().decode("ascii"))
        made = (header["form"], header["release"], tuple(header["columns"]), header.get("folder"))
        if made != (_FORM, _release(), SCORE_COLUMNS, path.parent.name):
            return None
        return _kept(header, arrays)
    except Exception:  # what zip and headers of damaged bytes raise has no end
        return None


def _kept(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> _Kept:
    columns: dict[str, np.ndarray] = {}
    for kind, named in (("floats", FLOATS), ("texts", TEXTS)):
        in_order = [name for name in SCORE_COLUMNS if name in named]
        columns |= dict(zip(in_order, arrays[kind], strict=True))
    for at, name in enumerate(name for name in SCORE_COLUMNS if name in INTEGERS):
        columns[name] = arrays[f"whole_{at}"]
    rows = ScoreTable(columns, {name: tuple(texts) for name, texts in header["names"].items()})
    units = tuple(
        (name, digest, plain, key, count) for name, digest, plain, key, count in header["units"]
    )
    if sum(unit[4] for unit in units) != len(rows):
        raise ValueError("the units do not have the rows")
    return _Kept(units, rows)
