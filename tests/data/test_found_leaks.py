"""The search for leaks is done once for the same data; pairs of sequences against a plain loop."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from geneb_jax.data import find_leaks, kept_leaks
from geneb_jax.data.seed_pairs import shared_pairs
from geneb_jax.data.seeds import Seeding, find_hits, find_seeds, seeds_among, sorted_seeds

BASES = np.array(list("ACGT"))


def texts(count: int, bp: int, seed: int) -> list[str]:
    drawn = np.random.default_rng(seed).integers(0, 4, (count, bp))
    return ["".join(row) for row in BASES[drawn]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leaks"


def table(train: list[str], test: list[str], digest: str) -> SimpleNamespace:
    return SimpleNamespace(train_sequences=train, test_sequences=test, digest=digest)


def test_finds_are_kept_by_content_and_damage_is_searched_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = texts(40, 120, 0)
    near = "G" + train[2][1:60] + "T" + train[2][61:]
    one = table(train, [train[0], near, texts(1, 120, 7)[0], ""], "1" * 64)
    kinds, identity = find_leaks(one.train_sequences, one.test_sequences)
    assert kinds.tolist() == [3, 1, 0, 0]
    searched: list[int] = []

    def search(*parts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        searched.append(1)
        return find_leaks(*parts)

    monkeypatch.setattr("geneb_jax.data.found_leaks.find_leaks", search)
    for expected in (1, 1):
        found = kept_leaks(one)
        assert found[0].tolist() == kinds.tolist()
        np.testing.assert_array_equal(found[1], identity)
        assert len(searched) == expected
    (file,) = cache.iterdir()
    content = file.read_text()
    file.write_text(content.replace('"3100"', '"0100"'))
    assert kept_leaks(one)[0].tolist() == kinds.tolist()
    assert len(searched) == 2
    kept_leaks(table(train, one.test_sequences, "2" * 64))
    assert len(searched) == 3


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file, where a folder should be")
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    train = texts(5, 60, 1)
    assert kept_leaks(table(train, train[:1], "3" * 64))[0].tolist() == [3]


@pytest.mark.parametrize("bits", [63, 10])
def test_pairs_are_those_of_a_plain_loop(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few bits nothing fits into one number, and columns are sorted one by one."""
    monkeypatch.setattr("geneb_jax.data.seed_pairs._BITS", bits)
    seeding = Seeding(word=4, keep=1)
    train, asked = texts(30, 40, 2), texts(12, 30, 3)
    index, query = find_seeds(train, seeding), find_seeds(asked, seeding)
    hits = find_hits(sorted_seeds(seeds_among(index, query)), query, most=10**6)
    found = shared_pairs(sorted_seeds(seeds_among(index, query)), hits, most=5)
    shared: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, text in enumerate(asked):
        for other, sequence in enumerate(train):
            for i in range(len(text) - 3):
                for j in range(len(sequence) - 3):
                    if text[i : i + 4] == sequence[j : j + 4]:
                        shared[row, other].append(j - i)
    expected = []
    for row in range(len(asked)):
        pairs = [(-len(at), other, sorted(at)) for (r, other), at in shared.items() if r == row]
        for rank, (votes, other, at) in enumerate(sorted(pairs)[:5]):
            expected.append((row, other, at[-votes // 2], rank))
    columns = (found.row, found.other, found.shift, found.rank)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
