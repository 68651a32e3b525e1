"""Counts of rows are made once: from the shards of a run, and read by the next one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.data import SequenceTable, distinct_sequences, sequence_digest
from geneb_jax.data.text_buffer import TextBuffer
from geneb_jax.embed import RowCounts, ShardRows, embed_into, open_store, row_counts
from geneb_jax.models import load_encoder
from geneb_jax.runs import kept_counts
from geneb_jax.runs.kept_counts import CountsOfShards, find_counts, keep_counts, known_counts

TEXTS = ["ACGTACGTTT", "NNACGTACGT", "AC", "GATTACAGATTACA", "ACGTNACGTA"]
_FIELDS = ("tokens", "cut_bp", "windows", "unknown_bp", "unknown_tokens")


@pytest.fixture(autouse=True)
def _forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    kept_counts._last.clear()


def table() -> SequenceTable:
    digests = np.frombuffer(b"".join(map(sequence_digest, TEXTS)), np.uint8).reshape(-1, 16)
    return SequenceTable(TextBuffer(TEXTS), digests, (), ())


def assert_same(found: RowCounts | None, expected: RowCounts | None) -> None:
    assert found is not None and expected is not None
    for name in _FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_shards_in_any_order_give_the_counts_of_the_table(tmp_path: Path) -> None:
    encoder, sequences = load_encoder("kmer-4"), table()
    counted = CountsOfShards(len(TEXTS))
    shards: list[ShardRows] = []
    store = open_store(str(tmp_path / "store"), encoder)
    embed_into(store, encoder, sequences, on_shard=shards.append)
    for shard in shards:
        counted.add(shard)
    assert_same(counted.total(), row_counts(encoder, TEXTS))
    partial = CountsOfShards(len(TEXTS) + 1)
    for shard in shards:
        partial.add(shard)
    assert partial.total() is None


def test_counts_are_found_by_texts_and_by_what_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, sequences = load_encoder("kmer-4"), table()
    expected = row_counts(encoder, TEXTS)
    assert find_counts(encoder.identity, sequences) is None
    assert_same(known_counts(encoder.identity, encoder, sequences), expected)
    kept_counts._last.clear()  # another process
    monkeypatch.setattr(kept_counts, "row_counts", lambda *_: pytest.fail("counted again"))
    assert_same(known_counts(encoder.identity, encoder, sequences), expected)
    assert find_counts(load_encoder("kmer-5").identity, sequences) is None
    windows = replace(encoder.identity, overlong="windows:5:5")
    assert find_counts(windows, sequences) is None
    elsewhere = replace(encoder.identity, layer=3, pooling="max")  # of the same tokens
    assert_same(find_counts(elsewhere, sequences), expected)
    fewer = distinct_sequences(())
    assert find_counts(encoder.identity, fewer) is None


def test_damaged_counts_are_made_again() -> None:
    encoder, sequences = load_encoder("kmer-4"), table()
    expected = known_counts(encoder.identity, encoder, sequences)
    path = kept_counts.counts_path(encoder.identity, sequences)
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        kept_counts._last.clear()
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert find_counts(encoder.identity, sequences) is None
    for bad in (b"", content[: len(content) // 2], b"PK"):
        kept_counts._last.clear()
        path.write_bytes(bad)
        assert find_counts(encoder.identity, sequences) is None
    path.unlink()
    assert expected is not None
    keep_counts(encoder.identity, sequences, expected)
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_in_the_place_of_counts_is_no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, sequences = load_encoder("kmer-4"), table()
    path = kept_counts.counts_path(encoder.identity, sequences)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("waits for a writer for ever"))
    assert find_counts(encoder.identity, sequences) is None
