"""Texts in one buffer against a list of texts, and distinct sequences against a dictionary."""

from __future__ import annotations

import hashlib
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.data.distinct import distinct_sequences
from geneb_jax.data.text_buffer import TextBuffer, text_lengths, texts_at

some_texts = st.lists(st.text(alphabet="ACGTé☃\U0001f9ec", max_size=6), max_size=12)


def check_a_buffer(parts: list[list[str]], data: st.DataObject) -> None:
    texts, buffer = [text for part in parts for text in part], TextBuffer()
    for part in parts:
        buffer.extend(part)
    for one in (buffer, TextBuffer(texts), pickle.loads(pickle.dumps(buffer))):
        assert len(one) == len(texts) and list(one) == texts and one == tuple(texts)
        assert one == buffer and one != TextBuffer([*texts, "A"])
        assert one.lengths.tolist() == [len(text) for text in texts]
        assert one[1:-1] == tuple(texts[1:-1]) and one[::-2] == tuple(texts[::-2])
        for at in range(-len(texts), len(texts)):
            assert one[at] == texts[at]
        with pytest.raises(IndexError):
            one[len(texts)]
    some = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5)) if texts else []
    positions = np.array(some, np.int64)
    assert texts_at(buffer, positions) == texts_at(texts, positions) == buffer.take(positions)
    assert text_lengths(buffer).tolist() == text_lengths(texts).tolist()


@given(st.lists(some_texts, max_size=4), st.data())
def test_a_buffer_equals_a_list(parts: list[list[str]], data: st.DataObject) -> None:
    check_a_buffer(parts, data)


@given(st.lists(st.tuples(some_texts, some_texts), max_size=3))
def test_distinct_sequences_equal_a_dictionary(tables: list[tuple[list[str], list[str]]]) -> None:
    found = distinct_sequences(
        [SimpleNamespace(train_sequences=train, test_sequences=test) for train, test in tables]
    )
    first: dict[str, int] = {}
    for table in tables:
        for split in table:
            for text in split:
                first.setdefault(text, len(first))
    assert tuple(found.sequences) == tuple(first)
    expected = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in first]
    assert found.digests.tobytes() == b"".join(expected)
    for (train, test), train_rows, test_rows in zip(
        tables, found.train_rows, found.test_rows, strict=True
    ):
        assert train_rows.tolist() == [first[text] for text in train]
        assert test_rows.tolist() == [first[text] for text in test]
