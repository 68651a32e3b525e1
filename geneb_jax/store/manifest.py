"""What a store says of itself: one description that never changes, and entries that are added.

``manifest.json`` says whose embeddings these are and how they lie; it is written once. Which shards
count is in the entries below ``manifest.d/``: each commit adds one, of a few hundred bytes; now and
then one entry takes the place of all before it. A store holds the shards that any entry names, less
those that any entry gives up. So the order of entries is of no account, none is ever changed, two
entries that name the same shard agree, and writers need to know nothing of each other.

Both are JSON, sealed by a SHA-256 over their canonical form. The digests of the rows are not in
them: they are in the row files (:mod:`geneb_jax.store.row_files`), whose SHA-256 an entry holds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geneb_jax.identity import EncoderIdentity

__all__ = [
    "FORMAT_VERSION",
    "Closed",
    "DamagedManifestError",
    "Manifest",
    "UnknownManifestVersionError",
    "decode_manifest",
    "decode_sealed",
    "encode_manifest",
    "encode_sealed",
]

#: One number for all files of a store.
FORMAT_VERSION = 2
_FORMAT = "geneb-jax embeddings"


class DamagedManifestError(ValueError):
    """The bytes are not a whole manifest, or not a whole entry of one."""


class UnknownManifestVersionError(ValueError):
    """A whole manifest of a version that this code does not know."""

    def __init__(self, version: object) -> None:
        self.version = version
        super().__init__(f"format version {version!r}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What never changes in a store."""

    identity: EncoderIdentity
    width: int
    rows_per_shard: int


class Closed(BaseModel):
    """Fields of a file: all of them, of these types, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ManifestFields(Closed):
    format: str
    version: int
    identity: dict[str, str | int]
    width: int = Field(ge=1)
    dtype: str = Field(pattern="^float32$")
    rows_per_shard: int = Field(ge=1)


def _seal(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def encode_sealed(fields: dict[str, Any]) -> bytes:
    """Sealed JSON, a line a field and a line a member of a list of objects."""
    document = {"format": _FORMAT, "version": FORMAT_VERSION, **fields}
    lines = []
    for name, value in {**document, "sha256": _seal(document)}.items():
        text = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[" + ",\n  ".join(json.dumps(member) for member in value) + "]"
        lines.append(f'"{name}": {text}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def decode_sealed(content: bytes) -> dict[str, Any]:
    """The fields of sealed JSON of this version; see :func:`decode_manifest` for errors."""
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
    return document


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest: the same manifest always gives the same bytes."""
    return encode_sealed(
        {
            "identity": manifest.identity.as_dict(),
            "width": manifest.width,
            "dtype": "float32",
            "rows_per_shard": manifest.rows_per_shard,
        }
    )


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        UnknownManifestVersionError: if another version of this project wrote it.
        DamagedManifestError: if the bytes are cut, changed or something else.
    """
    document = decode_sealed(content)
    try:
        fields = _ManifestFields.model_validate(document)
    except ValidationError as error:
        raise DamagedManifestError(f"{error.error_count()} fields are wrong") from error
    try:
        identity = EncoderIdentity(**fields.identity)  # type: ignore[arg-type]
    except TypeError as error:
        raise DamagedManifestError("its identity has other fields") from error
    return Manifest(identity, fields.width, fields.rows_per_shard)
