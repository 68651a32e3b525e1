"""The key of a set of embeddings: a hash of everything that decides their values, and a safe name.

The hash covers :class:`~geneb_jax.identity.EncoderIdentity`, the width and the element type,
and nothing else: batch size, device and shard size must find the same embeddings again.
"""

from __future__ import annotations

import hashlib
import json
import re

from geneb_jax.identity import EncoderIdentity

__all__ = ["folder_name", "key_hash"]

_NAME_LENGTH = 60
_HASH_LENGTH = 16


def key_hash(identity: EncoderIdentity, width: int) -> str:
    """SHA-256 of identity, width and element type, 64 hexadecimal digits.

    Empty fields are left out, so that a field added later with an empty default keeps old keys.
    """
    named = {name: value for name, value in identity.as_dict().items() if value != ""}
    fields = {"identity": named, "width": width, "dtype": "float32"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def folder_name(identity: EncoderIdentity, width: int) -> str:
    """A file name that people can read and no identity can bend: ``MODEL-HASH``.

    Letters outside ``[A-Za-z0-9._-]`` become ``_``; the name never starts with a dot or a dash and
    stays far below the 255 bytes of common file systems; the hash keeps different keys apart.
    """
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", identity.model_id)[:_NAME_LENGTH].lstrip(".-")
    return f"{readable or 'model'}-{key_hash(identity, width)[:_HASH_LENGTH]}"
