"""The manifest and its entries: one content, one form; no other bytes are believed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.identity import EncoderIdentity
from geneb_jax.store.contents import Contents
from geneb_jax.store.entries import (
    Entry,
    IndexFile,
    Quarantined,
    Shard,
    decode_entry,
    encode_entry,
)
from geneb_jax.store.keys import folder_name, key_hash
from geneb_jax.store.manifest import (
    DamagedManifestError,
    Manifest,
    UnknownManifestVersionError,
    decode_manifest,
    encode_manifest,
)


def a_manifest() -> Manifest:
    return Manifest(
        EncoderIdentity("kmer-4", "built-in", "none", "ab" * 32, "frequency", -1, "float32", "k/1"),
        width=256,
        rows_per_shard=8,
    )


KEY = key_hash(a_manifest().identity, 256)


def an_entry() -> Entry:
    return Entry(
        shards=(Shard(0, 8, "0" * 64), Shard(2, 3, "f" * 64)),
        quarantined=(Quarantined(1, 8, 'a "quoted" reason'),),
        merged=(3, 4, 5, 9),
        indexes=(IndexFile(f"index/{'ab' * 16}", 11, (0, 2, 3)),),
    )


def resealed(document: dict[str, Any]) -> bytes:
    """A forged file: any content with the right seal."""
    body = {name: value for name, value in document.items() if name != "sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return json.dumps({**body, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def test_what_is_written_is_read() -> None:
    content = encode_manifest(a_manifest())
    assert decode_manifest(content) == a_manifest()
    assert encode_manifest(decode_manifest(content)) == content
    entry = encode_entry(an_entry(), KEY)
    assert decode_entry(entry, KEY) == an_entry()
    assert json.loads(entry)["merged"] == [[3, 5], [9, 9]]


def test_the_entry_of_a_commit_has_one_size_and_a_million_rows_are_a_small_summary() -> None:
    sizes = {
        len(encode_entry(Entry((Shard(slot, 2048, "0" * 64),)), KEY)) for slot in (10, 1000, 99_999)
    }
    assert max(sizes) < 600 and max(sizes) - min(sizes) < 8
    shards = tuple(Shard(slot, 2048, "0" * 64) for slot in range(490))
    assert len(encode_entry(Entry(shards), KEY)) < 80_000


@given(st.data())
@settings(max_examples=200)
def test_no_changed_byte_is_believed(data: st.DataObject) -> None:
    manifest = data.draw(st.booleans())
    content = bytearray(
        encode_manifest(a_manifest()) if manifest else encode_entry(an_entry(), KEY)
    )
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    try:  # white space may change
        if manifest:
            assert decode_manifest(bytes(content)) == a_manifest()
        else:
            assert decode_entry(bytes(content), KEY) == an_entry()
    except (DamagedManifestError, UnknownManifestVersionError):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedManifestError):
        decode_manifest(content)
    with pytest.raises(DamagedManifestError):
        decode_entry(content, KEY)


@pytest.mark.parametrize("version", [0, 1, 99, "2", None, 2.5])
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
        ("rows_per_shard", 0),
        ("identity", {"model_id": "x"}),
        ("identity", None),
        ("unknown", 1),
    ],
)
def test_a_sealed_contradiction_is_refused(field: str, value: object) -> None:
    document = json.loads(encode_manifest(a_manifest()))
    with pytest.raises(DamagedManifestError):
        decode_manifest(resealed({**document, field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "1" * 64),
        ("shards", [{"slot": 0, "rows": 8, "row_file_sha256": "0" * 64}] * 2),
        ("shards", [{"slot": -1, "rows": 8, "row_file_sha256": "0" * 64}]),
        ("shards", [{"slot": 0, "rows": 8, "row_file_sha256": "../../etc"}]),
        ("shards", [{"slot": 0, "rows": 8}]),
        ("shards", None),
        ("quarantined", [{"slot": 0, "rows": 8, "reason": "twice"}]),
        ("merged", [[0, 0]]),
        ("merged", [[5, 4]]),
        ("merged", [[6, 1 << 40]]),
        ("merged", [[6]]),
        ("merged", 3),
        ("indexes", [{"name": "../../etc/passwd", "rows": 1, "slots": [[0, 0]]}]),
        ("indexes", [{"name": f"index/{'ab' * 16}", "rows": 1, "slots": 0}]),
        ("indexes", [3]),
        ("unknown", 1),
    ],
)
def test_a_sealed_contradiction_in_an_entry_is_refused(field: str, value: object) -> None:
    document = json.loads(encode_entry(an_entry(), KEY))
    with pytest.raises(DamagedManifestError):
        decode_entry(resealed({**document, field: value}), KEY)


def test_entries_add_up_whatever_their_order() -> None:
    first = Entry((Shard(0, 8, "0" * 64), Shard(1, 8, "1" * 64)))
    second = Entry((Shard(2, 5, "2" * 64),), merged=(1,))
    third = Entry(quarantined=(Quarantined(0, 8, "damaged"),))
    entries = {"a": first, "b": second, "c": third}
    at_once = Contents(a_manifest()).with_entries(entries)
    assert list(at_once.shards) == [2] and at_once.row_count == 5
    assert at_once.last_slot == 2 and all(map(at_once.knows, range(3)))
    for order in ("abc", "cba", "bca"):
        contents = Contents(a_manifest())
        for count in range(1, 4):
            contents = contents.with_entries({name: entries[name] for name in order[:count]})
        assert contents.shards == at_once.shards and contents.merged == at_once.merged
        assert contents.quarantined == at_once.quarantined
    with pytest.raises(DamagedManifestError, match="disagree on shard 2"):
        at_once.with_entries({**entries, "d": Entry((Shard(2, 6, "3" * 64),))})
    with pytest.raises(DamagedManifestError, match="more rows than fit"):
        at_once.with_entries({**entries, "d": Entry((Shard(3, 9, "3" * 64),))})


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
