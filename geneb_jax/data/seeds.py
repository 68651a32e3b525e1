"""Words that two sequences share, by position: where a near repeat may lie.

Every word of k letters is hashed and one in ``keep`` of the hashes is kept, the same ones in every
sequence (a "scaled" MinHash sketch), so that a word which two sequences share is in both sketches
or in neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "SeedHits",
    "Seeding",
    "Seeds",
    "find_hits",
    "find_seeds",
    "letter_codes",
    "seeds_among",
    "sorted_seeds",
]

_OTHER = 4
#: Letters hashed at once: few enough to stay in a processor's cache.
_BLOCK_LETTERS = 2**18
#: First bits of a hashed word by which those that no query holds are left out.
_FILTER_BITS = 22
_MIXER = np.uint32(0x9E3779B1)  # odd, so it is one to one on 32 bits (Knuth's multiplicative hash)


def _code_table() -> np.ndarray:
    table = np.full(256, _OTHER, np.uint8)
    for code, letters in enumerate(("Aa", "Cc", "Gg", "TtUu")):
        table[[ord(letter) for letter in letters]] = code
    return table


_CODES = _code_table()


@dataclass(frozen=True, slots=True)
class Seeding:
    """Which words are seeds.

    Attributes:
        word: Letters of a word, at most 16.
        keep: One word in so many is kept.
    """

    word: int
    keep: int


@dataclass(frozen=True, slots=True, eq=False)
class Seeds:
    """The seeds of many sequences, sequence after sequence, in the order of their positions.

    Attributes:
        words: uint32 ``[seed]``, the hashed word.
        rows: int32 ``[seed]``, the sequence.
        starts: int32 ``[seed]``, letters before it.
    """

    words: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def part(self, chosen: np.ndarray | slice) -> Seeds:
        """Some of them, by position."""
        return Seeds(self.words[chosen], self.rows[chosen], self.starts[chosen])


def letter_codes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A, C, G, T or U as 0 to 3, case ignored, and 4 for anything else; a 4 ends every sequence.

    Returns:
        uint8 ``[letters]`` and int64 ``[n + 1]``, where each sequence starts.
    """
    joined = "\n".join((*texts, "")).encode("ascii", "replace")
    codes = _CODES[np.frombuffer(joined, np.uint8)]
    lengths = np.fromiter(map(len, texts), np.int64, count=len(texts))
    return codes, np.concatenate([[0], np.cumsum(lengths + 1)])


def find_seeds(texts: Sequence[str], seeding: Seeding) -> Seeds:
    """The seeds of each sequence; words with a letter other than A, C, G, T, U are none."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    parts: list[Seeds] = []
    first = 0
    while first < len(texts):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + _BLOCK_LETTERS)) + 1
        parts.append(_block_seeds(texts[first:last], first, seeding))
        first = last
    if len(parts) == 1:
        return parts[0]
    if not parts:
        none = np.zeros(0, np.int32)
        return Seeds(none.astype(np.uint32), none, none)
    return Seeds(
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.starts for part in parts]),
    )


def _block_seeds(texts: Sequence[str], first_row: int, seeding: Seeding) -> Seeds:
    codes, begins = letter_codes(texts)
    size = len(codes) - seeding.word + 1
    if size <= 0:
        none = np.zeros(0, np.int32)
        return Seeds(none.astype(np.uint32), none, none)
    words = _words(codes, seeding.word)[:size] * _MIXER
    bad = np.concatenate([[0], np.cumsum(codes == _OTHER, dtype=np.int32)])
    kept = bad[seeding.word :] == bad[:size]
    if seeding.keep > 1:
        kept &= words < np.uint32(2**32 // seeding.keep)
    places = np.flatnonzero(kept)
    rows = np.repeat(np.arange(len(texts)), np.diff(begins))[places]
    return Seeds(
        words[places],
        (rows + first_row).astype(np.int32),
        (places - begins[rows]).astype(np.int32),
    )


def _words(codes: np.ndarray, size: int) -> np.ndarray:
    """uint32: the word that starts at each letter, two bits a letter, by doubling its length."""
    power = (codes & 3).astype(np.uint32)
    done, length = np.zeros(len(codes), np.uint32), 0
    span = 1
    while True:
        if size & span:
            done = (done << np.uint32(2 * span)) | _shifted(power, length)
            length += span
        if length == size:
            return done
        power = (power << np.uint32(2 * span)) | _shifted(power, span)
        span *= 2


def _shifted(values: np.ndarray, by: int) -> np.ndarray:
    moved = np.zeros_like(values)
    moved[: len(values) - by] = values[by:]
    return moved


@dataclass(frozen=True, slots=True, eq=False)
class SeedHits:
    """Where each of a query's seeds stands in an index.

    Attributes:
        query: What was looked up.
        low: int64 ``[seed]``, the first indexed seed of the same word.
        counts: int64 ``[seed]``, how many of them count.
    """

    query: Seeds
    low: np.ndarray
    counts: np.ndarray

    def part(self, first: int, last: int) -> SeedHits:
        """The hits of some of the seeds."""
        chosen = slice(first, last)
        return SeedHits(self.query.part(chosen), self.low[chosen], self.counts[chosen])


def seeds_among(seeds: Seeds, *queries: Seeds) -> Seeds:
    """The seeds whose word a query may hold; all that one does hold are among them, in order."""
    there = np.zeros(1 << _FILTER_BITS, bool)
    down = np.uint32(32 - _FILTER_BITS)
    for query in queries:
        there[query.words >> down] = True
    return seeds.part(np.flatnonzero(there[seeds.words >> down]))


def sorted_seeds(seeds: Seeds) -> Seeds:
    """The same seeds by word; equal words in the order they had."""
    order = _order(seeds.words)
    return seeds.part(order)


def find_hits(index: Seeds, query: Seeds, *, most: int) -> SeedHits:
    """Look the words of a query up.

    Args:
        index: Sorted by word (:func:`sorted_seeds`).
        query: What is looked up.
        most: Indexed seeds of one word that count: the first ones. A word that many sequences have
            (a poly-A tail, a repeat family) says little, and which rows stand for it is the same
            for every query, so that a family's members still meet in the same rows.
    """
    order = _order(query.words)  # a search for ascending words stays in the processor's cache
    words = query.words[order]
    low, counts = np.empty((2, len(order)), np.int64)
    first = np.searchsorted(index.words, words, side="left")
    low[order] = first
    counts[order] = np.searchsorted(index.words, words, side="right") - first
    return SeedHits(query, low, np.minimum(counts, most))


def _order(words: np.ndarray) -> np.ndarray:
    """The stable order of words; sorting one packed number a seed is faster than an argsort."""
    packed = (words.astype(np.uint64) << np.uint64(32)) | np.arange(len(words), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64(2**32 - 1)).astype(np.int64)
