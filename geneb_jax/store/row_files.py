"""The row file of a shard: which sequences its rows belong to, with a checksum a row.

Layout, all little-endian: magic (8 bytes), key hash (32), slot (u64), width (u64),
rows_per_shard (u64), rows (u64), digests (16 bytes a row), row checksums (u64 a row),
SHA-256 of everything before it (32). Written once, before the manifest names it, and never changed.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np

from geneb_jax.store.digests import DIGEST_BYTES

__all__ = ["DamagedRowFileError", "RowFile", "decode_row_file", "encode_row_file"]

_MAGIC = b"GENEBr01"
_HEAD = struct.Struct("<8s32sQQQQ")
_SEAL_BYTES = 32
_CHECKSUM_BYTES = 8


class DamagedRowFileError(ValueError):
    """The bytes are not a whole row file."""


@dataclass(frozen=True, slots=True, eq=False)
class RowFile:
    """What a row file says.

    Attributes:
        key: Hash of the store's key, 64 hexadecimal digits.
        slot: Which shard of the array.
        width: Columns of a row.
        rows_per_shard: Rows of a full shard of its store.
        digests: uint8 ``[rows, 16]``.
        checksums: uint64 ``[rows]``, see :mod:`geneb_jax.store.row_checksums`.
    """

    key: str
    slot: int
    width: int
    rows_per_shard: int
    digests: np.ndarray
    checksums: np.ndarray


def encode_row_file(content: RowFile) -> bytes:
    """The bytes of a row file."""
    head = _HEAD.pack(
        _MAGIC,
        bytes.fromhex(content.key),
        content.slot,
        content.width,
        content.rows_per_shard,
        len(content.digests),
    )
    body = head + content.digests.tobytes() + content.checksums.astype("<u8").tobytes()
    return body + hashlib.sha256(body).digest()


def decode_row_file(content: bytes, *, checked: bool = False) -> RowFile:
    """Read a row file.

    Args:
        content: Its bytes.
        checked: Somebody has compared the SHA-256 of all of them already.

    Raises:
        DamagedRowFileError: if the bytes are cut, changed or something else.
    """
    if len(content) < _HEAD.size + _SEAL_BYTES:
        raise DamagedRowFileError(f"only {len(content)} bytes")
    body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if not checked and hashlib.sha256(body).digest() != seal:
        raise DamagedRowFileError("its SHA-256 does not agree")
    magic, key, slot, width, rows_per_shard, count = _HEAD.unpack_from(body)
    if magic != _MAGIC or len(body) != _HEAD.size + count * (DIGEST_BYTES + _CHECKSUM_BYTES):
        raise DamagedRowFileError("not a row file of this version")
    digests_end = _HEAD.size + count * DIGEST_BYTES
    return RowFile(
        key=key.hex(),
        slot=slot,
        width=width,
        rows_per_shard=rows_per_shard,
        digests=np.frombuffer(body[_HEAD.size : digests_end], np.uint8).reshape(-1, DIGEST_BYTES),
        checksums=np.frombuffer(body[digests_end:], "<u8").astype(np.uint64),
    )
