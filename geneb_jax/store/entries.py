"""Entries of a manifest: what one commit, one repair or one summary adds to what a store says.

See :mod:`geneb_jax.store.manifest` for how they make up the contents of a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from geneb_jax.store.manifest import Closed, DamagedManifestError, decode_sealed, encode_sealed

__all__ = ["Entry", "IndexFile", "Quarantined", "Shard", "decode_entry", "encode_entry"]

_SHA256 = r"^[0-9a-f]{64}$"
#: Slots in one span; more would be a forgery that fills the memory.
_LONGEST_SPAN = 1 << 24


@dataclass(frozen=True, slots=True)
class Shard:
    """A committed shard: ``rows`` rows in shard ``slot`` of the array, described by a row file."""

    slot: int
    rows: int
    row_file_sha256: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A shard that failed its checks: its rows are missing again, its slot is not used again."""

    slot: int
    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An index on the disk: its name, its rows, and the slots whose rows it lists."""

    name: str
    rows: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry says.

    Attributes:
        shards: Shards that count.
        quarantined: Shards that count no more, as they are damaged.
        merged: Slots of shards that count no more, as others hold their rows.
        indexes: Indexes on the disk that list the rows of shards.
    """

    shards: tuple[Shard, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    merged: tuple[int, ...] = ()
    indexes: tuple[IndexFile, ...] = ()


class _ShardFields(Closed):
    slot: int = Field(ge=0)
    rows: int = Field(ge=1)
    row_file_sha256: str = Field(pattern=_SHA256)


class _QuarantinedFields(Closed):
    slot: int = Field(ge=0)
    rows: int = Field(ge=1)
    reason: str


class _IndexFields(Closed):
    name: str = Field(pattern=r"^index/[0-9a-f]{32}$")
    rows: int = Field(ge=0)
    slots: list[tuple[int, int]]


class _EntryFields(Closed):
    format: str
    version: int
    key: str = Field(pattern=_SHA256)
    shards: list[_ShardFields]
    quarantined: list[_QuarantinedFields]
    merged: list[tuple[int, int]]
    indexes: list[_IndexFields]


def encode_entry(entry: Entry, key: str) -> bytes:
    """The bytes of an entry of the store with this key hash."""
    return encode_sealed(
        {
            "key": key,
            "shards": [
                {"slot": one.slot, "rows": one.rows, "row_file_sha256": one.row_file_sha256}
                for one in entry.shards
            ],
            "quarantined": [
                {"slot": one.slot, "rows": one.rows, "reason": one.reason}
                for one in entry.quarantined
            ],
            "merged": _spans(entry.merged),
            "indexes": [
                {"name": one.name, "rows": one.rows, "slots": _spans(one.slots)}
                for one in entry.indexes
            ],
        }
    )


def decode_entry(content: bytes, key: str) -> Entry:
    """Read an entry of the store with this key hash.

    Raises:
        UnknownManifestVersionError: if another version of this project wrote it.
        DamagedManifestError: if the bytes are cut, changed, or another store's.
    """
    document = decode_sealed(content)
    document["merged"] = _pairs(document.get("merged"))
    if isinstance(document.get("indexes"), list):
        for one in document["indexes"]:
            if isinstance(one, dict):
                one["slots"] = _pairs(one.get("slots"))
    try:
        fields = _EntryFields.model_validate(document)
    except ValidationError as error:
        raise DamagedManifestError(f"{error.error_count()} fields are wrong") from error
    if fields.key != key:
        raise DamagedManifestError("it belongs to another store")
    entry = Entry(
        tuple(Shard(one.slot, one.rows, one.row_file_sha256) for one in fields.shards),
        tuple(Quarantined(one.slot, one.rows, one.reason) for one in fields.quarantined),
        _slots(fields.merged),
        tuple(IndexFile(one.name, one.rows, _slots(one.slots)) for one in fields.indexes),
    )
    named = [shard.slot for shard in entry.shards] + [gone.slot for gone in entry.quarantined]
    named += entry.merged
    if len(set(named)) != len(named):
        raise DamagedManifestError("its shards contradict each other")
    return entry


def _spans(slots: Iterable[int]) -> list[list[int]]:
    """Ascending slots as (first, last) of those that follow each other."""
    spans: list[list[int]] = []
    for slot in sorted(slots):
        if spans and spans[-1][1] == slot - 1:
            spans[-1][1] = slot
        else:
            spans.append([slot, slot])
    return spans


def _pairs(spans: Any) -> Any:
    """JSON knows no tuples."""
    if not isinstance(spans, list):
        return spans
    return [tuple(span) if isinstance(span, list) else span for span in spans]


def _slots(spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    if any(first < 0 or last < first or last - first > _LONGEST_SPAN for first, last in spans):
        raise DamagedManifestError("its spans of slots are none")
    return tuple(slot for first, last in spans for slot in range(first, last + 1))
