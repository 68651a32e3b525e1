"""A folder of finished units: one JSON file a (model, task, regime), whole or absent.

A record is found only under the exact key that wrote it, and believed only if every part of it
holds: its schema version, its key, the checksum of its rows, and each row. Anything else counts as
absent, is noted in :attr:`Records.damaged`, and is overwritten by the next :meth:`Records.add`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.results.file_names import safe_folder_name
from geneb_jax.results.redaction import redacted
from geneb_jax.results.score_rows import SCORE_COLUMNS, ScoreRow
from geneb_jax.results.strict_json import read_json
from geneb_jax.results.unit_keys import UnitKey

__all__ = ["DamagedRecord", "Records"]

_SCHEMA_VERSION = 1
_LARGEST_BYTES = 64 * 2**20
_DEEPEST = 8
_LONGEST_ERROR = 2000  # characters


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A record that was there and was not believed."""

    path: Path
    reason: str


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
        """Records that :meth:`find` refused, in the order met."""
        return tuple(self._damaged.values())

    def path_of(self, key: UnitKey) -> Path:
        """Where the record of ``key`` is, or would be."""
        name = safe_folder_name(f"{key.regime}-{key.probe}-{key.solver}")
        return (
            self.folder
            / safe_folder_name(key.model_id)
            / safe_folder_name(key.task_id)
            / f"{name}-{key.digest[:16]}.json"
        )

    def find(self, key: UnitKey) -> tuple[ScoreRow, ...] | None:
        """The rows of a finished unit, or None when it has to be computed.

        None for a unit that is absent or damaged (noted in :attr:`damaged`), and for one in which
        any fit failed: what failed is tried again.
        """
        path = self.path_of(key)
        try:
            rows = _rows_of(read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST), key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self._damaged.setdefault(path, DamagedRecord(path, str(error)))
            return None
        return None if any(row.failed for row in rows) else rows

    def add(self, key: UnitKey, rows: Iterable[ScoreRow]) -> tuple[ScoreRow, ...]:
        """Write the rows of a unit, replacing any earlier record of the same key.

        Args:
            key: The unit.
            rows: One row for each seed and C of the key, in any order.

        Returns:
            The rows as stored: by C, then seed, in the order of the key; errors redacted.

        Raises:
            ValueError: if the rows are not those of the key.
            OutputError: if the record cannot be written; an earlier one is intact.
        """
        stored = _in_order([_presentable(row) for row in rows], key)
        plain = [row.as_dict() for row in stored]
        record = {
            "schema_version": _SCHEMA_VERSION,
            "digest": key.digest,
            "key": key.as_dict(),
            "rows_sha256": _rows_digest(plain),
            "rows": plain,
        }
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
        durable_files.write_text(self.path_of(key), text + "\n")
        self._damaged.pop(self.path_of(key), None)
        return stored


def _presentable(row: ScoreRow) -> ScoreRow:
    if not row.error:
        return row
    return replace(row, error=redacted(row.error)[:_LONGEST_ERROR])


def _in_order(rows: list[ScoreRow], key: UnitKey) -> tuple[ScoreRow, ...]:
    """Check that the rows are exactly those of the key, and put them in its order."""
    by_fit: dict[tuple[float, int], ScoreRow] = {}
    for row in rows:
        for name in ("model_id", "task_id", "regime", "probe", "solver"):
            if getattr(row, name) != getattr(key, name):
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


def _rows_of(record: Any, key: UnitKey) -> tuple[ScoreRow, ...]:
    """The rows of a parsed record; ValueError says what does not hold."""
    if not isinstance(record, dict):
        raise ValueError("not an object")
    version = record.get("schema_version")
    if version != _SCHEMA_VERSION or isinstance(version, bool):
        raise ValueError(f"schema version {version!r}, this release reads {_SCHEMA_VERSION}")
    if set(record) != {"schema_version", "digest", "key", "rows_sha256", "rows"}:
        raise ValueError("missing or unknown parts")
    if record["digest"] != key.digest:
        raise ValueError("the record of another key")
    plain = record["rows"]
    if not isinstance(plain, list) or not all(isinstance(row, dict) for row in plain):
        raise ValueError("the rows are not a list of objects")
    if record["rows_sha256"] != _rows_digest(plain):
        raise ValueError("the rows do not match their checksum: edited by hand or damaged")
    if any(tuple(row) != SCORE_COLUMNS for row in plain):
        raise ValueError("a row has missing, unknown or misplaced columns")
    rows = _in_order([ScoreRow(**row) for row in plain], key)
    if [row.as_dict() for row in rows] != plain:
        raise ValueError("the rows are out of order or not in their exact form")
    return rows
