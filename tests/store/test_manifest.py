"""The manifest: the same bytes for the same content, and no other bytes believed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.identity import EncoderIdentity
from geneb_jax.store.keys import folder_name, key_hash
from geneb_jax.store.manifest import (
    DamagedManifestError,
    Manifest,
    Quarantined,
    Shard,
    UnknownManifestVersionError,
    decode_manifest,
    encode_manifest,
)


def a_manifest() -> Manifest:
    return Manifest(
        EncoderIdentity("kmer-4", "built-in", "none", "ab" * 32, "frequency", -1, "float32", "k/1"),
        width=256,
        rows_per_shard=8,
        shards=(Shard(0, 8, "0" * 64), Shard(2, 3, "f" * 64)),
        quarantined=(Quarantined(1, 8, 'a "quoted" reason'),),
    )


def resealed(document: dict[str, Any]) -> bytes:
    """A forged manifest: any content with the right seal."""
    body = {name: value for name, value in document.items() if name != "sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return json.dumps({**body, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def test_what_is_written_is_read() -> None:
    content = encode_manifest(a_manifest())
    assert decode_manifest(content) == a_manifest()
    assert encode_manifest(decode_manifest(content)) == content
    assert json.loads(content)["row_count"] == 11
    assert a_manifest().next_slot == 3


def test_a_million_rows_are_a_small_manifest() -> None:
    shards = tuple(Shard(slot, 2048, "0" * 64) for slot in range(490))
    assert len(encode_manifest(Manifest(a_manifest().identity, 256, 2048, shards))) < 80_000


@given(st.data())
@settings(max_examples=200)
def test_no_changed_byte_is_believed(data: st.DataObject) -> None:
    content = bytearray(encode_manifest(a_manifest()))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decode_manifest(bytes(content)) == a_manifest()  # white space may change
    except (DamagedManifestError, UnknownManifestVersionError):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedManifestError):
        decode_manifest(content)


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, 1.5])
def test_another_version_is_named_not_read(version: object) -> None:
    document = json.loads(encode_manifest(a_manifest()))
    with pytest.raises(UnknownManifestVersionError):
        decode_manifest(resealed({**document, "version": version}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "something else"),
        ("width", 0),
        ("width", "256"),
        ("dtype", "float64"),
        ("rows_per_shard", 4),
        ("row_count", 12),
        ("shards", [{"slot": 0, "rows": 8, "row_file_sha256": "0" * 64}] * 2),
        ("shards", [{"slot": -1, "rows": 8, "row_file_sha256": "0" * 64}]),
        ("shards", [{"slot": 0, "rows": 8, "row_file_sha256": "../../etc"}]),
        ("shards", [{"slot": 0, "rows": 8}]),
        ("quarantined", [{"slot": 0, "rows": 8, "reason": "twice"}]),
        ("identity", {"model_id": "x"}),
        ("identity", None),
        ("unknown", 1),
    ],
)
def test_a_sealed_contradiction_is_refused(field: str, value: object) -> None:
    document = json.loads(encode_manifest(a_manifest()))
    with pytest.raises(DamagedManifestError):
        decode_manifest(resealed({**document, field: value}))


def test_folder_names_are_safe_and_apart() -> None:
    base = a_manifest().identity.as_dict()
    hostile = ["../x", "/etc/passwd", "a\x00b", "CON", "ü" * 300, "", ".hidden", "-rf", "a b/c"]
    names = [folder_name(EncoderIdentity(**{**base, "model_id": name}), 4) for name in hostile]
    assert len(set(names)) == len(hostile)
    for name in names:
        assert name.isascii() and len(name) < 100
        assert not set(name) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )
        assert not name.startswith((".", "-")) and ".." != name


def test_fields_added_with_an_empty_default_keep_old_keys() -> None:
    identity = a_manifest().identity
    named = {name: value for name, value in identity.as_dict().items() if value != ""}
    fields = {"identity": named, "width": 256, "dtype": "float32"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert key_hash(identity, 256) == hashlib.sha256(text.encode()).hexdigest()
