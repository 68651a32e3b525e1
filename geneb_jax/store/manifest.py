"""The manifest of a store: which shards count, in which order. Written last, read first.

JSON, one line a shard, sealed by a SHA-256 over its canonical form. The digests of the rows are not
in it: they are in the row files (:mod:`geneb_jax.store.row_files`), whose SHA-256 it holds, so a
manifest of a million rows stays a few dozen kilobytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geneb_jax.identity import EncoderIdentity

__all__ = [
    "FORMAT_VERSION",
    "DamagedManifestError",
    "Manifest",
    "Quarantined",
    "Shard",
    "UnknownManifestVersionError",
    "decode_manifest",
    "encode_manifest",
]

FORMAT_VERSION = 1
_FORMAT = "geneb-jax embeddings"


class DamagedManifestError(ValueError):
    """The bytes are not a whole manifest."""


class UnknownManifestVersionError(ValueError):
    """A whole manifest of a version that this code does not know."""

    def __init__(self, version: object) -> None:
        self.version = version
        super().__init__(f"format version {version!r}")


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
class Manifest:
    """What a store holds. Rows stand in the order of ``shards``."""

    identity: EncoderIdentity
    width: int
    rows_per_shard: int
    shards: tuple[Shard, ...] = ()
    quarantined: tuple[Quarantined, ...] = field(default=())

    @property
    def row_count(self) -> int:
        """Number of committed rows."""
        return sum(shard.rows for shard in self.shards)

    @property
    def next_slot(self) -> int:
        """The first slot that was never committed."""
        return max(self.slots, default=-1) + 1

    @property
    def slots(self) -> list[int]:
        """Every slot that was ever committed."""
        return [s.slot for s in self.shards] + [s.slot for s in self.quarantined]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ShardFields(_Closed):
    slot: int = Field(ge=0)
    rows: int = Field(ge=1)
    row_file_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _QuarantinedFields(_Closed):
    slot: int = Field(ge=0)
    rows: int = Field(ge=1)
    reason: str


class _ManifestFields(_Closed):
    format: str
    version: int
    identity: dict[str, str | int]
    width: int = Field(ge=1)
    dtype: str = Field(pattern="^float32$")
    rows_per_shard: int = Field(ge=1)
    row_count: int = Field(ge=0)
    shards: list[_ShardFields]
    quarantined: list[_QuarantinedFields]


def _seal(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest: the same manifest always gives the same bytes."""
    shards = [
        {"slot": shard.slot, "rows": shard.rows, "row_file_sha256": shard.row_file_sha256}
        for shard in manifest.shards
    ]
    quarantined = [
        {"slot": shard.slot, "rows": shard.rows, "reason": shard.reason}
        for shard in manifest.quarantined
    ]
    document = {
        "format": _FORMAT,
        "version": FORMAT_VERSION,
        "identity": manifest.identity.as_dict(),
        "width": manifest.width,
        "dtype": "float32",
        "rows_per_shard": manifest.rows_per_shard,
        "row_count": manifest.row_count,
        "shards": shards,
        "quarantined": quarantined,
    }
    lines = [f'"{name}": {json.dumps(value)}' for name, value in document.items()]
    for name in ("shards", "quarantined"):
        at = list(document).index(name)
        entries = ",\n  ".join(json.dumps(entry) for entry in document[name])  # type: ignore[attr-defined]
        lines[at] = f'"{name}": [{entries}]'
    lines.append(f'"sha256": "{_seal(document)}"')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        UnknownManifestVersionError: if another version of this project wrote it.
        DamagedManifestError: if the bytes are cut, changed or something else.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedManifestError("not JSON") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise DamagedManifestError("not a manifest of embeddings")
    if document.get("version") != FORMAT_VERSION:
        raise UnknownManifestVersionError(document.get("version"))
    seal = document.pop("sha256", None)
    if seal != _seal(document):
        raise DamagedManifestError("its SHA-256 does not agree")
    try:
        fields = _ManifestFields.model_validate(document)
    except ValidationError as error:
        raise DamagedManifestError(f"{error.error_count()} fields are wrong") from error
    try:
        identity = EncoderIdentity(**fields.identity)  # type: ignore[arg-type]
    except TypeError as error:
        raise DamagedManifestError("its identity has other fields") from error
    manifest = Manifest(
        identity=identity,
        width=fields.width,
        rows_per_shard=fields.rows_per_shard,
        shards=tuple(Shard(**shard.model_dump()) for shard in fields.shards),
        quarantined=tuple(Quarantined(**shard.model_dump()) for shard in fields.quarantined),
    )
    if len(set(manifest.slots)) != len(manifest.slots) or manifest.row_count != fields.row_count:
        raise DamagedManifestError("its shards contradict each other")
    if any(shard.rows > manifest.rows_per_shard for shard in manifest.shards):
        raise DamagedManifestError("a shard holds more rows than fit")
    return manifest
