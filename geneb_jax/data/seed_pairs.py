"""Sequences that share words, paired: which indexed ones share most with each text, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.data.seeds import SeedHits, Seeds

__all__ = ["Pairs", "shared_pairs"]

#: Bits of a number that is sorted in the place of several; the sign's is left alone.
_BITS = 63


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Candidates: int64 ``[pair]`` each.

    Attributes:
        row: The text.
        other: The indexed sequence.
        shift: The diagonal: the middle one of those on which they share words (indexed start minus
            text start).
        rank: By shared words among the text's, 0 first; ties by ``other``.
    """

    row: np.ndarray
    other: np.ndarray
    shift: np.ndarray
    rank: np.ndarray


def shared_pairs(index: Seeds, hits: SeedHits, *, most: int) -> Pairs:
    """The indexed sequences that share most words with each text.

    Args:
        index: What was looked up in.
        hits: Where the texts' seeds stand in it, all seeds of a text among them.
        most: Pairs of a text.
    """
    query, counts = hits.query, hits.counts
    if not counts.any():
        none = np.zeros(0, np.int64)
        return Pairs(none, none, none, none)
    # One number a shared word, (row, other, diagonal) from its highest bits down, so that one sort
    # of plain numbers puts words of a pair side by side: a lexsort takes several times as long.
    first = int(query.rows[0])
    back = int(query.starts.max())
    shift_bits = (back + int(index.starts.max())).bit_length()
    other_bits = int(index.rows.max()).bit_length()
    row_bits = (int(query.rows[-1]) - first).bit_length()
    of_index = _hit_places(hits)
    other, start = index.rows[of_index].astype(np.int64), index.starts[of_index]
    row = np.repeat(query.rows.astype(np.int64) - first, counts)
    shift = start + np.repeat(back - query.starts.astype(np.int64), counts)
    if row_bits + other_bits + shift_bits <= _BITS:
        packed = (((row << other_bits) | other) << shift_bits) | shift
        packed.sort()
        pair, shift = packed >> shift_bits, packed & ((1 << shift_bits) - 1)
        starts, votes = _runs(pair)
        row, other = pair[starts] >> other_bits, pair[starts] & ((1 << other_bits) - 1)
    else:
        order = np.lexsort((shift, other, row))
        row, other, shift = row[order], other[order], shift[order]
        starts, votes = _runs(row, other)
        row, other = row[starts], other[starts]
    shift = shift[starts + votes // 2] - back
    best = _by_votes(row, votes)
    row, other, shift = row[best], other[best], shift[best]
    rank = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    few = rank < most
    return Pairs(row[few] + first, other[few], shift[few], rank[few])


def _hit_places(hits: SeedHits) -> np.ndarray:
    """Position in the index of every hit of every seed, int64."""
    counts = hits.counts
    before = np.cumsum(counts) - counts
    return np.repeat(hits.low - before, counts) + np.arange(int(counts.sum()))


def _runs(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal rows of sorted columns start, and how long they are."""
    new = np.ones(len(columns[0]), bool)
    new[1:] = False
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(new)
    return starts, np.diff(starts, append=len(new))


def _by_votes(row: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """The stable order by row, most votes first."""
    fewer = int(votes.max()) - votes
    at_bits, vote_bits = len(row).bit_length(), int(fewer.max()).bit_length()
    if int(row[-1]).bit_length() + vote_bits + at_bits > _BITS:
        return np.lexsort((fewer, row))
    packed = (((row << vote_bits) | fewer) << at_bits) | np.arange(len(row))
    packed.sort()
    order: np.ndarray = packed & ((1 << at_bits) - 1)
    return order
