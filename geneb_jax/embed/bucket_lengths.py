"""Choose the few lengths that batches are padded to, from the lengths that the data have.

Each distinct length of a batch costs a compilation; each token of padding costs arithmetic.
The choice is exact for the candidates: a dynamic programme over the sorted lengths finds, for every
number of buckets, the ends that waste the fewest tokens, and one more bucket is taken only while it
saves a stated share of all tokens.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MOST_BUCKETS", "choose_bucket_lengths"]

MOST_BUCKETS = 8
_MOST_CANDIDATES = 768
_WORTHWHILE_SHARE = 0.01


def choose_bucket_lengths(
    length_tokens: np.ndarray,
    *,
    multiple: int = 1,
    most: int = MOST_BUCKETS,
    worthwhile_tokens: int = 0,
) -> np.ndarray:
    """Lengths to pad to, ascending; the last one holds the longest sequence.

    Args:
        length_tokens: Token counts, int64 ``[n]``; zero counts as one.
        multiple: Every length is a multiple of this many tokens.
        most: Upper bound on the number of lengths.
        worthwhile_tokens: A length more must save this many tokens of padding, and one percent of
            all tokens; less does not pay for its compilation.

    Returns:
        int64 ``[m]`` with ``m <= most``, empty for no sequences.
    """
    if not len(length_tokens):
        return np.zeros(0, np.int64)
    rounded = np.maximum(-(-length_tokens // multiple) * multiple, multiple).astype(np.int64)
    ends, rows = np.unique(rounded, return_counts=True)
    if len(ends) > _MOST_CANDIDATES:
        ends, rows = _thinned(ends, rows)
    tokens = np.cumsum(rows * ends)
    row_sums = np.concatenate(([0], np.cumsum(rows)))
    # cost[j] = padded tokens of the first j candidates with the present number of buckets.
    cost = np.concatenate(([0], row_sums[1:] * ends)).astype(np.float64)
    cuts: list[np.ndarray] = []
    best = cost[-1]
    worthwhile = max(_WORTHWHILE_SHARE * float(tokens[-1]), worthwhile_tokens)
    for _ in range(min(most, len(ends)) - 1):
        # One more bucket that holds candidates i..j-1 and is as long as the last of them.
        table = cost[:-1, None] + (row_sums[None, 1:] - row_sums[:-1, None]) * ends[None, :]
        table = np.where(
            np.arange(len(ends))[:, None] <= np.arange(len(ends))[None, :], table, np.inf
        )
        cut = table.argmin(axis=0)
        cost = np.concatenate(([0.0], table.min(axis=0)))
        if best - cost[-1] < worthwhile:
            break
        best = cost[-1]
        cuts.append(cut)
    chosen = [len(ends)]
    for cut in reversed(cuts):
        before = int(cut[chosen[-1] - 1])
        if before == 0:
            break
        chosen.append(before)
    return ends[np.array(chosen[::-1]) - 1]


def _thinned(ends: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``_MOST_CANDIDATES`` lengths to choose from; the others count as the next longer one.

    Half are the lengths with the most tokens, which the best choice often ends a bucket at; half
    divide the tokens evenly.
    """
    tokens = rows * ends
    heaviest = np.argsort(-tokens, kind="stable")[: _MOST_CANDIDATES // 2]
    share = np.cumsum(tokens) / tokens.sum()
    even = np.searchsorted(share, np.linspace(0, 1, _MOST_CANDIDATES // 2 - 1)[1:])
    last = np.unique(np.concatenate((heaviest, even, [len(ends) - 1])).clip(max=len(ends) - 1))
    first = np.concatenate(([0], last[:-1] + 1))
    return ends[last], np.add.reduceat(rows, first)
