"""A folder of finished units: one JSON file a (model, task, regime), whole or absent.

Every identity of a model has a folder of its own, ``NAME-IDENTITY``; what a table calls it is
decided when the table is made (:mod:`geneb_jax.results.labels`).

A record is found only under the exact key that wrote it, and believed only if every part of it
holds: its schema version, its key, the checksum of its rows, and each row. Anything else counts as
absent, is noted in :attr:`Records.damaged`, and is overwritten by the next :meth:`Records.add`.

The predicted labels of a unit stand beside its record in an ``.npz`` of the same stem. They are
written first and the record holds their checksum: where there is a record that names predictions,
they are whole, and a death between the two leaves a file that the next run writes again. The
scores do not rest on them: a record whose predictions were deleted is still a finished unit. One
whose predictions are there and damaged is not: what is said of them would depend on the damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.plain_files import read_plain
from geneb_jax.results.file_names import safe_folder_name
from geneb_jax.results.predictions import UnitPredictions, pack_predictions, unpack_predictions
from geneb_jax.results.redaction import redacted
from geneb_jax.results.score_rows import (
    EARLIER_RECORD_COLUMNS,
    RECORD_COLUMNS,
    UNCOUNTED_RECORD_COLUMNS,
    ScoreRow,
)
from geneb_jax.results.unit_keys import UnitKey
from geneb_jax.strict_json import parse_json, read_json

__all__ = ["DamagedRecord", "KeptUnit", "Records", "StoredUnit"]

_SCHEMA_VERSION = 2
_LARGEST_BYTES = 64 * 2**20
_DEEPEST = 8
_LONGEST_ERROR = 2000  # characters
_DIGEST_ENDING = re.compile(r"-[0-9a-f]{16}\.json")
_PARTS = {"schema_version", "digest", "key", "rows_sha256", "rows"}
#: What a file that is no record comes to, whatever it holds in its place.
_NOT_BELIEVED = (
    OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
_PREDICTIONS = "predictions_sha256"  # a part that only units with kept predictions have


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A record that was there and was not believed."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A unit as it stands in the folder: its key, and its rows under the model's own name."""

    key: UnitKey
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class KeptUnit:
    """A finished unit with its predictions."""

    key: UnitKey
    rows: tuple[ScoreRow, ...]
    predictions: UnitPredictions


class Records:
    """The finished units under ``out/records``.

    Args:
        out: The run's output folder; created by the first :meth:`add`.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / "records"
        self._damaged: dict[Path, DamagedRecord] = {}

    @property
    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Records that :meth:`find` or :meth:`units` refused, in the order met."""
        return tuple(self._damaged.values())

    @property
    def is_empty(self) -> bool:
        """Whether no unit was ever finished here, believed or not."""
        return next(self._paths(), None) is None

    @property
    def task_facts_folder(self) -> Path:
        """Where every run writes what the files of its tasks are."""
        return self.folder / "tasks"

    def _paths(self) -> Iterator[str]:
        """``MODEL/TASK/STEM-DIGEST.json``; ``Path.glob`` takes several times as long."""
        for model in _entries(self.folder):
            for task in _entries(model):
                for name in _entries(task):
                    if name.endswith(".json") and "-" in name.rpartition(os.sep)[2][:-5]:
                        yield name

    def path_of(self, key: UnitKey) -> Path:
        """Where the record of ``key`` is, or would be."""
        place = self.model_folder(key.model_id, key.identity) / safe_folder_name(key.task_id)
        return place / f"{_stem(key)}-{key.digest[:16]}.json"

    def predictions_path_of(self, key: UnitKey) -> Path:
        """Where the predictions of ``key`` are, or would be."""
        return self.path_of(key).with_suffix(".npz")

    def model_folder(self, name: str, identity: str) -> Path:
        """Where everything about one identity of a model is, or would be."""
        return self.folder / f"{safe_folder_name(name)}-{identity}"

    def units(self) -> Iterator[StoredUnit]:
        """Every unit that stands in the folder and is believed, failed ones too, by path.

        What is not believed is noted in :attr:`damaged` and left out.
        """
        for path in self.paths():
            content = self.content_of(path)
            unit = None if content is None else self.unit_of(path, content)
            if unit is not None:
                yield unit

    def paths(self) -> list[Path]:
        """Where records are, believed or not: by model folder, task folder and name."""
        return [Path(path) for path in sorted(self._paths(), key=_by_parts)]

    def content_of(self, path: Path) -> bytes | None:
        """The bytes of a record; None where it has gone, or cannot be read, which is noted."""
        try:
            return read_plain(path, largest_bytes=_LARGEST_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._damaged.setdefault(path, DamagedRecord(path, str(error)))
            return None

    def unit_of(self, path: Path, content: bytes) -> StoredUnit | None:
        """The unit that the bytes of a record hold; None if they are not believed: it is noted."""
        try:
            record = parse_json(content, deepest=_DEEPEST)
            key = _key_of(record)
            if self.path_of(key) != path:
                raise ValueError("it stands where the record of another key belongs")
            return StoredUnit(key, _rows_of(record, key))
        except _NOT_BELIEVED as error:
            self._damaged.setdefault(path, DamagedRecord(path, str(error)))
            return None

    def find(self, key: UnitKey) -> tuple[ScoreRow, ...] | None:
        """The rows of a finished unit, or None when it has to be computed.

        None for a unit that is absent or damaged (noted in :attr:`damaged`), likewise its
        predictions unless they were deleted, and for one in which any fit failed: what failed is
        tried again.
        """
        path = self.path_of(key)
        try:
            record = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
            rows = _rows_of(record, key)
            _read_predictions(path, record)
        except FileNotFoundError:
            return None
        except _NOT_BELIEVED as error:
            self._damaged.setdefault(path, DamagedRecord(path, str(error)))
            return None
        return None if any(row.failed for row in rows) else rows

    def add(
        self, key: UnitKey, rows: Iterable[ScoreRow], predictions: UnitPredictions | None = None
    ) -> tuple[ScoreRow, ...]:
        """Write the rows of a unit, replacing any earlier record of the same key.

        Args:
            key: The unit.
            rows: One row for each seed and C of the key, in any order.
            predictions: What was predicted, if it is to be kept; left out where a fit failed.

        Returns:
            The rows as stored: by C, then seed, in the order of the key, with the columns of its
            identity; errors redacted.

        Raises:
            ValueError: if the rows or the predictions are not those of the key.
            OutputError: if the record cannot be written; an earlier one is intact.
        """
        stored = _in_order([_presentable(row, key) for row in rows], key)
        plain = [row.for_a_record() for row in stored]
        record = {
            "schema_version": _SCHEMA_VERSION,
            "digest": key.digest,
            "key": key.as_dict(),
            "rows_sha256": _rows_digest(plain),
            "rows": plain,
        }
        if predictions is not None and not any(row.failed for row in stored):
            _require_shape(predictions, key, stored)
            content = pack_predictions(predictions)
            durable_files.write_bytes(self.predictions_path_of(key), content)
            record[_PREDICTIONS] = hashlib.sha256(content).hexdigest()
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
        durable_files.write_text(self.path_of(key), text + "\n")
        self._damaged.pop(self.path_of(key), None)
        return stored

    def keeps_predictions(self, identity: str) -> bool:
        """Whether there is any file of predictions of an identity, whole or not."""
        return bool(identity) and any(
            name.endswith(".npz")
            for model in _entries(self.folder)
            if model.endswith(f"-{identity}")
            for task in _entries(model)
            for name in _entries(task)
        )

    def kept_unit(self, rows: Collection[ScoreRow]) -> KeptUnit | None:
        """The unit that some rows of scores.csv are of, with its predictions.

        A folder may hold several records of one (model, task, regime): of earlier task files,
        earlier code, another list of C. The one meant is the one that holds these very rows, to
        the last digit.

        Args:
            rows: Rows of one model, task, regime, probe and solver, under any label.

        Returns:
            The unit, or None where it kept no predictions, or they are absent or damaged.
        """
        first = next(iter(rows), None)
        if first is None or not first.identity:
            return None
        stem, task = _stem(first), safe_folder_name(first.task_id)
        models = [one for one in _entries(self.folder) if one.endswith(f"-{first.identity}")]
        found = [path for one in models for path in _entries(os.path.join(one, task))]  # noqa: PTH118 - thousands
        there = set(found)
        for path in sorted(found):
            name = path.rpartition(os.sep)[2]
            if not name.startswith(stem) or not _DIGEST_ENDING.fullmatch(name[len(stem) :]):
                continue
            if f"{path[:-5]}.npz" not in there:
                continue  # no predictions were kept, or they were deleted
            try:
                unit = _unit_with_predictions(Path(path), rows)
            except _NOT_BELIEVED:
                continue
            if unit is not None:
                return unit
        return None


def _by_parts(path: str) -> list[str]:
    """What paths sort by: separators come before every letter, as they do where paths compare."""
    return path.split(os.sep)  # noqa: PTH206 - a Path for each of thousands is what it spares


def _entries(folder: Path | str) -> list[str]:
    """What is in a folder, as paths; nothing where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


@lru_cache(maxsize=4096)
def _stem_of(regime: str, probe: str, solver: str) -> str:
    return safe_folder_name(f"{regime}-{probe}-{solver}")


def _stem(unit: UnitKey | ScoreRow) -> str:
    return _stem_of(unit.regime, unit.probe, unit.solver)


def _unit_with_predictions(path: Path, rows: Collection[ScoreRow]) -> KeptUnit | None:
    """Read a record and its predictions; None if it is of other rows; ValueError if unusable."""
    record = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
    key = _key_of(record)
    stored = _rows_of(record, key)
    first = next(iter(rows))
    # A table has its own label for the model, its suite's category and word on the task's data.
    shown = {
        replace(row, model_id=first.model_id, category=first.category, data=first.data)
        for row in stored
    }
    if not set(rows) <= shown:
        return None
    content = _read_predictions(path, record)
    if content is None:
        return None
    predictions = unpack_predictions(content)
    _require_shape(predictions, key, stored)
    return KeptUnit(key, stored, predictions)


def _read_predictions(path: Path, record: Any) -> bytes | None:
    """The predictions beside a record; None if there are none, ValueError if they are damaged."""
    if _PREDICTIONS not in record:
        return None
    try:
        content = read_plain(path.with_suffix(".npz"), largest_bytes=_LARGEST_BYTES)
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != record[_PREDICTIONS]:
        raise ValueError("the predictions do not match their checksum")
    return content


def _require_shape(predictions: UnitPredictions, key: UnitKey, rows: Collection[ScoreRow]) -> None:
    shape = predictions.labels.shape
    if shape[0] != len(key.C) or shape[1] not in (1, len(key.seeds)):
        raise ValueError(f"predictions {shape} do not match {len(key.C)} C, {len(key.seeds)} seeds")
    if {row.n_test for row in rows} != {shape[2]}:
        raise ValueError(f"predictions {shape} do not match the rows' number of test rows")


def _presentable(row: ScoreRow, key: UnitKey) -> ScoreRow:
    """The row with the columns of the key's identity; its error fit to be shown to strangers."""
    columns = {} if row.identity else key.identity_columns()
    return replace(row, **columns, data="", error=redacted(row.error)[:_LONGEST_ERROR])


def _in_order(rows: list[ScoreRow], key: UnitKey) -> tuple[ScoreRow, ...]:
    """Check that the rows are exactly those of the key, and put them in its order."""
    by_fit: dict[tuple[float, int], ScoreRow] = {}
    names = ("model_id", "identity", "task_id", "regime", "probe", "solver")
    wanted = [(name, getattr(key, name)) for name in names]  # an identity is hashed each time
    for row in rows:
        for name, value in wanted:
            if getattr(row, name) != value:
                raise ValueError(f"a row has {name} {getattr(row, name)!r}, not the key's")
        if (row.C, row.seed) in by_fit:
            raise ValueError(f"two rows for C {row.C!r}, seed {row.seed}")
        by_fit[row.C, row.seed] = row
    expected = [(value, seed) for value in key.C for seed in key.seeds]
    if set(expected) != set(by_fit):
        raise ValueError(f"{len(by_fit)} rows do not match the {len(expected)} fits of the key")
    return tuple(by_fit[fit] for fit in expected)


def _rows_digest(rows: list[dict[str, Any]]) -> str:
    content = json.dumps(rows, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(content.encode("ascii")).hexdigest()


def _key_of(record: Any) -> UnitKey:
    """The key that a parsed record names; ValueError or TypeError if there is none."""
    if not isinstance(record, dict) or not isinstance(record.get("key"), dict):
        raise ValueError("not a record")
    return UnitKey(**record["key"])


def _rows_of(record: Any, key: UnitKey) -> tuple[ScoreRow, ...]:
    """The rows of a parsed record; ValueError says what does not hold."""
    if not isinstance(record, dict):
        raise ValueError("not an object")
    version = record.get("schema_version")
    if version != _SCHEMA_VERSION or isinstance(version, bool):
        raise ValueError(f"schema version {version!r}, this release reads {_SCHEMA_VERSION}")
    if set(record) - {_PREDICTIONS} != _PARTS:
        raise ValueError("missing or unknown parts")
    if record["digest"] != key.digest or _key_of(record).digest != key.digest:
        raise ValueError("the record of another key")
    plain = record["rows"]
    if not isinstance(plain, list) or not all(isinstance(row, dict) for row in plain):
        raise ValueError("the rows are not a list of objects")
    if record["rows_sha256"] != _rows_digest(plain):
        raise ValueError("the rows do not match their checksum: edited by hand or damaged")
    columns = tuple(plain[0]) if plain else RECORD_COLUMNS
    # Records of before decision values were scored, or rows counted, stay what they are.
    known = (RECORD_COLUMNS, UNCOUNTED_RECORD_COLUMNS, EARLIER_RECORD_COLUMNS)
    if columns not in known or any(tuple(row) != columns for row in plain):
        raise ValueError("a row has missing, unknown or misplaced columns")
    rows = _in_order([ScoreRow(**row) for row in plain], key)
    if [row.for_a_record(columns) for row in rows] != plain:
        raise ValueError("the rows are out of order or not in their exact form")
    return rows
