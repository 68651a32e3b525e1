"""Which sequences go into which batch: the plan of a model's embedding, made before any of it.

1. All sequences are sorted by token length, longest first (so that memory is at its peak at once
   and not at the end), ties by digest.
2. The order is cut into shards of the store; a batch never crosses a shard.
3. Each sequence is padded to the smallest bucket length that holds it; a batch holds one bucket.
4. A bucket has one row count, from the token budget, so that a bucket is one compiled program.

Bucket lengths and row counts follow from all sequences of the run, stored or not, so a resumed run
computes what is left in the same batches as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from geneb_jax.embed.bucket_lengths import choose_bucket_lengths

__all__ = ["Batch", "BatchPlan", "Bucket", "plan_batches"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A shape of batch: ``rows`` sequences of up to ``length_tokens`` tokens."""

    length_tokens: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences that run together: their positions (at most ``bucket.rows``) and their shape."""

    bucket: Bucket
    members: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """The order of the sequences and the shapes of their batches.

    Attributes:
        order: Positions of the sequences in the order in which they are embedded, int64 ``[n]``.
        buckets: Ascending by length.
        length_tokens: Tokens of each sequence by position, int64.
    """

    order: np.ndarray
    buckets: tuple[Bucket, ...]
    length_tokens: np.ndarray

    def bucket_of(self, members: np.ndarray) -> np.ndarray:
        """Index into ``buckets`` for each of the given positions, int64."""
        ends = np.array([bucket.length_tokens for bucket in self.buckets], np.int64)
        return np.searchsorted(ends, self.length_tokens[members], side="left")

    def batches(self, members: np.ndarray) -> Iterator[Batch]:
        """Cut one shard's positions, in plan order, into batches."""
        bucket_of = self.bucket_of(members)
        starts = np.concatenate(
            ([0], np.flatnonzero(bucket_of[1:] != bucket_of[:-1]) + 1, [len(members)])
        )
        for first, last in pairwise(starts.tolist()):
            if first == last:
                continue
            bucket = self.buckets[bucket_of[first]]
            for at in range(first, last, bucket.rows):
                yield Batch(bucket, members[at : min(at + bucket.rows, last)])

    def padded_tokens(self, members: np.ndarray, *, rows_per_shard: int) -> int:
        """Tokens that run, padding and empty rows included, for the given positions in order."""
        return sum(
            batch.bucket.length_tokens * batch.bucket.rows
            for first in range(0, len(members), rows_per_shard)
            for batch in self.batches(members[first : first + rows_per_shard])
        )


def plan_batches(
    length_tokens: np.ndarray,
    *,
    batch_tokens: int,
    rows_per_shard: int,
    digests: np.ndarray | None = None,
    length_multiple: int = 1,
    row_multiple: int = 1,
    exact_length: bool = False,
    known_buckets: Sequence[Bucket] = (),
    rounded: bool = False,
    longest_tokens: int | None = None,
) -> BatchPlan:
    """Plan the batches of a model.

    Args:
        length_tokens: Tokens of each sequence, int64 ``[n]``.
        batch_tokens: Most tokens of a batch, padding included (a single longer row still runs).
        rows_per_shard: Rows of a shard; no batch has more.
        digests: uint8 ``[n, 16]``, the order of sequences of equal length; else their position.
        length_multiple: Bucket lengths are multiples of this many tokens.
        row_multiple: Row counts are multiples of this (the number of devices).
        exact_length: A bucket for every distinct length: nothing is padded.
        known_buckets: Shapes that are compiled already, used where they waste little.
        rounded: Round shapes up to a coarse ladder (an eighth of a length at most, powers of two
            of rows), so that many small calls of different lengths meet in few shapes.
        longest_tokens: No bucket is rounded beyond this length.

    Returns:
        The plan.
    """
    lengths = np.asarray(length_tokens, np.int64)
    keys: list[np.ndarray] = [-lengths]
    if digests is not None:
        words = digests.view(">u8").astype(np.uint64)
        keys = [words[:, 1], words[:, 0], -lengths]
    order = np.lexsort(keys)
    lengths = np.maximum(lengths, 1)
    if exact_length:
        ends = np.unique(lengths)
    elif _enough(known_buckets, lengths, batch_tokens):
        return BatchPlan(order, tuple(known_buckets), lengths)
    else:
        laddered = _ladder(lengths, longest_tokens) if rounded else lengths
        # A compilation costs about as much as a few batches, so it must save at least half a one.
        ends = choose_bucket_lengths(
            laddered, multiple=length_multiple, worthwhile_tokens=batch_tokens // 2
        )
    counts = np.bincount(np.searchsorted(ends, lengths), minlength=len(ends))
    buckets = []
    for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
        whole = min(rows_per_shard, max(1, count))
        most = min(max(1, batch_tokens // end), whole)
        # Equal batches: a shard full of this bucket must not end in one that is nearly empty.
        rows = -(-whole // -(-whole // most))
        if rounded:
            rows = min(1 << (rows - 1).bit_length(), max(1, batch_tokens // end))
        buckets.append(Bucket(end, -(-rows // row_multiple) * row_multiple))
    return BatchPlan(order, tuple(buckets), lengths)


def _ladder(lengths: np.ndarray, longest_tokens: int | None) -> np.ndarray:
    """Lengths rounded up to multiples of a power of two that is at most an eighth of them."""
    step = 1 << np.maximum(np.log2(lengths).astype(np.int64) - 3, 0)
    rounded = -(-lengths // step) * step
    return rounded if longest_tokens is None else np.minimum(rounded, longest_tokens)


def _enough(known: Sequence[Bucket], lengths: np.ndarray, batch_tokens: int) -> bool:
    """Whether compiled shapes serve: at most a quarter of padding, or less than a batch of it."""
    if not known or not len(lengths) or lengths.max() > known[-1].length_tokens:
        return False
    ends = np.array([bucket.length_tokens for bucket in known], np.int64)
    rows = np.array([bucket.rows for bucket in known], np.int64)
    counts = np.bincount(np.searchsorted(ends, lengths), minlength=len(ends))
    padded = int((-(-counts // rows) * rows * ends).sum())
    too_few_rows = (rows < counts) & (2 * rows * ends <= batch_tokens)
    return not too_few_rows.any() and padded <= max(1.25 * lengths.sum(), batch_tokens)
