"""F38: what json.loads accepts and JSON does not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.strict_json import parse_json, read_json

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(documents, st.booleans())
@settings(deadline=None)
def test_json_is_read_as_json_reads_it(document: object, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        return
    assert parse_json(content, deepest=200) == document


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 1}', "'a' occurs twice"),
        (b'{"x": {"a": 1, "b": 2, "a": 3}}', "'a' occurs twice"),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e400]", "1e400"),
        (b"[-1e999]", "-1e999"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[" * 9 + b"]" * 9, "deeper"),
        (b"[" * 1_000_000, "deeper"),
        (b'{"a":' * 100_000, "deeper"),
        (b"[" + b"9" * 5000 + b"]", "5000 digits"),
        (b"[" + b"9" * 310 + b"]", "310 digits"),
        (b'["\\ud800"]', "half a letter"),
        (b'{"\\udc00": 1}', "half a letter"),
    ],
)
@pytest.mark.fault("F38", "F70")
def test_what_is_not_strict_json_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(content, deepest=8)


def test_brackets_in_texts_are_not_depth() -> None:
    text = "[" * 1000 + '"\\' * 3
    assert parse_json(json.dumps([text]).encode(), deepest=1) == [text]


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b'"' + b"x" * 2000 + b'"')
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        read_json(path, largest_bytes=1000, deepest=8)


def test_a_pair_of_surrogates_is_a_letter() -> None:
    assert parse_json(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


@pytest.mark.parametrize(
    "content",
    [
        b'"' + b'\\"' * 4_000_000,  # a text without an end, of quotes that do not end it
        b"[" * 70 + b'"\\' * 2_000_000,
        b"[" * 70 + b"1" * 8_000_000,
        b'{"a": 1' + b" " * 8_000_000,
        b"[" * 70 + b"\\" * 8_000_000,
    ],
)
@pytest.mark.fault("F72")
def test_reading_takes_no_longer_than_the_file_is_long(content: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=r"not JSON|deeper|digits"):
        parse_json(content, deepest=64)
    assert time.process_time() - started < 5  # quadratic: hours
