"""Shapes of batches: a fixed ladder of lengths, and one number of rows for each of its rungs.

The last bits of an embedding depend on the shape of the batch it was computed in (XLA chooses other
products for other shapes), though neither on its place there nor on its neighbours. So a shape must
not depend on which other sequences a run has: it follows from the sequence's own token count and
the model alone, and a batch that is not full is filled up with empty rows.

1. A sequence is padded to the next rung: multiples of a power of two that is at most an eighth of
   the length, so that half a rung is 4 percent of a length on average and 11 at most.
2. A rung has a fixed number of rows on each device: what a number of tokens holds, but two where
   that gives one row of moderate length, since one row alone runs at a quarter of the speed in some
   networks.

Few tokens a batch waste few on empty rows; on CPU 512 run as fast as 4096 (measured: 50 million
parameters, 36 to 320 tokens a row).

Whoever changes these rules raises :data:`geneb_jax.models.encoder.BATCH_RULES`.

A model whose arithmetic is exact needs none of this: its batches are cut from the sequences in
order of length and leave no row empty but at the end, and a shape is changed only where that saves
more padding than a compilation costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["SMALL_PARAMETERS", "Batch", "Bucket", "Ladder"]

#: As binary logarithms: eight rungs an octave; two where shapes do not matter, as counting is so
#: cheap that a compilation costs more than the padding it saves.
_RUNGS_LOG2, _FEW_RUNGS_LOG2 = 3, 1
#: Four rungs where a model has fewer parameters than this: compiling a program of 1.4 million takes
#: as long as embedding 500 sequences of 500 bp with it (measured), and 10 with 50 million.
SMALL_PARAMETERS = 10_000_000
_FEWEST_ROWS = 2
#: Batches of counting that take as long as compiling its program (measured: k-mers, 2 ms and 100 ms
#: of a CPU, less than half of it for the tokens).
_BATCHES_A_PROGRAM = 16


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


@dataclass(frozen=True, slots=True)
class Ladder:
    """The shapes of a model's batches.

    Attributes:
        batch_tokens: Tokens of a batch on one device, padding included; a batch of few long rows
            may hold up to four times as many, and one row still runs whatever its length.
        most_rows: Most rows of a batch on one device.
        devices: Devices that share a batch; each has the rows of a device alone.
        length_multiple: Lengths are multiples of this many tokens.
        exact_length: A rung for every length: nothing is padded.
        longest_tokens: No rung is longer, but for ``length_multiple``.
        any_rows: The model's embeddings are the same to the bit in any shape of batch: then rungs
            are few, rows a power of two (whole shards leave none empty), and no more than the next
            of 1, 2, 3, 4, 6, 8, 12, ... that holds the sequences at hand.
        small: The model has fewer than ``SMALL_PARAMETERS``: rungs are twice as far apart.
    """

    batch_tokens: int
    most_rows: int = 1 << 30
    devices: int = 1
    length_multiple: int = 1
    exact_length: bool = False
    longest_tokens: int | None = None
    any_rows: bool = False
    small: bool = False

    def lengths(self, length_tokens: np.ndarray) -> np.ndarray:
        """The rung of each length, int64 ``[n]``; no tokens count as one."""
        tokens = np.maximum(np.asarray(length_tokens, np.int64), 1)
        if self.exact_length:
            return tokens
        octave = np.frexp(tokens.astype(np.float64))[1] - 1
        rungs_log2 = _FEW_RUNGS_LOG2 if self.any_rows else _RUNGS_LOG2 - self.small
        step = np.int64(1) << np.maximum(octave - rungs_log2, 0)
        rungs = -(-tokens // step) * step
        if self.longest_tokens is not None:
            rungs = np.maximum(np.minimum(rungs, self.longest_tokens), tokens)
        return -(-rungs // self.length_multiple) * self.length_multiple

    def bucket(self, length_tokens: int, count: int | None = None) -> Bucket:
        """The shape of a rung, for all devices together; ``count`` counts with ``any_rows``."""
        few = min(_FEWEST_ROWS, 4 * self.batch_tokens // length_tokens)
        rows = min(max(self.batch_tokens // length_tokens, few, 1), self.most_rows)
        if self.any_rows:
            rows = 1 << (rows.bit_length() - 1)
        if self.any_rows and count is not None:
            needed = -(-count // self.devices)
            power = 1 << (needed - 1).bit_length()
            rows = min(rows, power * 3 // 4 if needed <= power * 3 // 4 else power)
        return Bucket(length_tokens, rows * self.devices)

    def batches(self, length_tokens: np.ndarray) -> tuple[Batch, ...]:
        """Cut sequences of these token counts into batches, longest rung first, in their order."""
        rungs = self.lengths(length_tokens)
        if self.any_rows and not self.exact_length:
            return self._packed(rungs)
        order = np.argsort(-rungs, kind="stable")
        ends = np.flatnonzero(np.diff(rungs[order])) + 1
        batches = []
        for first, last in pairwise([0, *ends.tolist(), len(order)]):
            if first == last:
                continue
            bucket = self.bucket(int(rungs[order[first]]), last - first)
            batches += [
                Batch(bucket, order[at : min(at + bucket.rows, last)])
                for at in range(first, last, bucket.rows)
            ]
        return tuple(batches)

    def _packed(self, rungs: np.ndarray) -> tuple[Batch, ...]:
        """Batches of mixed rungs, each as long as its longest or as the batch before it."""
        order = np.argsort(-rungs, kind="stable")
        batches: list[Batch] = []
        bucket, padding, at = None, 0, 0
        while at < len(order):
            if bucket is not None:
                members = order[at : at + bucket.rows]
                padding += int((bucket.length_tokens - rungs[members]).sum())
            if bucket is None or padding > _BATCHES_A_PROGRAM * self.batch_tokens:
                bucket, padding = self.bucket(int(rungs[order[at]]), len(order) - at), 0
                members = order[at : at + bucket.rows]
            batches.append(Batch(bucket, members))
            at += len(members)
        return tuple(batches)
