"""Test sequences that are nearly a training sequence, or nearly its reverse complement.

Candidates come from shared words (:mod:`geneb_jax.data.seeds`), the verdict from an edit distance
(rapidfuzz's Levenshtein) over the part that both sequences cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from geneb_jax.data.seeds import (
    SeedHits,
    Seeding,
    Seeds,
    find_hits,
    find_seeds,
    shared_seeds,
    sorted_seeds,
)

__all__ = ["COVERAGE", "DIVERGENCE", "NearRepeats", "near_repeats", "reverse_complement"]

#: Differences a letter of a near repeat: a copy in which 5% of the letters were changed.
DIVERGENCE = 0.05
#: Least part of a test sequence that a near repeat covers (CD-HIT's and MMseqs2's usual one).
COVERAGE = 0.8
#: Shorter sequences have too few words: they are compared whole only.
SHORTEST_BP = 24

#: A copy changed at the rate of DIVERGENCE has at most the allowed differences this often.
_CAUGHT = 0.995
#: (longest test sequence in bp, how its seeds are chosen): some tens of words a sequence, short
#: enough that a copy with 5% of its letters changed keeps several whole.
_SEEDINGS = (
    (100, Seeding(word=10, keep=1)),
    (400, Seeding(word=14, keep=2)),
    (2000, Seeding(word=16, keep=8)),
    (2**31, Seeding(word=16, keep=32)),
)
_MOST_ROWS_A_WORD = 32
_CANDIDATES = 8
_BLOCK_HITS = 2**23

_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVacgturyswkmbdhv", "TGCAAYRSWMKVHDBtgcaayrswmkvhdb")


def reverse_complement(text: str) -> str:
    """The other strand, read in its own direction; IUPAC letters too, others stay themselves."""
    return text.translate(_COMPLEMENT)[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class NearRepeats:
    """What near repeats were found of each test sequence; the first found of several.

    Attributes:
        partner: int64 ``[test]``: position of a training sequence, -1 for none.
        identity: float64 ``[test]``: 1 - differences / length of the part both cover; NaN for none.
        reverse: Bool ``[test]``: it is near the training sequence's other strand.
    """

    partner: np.ndarray
    identity: np.ndarray
    reverse: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """Bool ``[test]``."""
        return self.partner >= 0


def near_repeats(train: Sequence[str], test: Sequence[str]) -> NearRepeats:
    """Find test sequences that are a training sequence with some 5% of its letters changed.

    A near repeat covers at least :data:`COVERAGE` of the test sequence, on either strand, shifted
    or not, and differs there (substitutions, insertions, deletions) in no more letters than a copy
    with a rate of :data:`DIVERGENCE` does in 99.5% of cases: of 200 letters in 19, of 1,000 in 69.
    Case is ignored, U is T.

    Args:
        train: Training sequences, best without repeats.
        test: Test sequences, likewise.

    Returns:
        The finds. Sequences below :data:`SHORTEST_BP` have none.
    """
    forward = [text.upper().replace("U", "T") for text in train]
    queries = [text.upper().replace("U", "T") for text in test]
    found = NearRepeats(
        np.full(len(test), -1, np.int64), np.full(len(test), np.nan), np.zeros(len(test), bool)
    )
    lengths = np.fromiter(map(len, queries), np.int64, count=len(queries))
    shortest = SHORTEST_BP
    for longest, seeding in _SEEDINGS:
        rows = np.flatnonzero((lengths >= shortest) & (lengths < longest))
        shortest = longest
        if not len(rows):
            continue
        index = sorted_seeds(find_seeds(forward, seeding))
        for reverse in (False, True):
            open_rows = rows[~found.found[rows]]
            texts = [queries[row] for row in open_rows.tolist()]
            if reverse:
                texts = [reverse_complement(text) for text in texts]
            partner, identity = _search(forward, texts, index, seeding)
            hit = partner >= 0
            found.partner[open_rows[hit]] = partner[hit]
            found.identity[open_rows[hit]] = identity[hit]
            found.reverse[open_rows[hit]] = reverse
    return found


def _search(
    train: list[str], texts: list[str], index: Seeds, seeding: Seeding
) -> tuple[np.ndarray, np.ndarray]:
    """A near training sequence of each text (-1 for none), and their identity."""
    partner, identity = np.full(len(texts), -1, np.int64), np.full(len(texts), np.nan)
    hits = find_hits(index, find_seeds(texts, seeding), most=_MOST_ROWS_A_WORD)
    for part in _blocks(hits):
        pairs = _candidates(*shared_seeds(index, part))
        for rank in range(_CANDIDATES):
            rows, others, shifts = (
                column[(pairs.rank == rank) & (partner[pairs.row] < 0)]
                for column in (pairs.row, pairs.other, pairs.shift)
            )
            score = _identities(train, texts, rows, others, shifts)
            good = np.isfinite(score)
            partner[rows[good]], identity[rows[good]] = others[good], score[good]
    return partner, identity


def _blocks(hits: SeedHits) -> list[SeedHits]:
    """The query in parts with a bounded number of hits; all seeds of a row are in one part."""
    rows = hits.query.rows
    if not len(rows):
        return []
    part = np.cumsum(hits.counts) // _BLOCK_HITS
    part = part[np.searchsorted(rows, rows, side="left")]  # of the row's first seed
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(part)]
    return [hits.part(first, last) for first, last in pairwise(cuts)]


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Candidates: text ``row``, training sequence ``other``, diagonal, and rank by shared words."""

    row: np.ndarray
    other: np.ndarray
    shift: np.ndarray
    rank: np.ndarray


def _candidates(rows: np.ndarray, others: np.ndarray, shifts: np.ndarray) -> _Pairs:
    """The training sequences that share most words with each text, in the middle diagonal."""
    if not len(rows):
        return _Pairs(rows, others, shifts, rows)
    order = np.lexsort((shifts, others, rows))
    rows, others, shifts = rows[order], others[order], shifts[order]
    new = np.concatenate([[True], (np.diff(rows) != 0) | (np.diff(others) != 0)])
    starts = np.flatnonzero(new)
    votes = np.diff(np.concatenate([starts, [len(rows)]]))
    row, other, shift = rows[starts], others[starts], shifts[starts + votes // 2]
    best = np.lexsort((-votes, row))
    row, other, shift = row[best], other[best], shift[best]
    rank = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    few = rank < _CANDIDATES
    return _Pairs(row[few], other[few], shift[few], rank[few])


def _identities(
    train: list[str], texts: list[str], rows: np.ndarray, others: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Identity of each pair over the part both cover; NaN for what is no near repeat."""
    scores = np.full(len(rows), np.nan)
    if not len(rows):
        return scores
    parts = [
        _overlap(texts[row], train[other], shift)
        for row, other, shift in zip(rows.tolist(), others.tolist(), shifts.tolist(), strict=True)
    ]
    whole = [
        (texts[row], train[other])
        for row, other in zip(rows.tolist(), others.tolist(), strict=True)
    ]
    sizes = np.array([len(texts[row]) for row in rows.tolist()])
    for pairs in (parts, whole):
        # Insertions and deletions drift off the diagonal; the whole of two alike in length do not.
        scores = np.fmax(scores, _scores(pairs, sizes))
    return scores


def _overlap(text: str, other: str, shift: int) -> tuple[str, str]:
    """The parts of two sequences that lie beside each other on a diagonal."""
    start = max(0, -shift)
    length = min(len(text), len(other) - shift) - start
    return text[start : start + length], other[start + shift : start + shift + length]


def _scores(pairs: list[tuple[str, str]], sizes: np.ndarray) -> np.ndarray:
    # Loaded when needed: most verbs that read task files never look for repeats.
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist
    from scipy.stats import binom

    ours = np.array([len(one) for one, _ in pairs])
    theirs = np.array([len(two) for _, two in pairs])
    allowed = binom.ppf(_CAUGHT, ours, DIVERGENCE)
    fits = (ours >= COVERAGE * sizes) & (np.abs(ours - theirs) <= allowed)
    scores = np.full(len(pairs), np.nan)
    chosen = np.flatnonzero(fits)
    if not len(chosen):
        return scores
    ask = [pairs[place] for place in chosen.tolist()]
    distance = cpdist(
        [one for one, _ in ask],
        [two for _, two in ask],
        scorer=Levenshtein.distance,
        score_cutoff=int(allowed[chosen].max()),
        dtype=np.int32,
    )
    good = distance <= allowed[chosen]
    scores[chosen[good]] = 1 - distance[good] / ours[chosen[good]]
    return scores
