"""The digest look-up against a dictionary, and row checksums against Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.store.digests import DigestIndex, digest_rows, first_occurrences
from geneb_jax.store.row_checksums import row_checksums
from geneb_jax.store.row_files import RowFile
from geneb_jax.store.row_table import RowTable

# Few distinct bytes and many shared halves: the cases that a 64-bit search alone gets wrong.
halves = st.sampled_from([bytes(8), b"\xff" * 8, b"\x00" * 7 + b"\x01", b"\x01" + b"\x00" * 7])
some_digests = st.lists(st.tuples(halves, halves).map(lambda pair: pair[0] + pair[1]), max_size=30)


def as_array(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


@given(some_digests, some_digests)
def test_positions_equal_a_dictionary(stored: list[bytes], asked: list[bytes]) -> None:
    stored = list(dict.fromkeys(stored))
    where = {digest: at for at, digest in enumerate(stored)}
    found = DigestIndex(as_array(stored)).positions(as_array(asked))
    assert found.tolist() == [where.get(digest, -1) for digest in asked]


@given(some_digests)
def test_first_occurrences_equal_a_dictionary(digests: list[bytes]) -> None:
    first: dict[bytes, int] = {}
    for at, digest in enumerate(digests):
        first.setdefault(digest, at)
    assert first_occurrences(as_array(digests)).tolist() == list(first.values())


@given(st.lists(st.integers(1, 9), max_size=12))
def test_a_growing_table_equals_a_dictionary(sizes: list[int]) -> None:
    rng = np.random.default_rng(len(sizes))
    table, where, checksum = RowTable(rows_per_shard=10), {}, {}
    for slot, size in enumerate(sizes):
        digests = rng.integers(0, 256, (size, 16)).astype(np.uint8)
        if where and slot % 2:  # a row that another shard holds already: the first one counts
            digests[0] = np.frombuffer(list(where)[-1], np.uint8)
        sums = rng.integers(0, 2**63, size).astype(np.uint64)
        table.extend([RowFile("", slot, 1, 10, digests, sums)])
        for row in range(size):
            where.setdefault(digests[row].tobytes(), slot * 10 + row)
            checksum.setdefault(digests[row].tobytes(), int(sums[row]))
    assert len(table) == len(where)
    wanted = np.frombuffer(b"".join(where), np.uint8).reshape(-1, 16)
    places, checksums = table.find(wanted)
    assert places.tolist() == list(where.values())
    assert checksums.tolist() == list(checksum.values())
    assert table.find(np.zeros((2, 16), np.uint8))[0].tolist() == [-1, -1]


def test_digests_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        digest_rows([bytes(15)])
    with pytest.raises(ValueError, match="uint8"):
        digest_rows(np.zeros((3, 8), np.uint8))
    assert digest_rows([]).shape == (0, 16)


def test_checksums_equal_the_formula_in_python_integers() -> None:
    def multiplier(index: int) -> int:
        state = (index + 1) * 0x9E3779B97F4A7C15 % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return (state ^ (state >> 31)) | 1

    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (50, 16)).astype(np.uint8)
    rows = rng.standard_normal((50, 7)).astype(np.float32)
    expected = []
    for digest, row in zip(digests, rows, strict=True):
        values = [int.from_bytes(value.tobytes(), "little") for value in row.astype("<f4")]
        text = digest.tobytes()
        values += [int.from_bytes(text[:8], "little"), int.from_bytes(text[8:], "little")]
        products = (value * multiplier(at) for at, value in enumerate(values))
        expected.append(sum(products) % 2**64)
    assert row_checksums(digests, rows).tolist() == expected


def test_a_checksum_binds_a_row_to_its_sequence_and_order() -> None:
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (64, 16)).astype(np.uint8)
    rows = rng.standard_normal((64, 300)).astype(np.float32)
    right = row_checksums(digests, rows)
    assert len(set(right.tolist())) == 64
    assert not (row_checksums(digests[::-1].copy(), rows) == right).any()
    assert not (row_checksums(digests, rows[:, ::-1]) == right).any()
    signs = np.where(rows == 0, rows, -rows)
    assert not (row_checksums(digests, signs) == right).any()
