"""Test sequences that are nearly a training sequence, or nearly its reverse complement.

Candidates come from shared words (:mod:`geneb_jax.data.seeds`), the verdict from an edit distance
(rapidfuzz's Levenshtein) over the part that both sequences cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from geneb_jax.data.seed_pairs import shared_pairs
from geneb_jax.data.seeds import (
    SeedHits,
    Seeding,
    Seeds,
    find_hits,
    find_seeds,
    seeds_among,
    sorted_seeds,
)

__all__ = [
    "COVERAGE",
    "DIVERGENCE",
    "NearRepeats",
    "near_repeats",
    "plain_letters",
    "reverse_complement",
]

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
#: Sorted at once: few enough to stay in a processor's cache.
_BLOCK_HITS = 2**18

_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVacgturyswkmbdhv", "TGCAAYRSWMKVHDBtgcaayrswmkvhdb")


def reverse_complement(text: str) -> str:
    """The other strand, read in its own direction; IUPAC letters too, others stay themselves."""
    return text.translate(_COMPLEMENT)[::-1]


def plain_letters(texts: Sequence[str]) -> list[str]:
    """The texts in capitals, with T for U."""
    joined = "\n".join(texts).upper().replace("U", "T")
    split = joined.split("\n")
    if len(split) == len(texts):
        return split
    return [text.upper().replace("U", "T") for text in texts]  # a text with a line's end, or none


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


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """Sequences, and their letters counted, int64."""

    texts: list[str]
    lengths: np.ndarray

    @classmethod
    def of(cls, texts: list[str]) -> _Texts:
        return cls(texts, np.fromiter(map(len, texts), np.int64, len(texts)))


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
    forward, queries = _Texts.of(plain_letters(train)), _Texts.of(plain_letters(test))
    found = NearRepeats(
        np.full(len(test), -1, np.int64), np.full(len(test), np.nan), np.zeros(len(test), bool)
    )
    shortest = SHORTEST_BP
    for longest, seeding in _SEEDINGS:
        rows = np.flatnonzero((queries.lengths >= shortest) & (queries.lengths < longest))
        shortest = longest
        if not len(rows):
            continue
        strands = [[queries.texts[row] for row in rows.tolist()]]
        strands.append([reverse_complement(text) for text in strands[0]])
        asked = [find_seeds(texts, seeding) for texts in strands]
        # Most words of a large task are in no row of its few test rows, and need no sorting.
        index = sorted_seeds(seeds_among(find_seeds(forward.texts, seeding), *asked))
        for reverse, (texts, seeds) in enumerate(zip(strands, asked, strict=True)):
            still = ~found.found[rows]
            open_seeds = seeds.part(np.flatnonzero(still[seeds.rows]))
            partner, identity = _search(forward, _Texts.of(texts), index, open_seeds)
            hit = np.flatnonzero(partner >= 0)
            found.partner[rows[hit]] = partner[hit]
            found.identity[rows[hit]] = identity[hit]
            found.reverse[rows[hit]] = bool(reverse)
    return found


def _search(
    train: _Texts, texts: _Texts, index: Seeds, seeds: Seeds
) -> tuple[np.ndarray, np.ndarray]:
    """A near training sequence of each text (-1 for none), and their identity."""
    count = len(texts.texts)
    partner, identity = np.full(count, -1, np.int64), np.full(count, np.nan)
    hits = find_hits(index, seeds, most=_MOST_ROWS_A_WORD)
    for part in _blocks(hits):
        pairs = shared_pairs(index, part, most=_CANDIDATES)
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


def _identities(
    train: _Texts, texts: _Texts, rows: np.ndarray, others: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Identity of each pair over the part both cover; NaN for what is no near repeat."""
    sizes, theirs = texts.lengths[rows], train.lengths[others]
    starts = np.maximum(-shifts, 0)
    covered = np.minimum(sizes, theirs - shifts) - starts
    scores = np.full(len(rows), np.nan)
    beside = np.flatnonzero(covered >= COVERAGE * sizes)
    pairs = [
        (texts.texts[row][first : first + length], train.texts[other][at : at + length])
        for row, other, first, at, length in zip(
            rows[beside].tolist(),
            others[beside].tolist(),
            starts[beside].tolist(),
            (starts + shifts)[beside].tolist(),
            covered[beside].tolist(),
            strict=True,
        )
    ]
    scores[beside] = _scores(pairs, covered[beside])
    # Insertions and deletions drift off the diagonal; the whole of two alike in length do not.
    same = (shifts == 0) & (sizes == theirs)
    alike = np.flatnonzero(~same & (np.abs(sizes - theirs) <= _allowed(sizes)))
    pairs = [
        (texts.texts[row], train.texts[other])
        for row, other in zip(rows[alike].tolist(), others[alike].tolist(), strict=True)
    ]
    scores[alike] = np.fmax(scores[alike], _scores(pairs, sizes[alike]))
    return scores


def _scores(pairs: list[tuple[str, str]], lengths: np.ndarray) -> np.ndarray:
    """1 - differences a letter of the first ones (int64 ``[n]``), NaN where they are too many."""
    scores = np.full(len(pairs), np.nan)
    if not pairs:
        return scores
    # Loaded when needed: most verbs that read task files never look for repeats.
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    allowed = _allowed(lengths)
    distance = cpdist(
        [one for one, _ in pairs],
        [two for _, two in pairs],
        scorer=Levenshtein.distance,
        score_cutoff=int(allowed.max()),
        dtype=np.int32,
    )
    good = distance <= allowed
    scores[good] = 1 - distance[good] / lengths[good]
    return scores


def _allowed(lengths: np.ndarray) -> np.ndarray:
    """Differences that a near repeat of so many letters may have, float64."""
    different, back = np.unique(lengths, return_inverse=True)
    return np.array([_allowed_of(length) for length in different.tolist()], np.float64)[back]


@lru_cache(maxsize=1 << 16)
def _allowed_of(length: int) -> float:
    from scipy.stats import binom

    return float(binom.ppf(_CAUGHT, length, DIVERGENCE))
