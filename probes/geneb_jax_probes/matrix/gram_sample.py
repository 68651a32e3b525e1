"""The Gram matrix that a preconditioner is made of: from a sample where rows abound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Array, Float, Shaped

from geneb_jax_kernels.gram import host_gram, weighted_gram
from geneb_jax_probes.lanes import Lane

__all__ = ["GRAM_ROWS", "GramSample", "gram_sample"]

#: Rows of a block that is sampled or not, and rows a feature that are enough.
GRAM_ROWS = 1024
_GRAM_ROWS_A_FEATURE = 16
#: Multiplications worth a thread, and most parts (each a matrix [d, d]) of one Gram matrix.
_PART = 3e8
_MOST_PARTS = 4
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class GramSample:
    """Which rows are used, with which weights.

    Attributes:
        weights: float32, zero of rows not used; the others have the sum that all had.
        stride: Every so many blocks of ``GRAM_ROWS`` rows are used.
    """

    weights: Float[np.ndarray, " row"]
    stride: int

    def _pieces(self, start: int, stop: int, width: int) -> list[slice]:
        """Ranges of used rows, as offsets from ``start``."""
        if self.stride > 1:
            edges = np.arange(start // GRAM_ROWS, -(-stop // GRAM_ROWS)) * GRAM_ROWS
            first = edges[edges // GRAM_ROWS % self.stride == 0]
            return [slice(max(a, start) - start, min(a + GRAM_ROWS, stop) - start) for a in first]
        parts = int(np.clip((stop - start) * width**2 // _PART, 1, _MOST_PARTS))
        edges = (stop - start) * np.arange(parts + 1) // parts
        return [slice(a, b) for a, b in pairwise(edges)]

    def add_up(
        self, X: Shaped[Array | np.ndarray, "capacity dim"], start: int, stop: int, lane: Lane
    ) -> Float[Array | np.ndarray, "dim dim"]:
        """What rows ``start`` to ``stop``, which X begins with, add to the Gram matrix."""
        if lane.multiplies_on_host:
            return self._on_host(np.asarray(X), start, stop, lane)
        padded = np.zeros(X.shape[0], np.float32)
        padded[: stop - start] = self.weights[start:stop]
        # Blocks of a part are all read: the parts of a sample need not begin at a sampled block.
        whole = (start, stop) == (0, len(self.weights))
        return weighted_gram(
            lane.put(X, owned=True),
            lane.put(padded),
            lane.put(np.int32(-(-(stop - start) // GRAM_ROWS))),
            lane.put(np.int32(self.stride if whole else 1)),
            block_rows=GRAM_ROWS,
        )

    def _on_host(
        self, X: Shaped[np.ndarray, "capacity dim"], start: int, stop: int, lane: Lane
    ) -> Float[np.ndarray, "dim dim"]:
        weights = self.weights[start:stop]
        pieces = self._pieces(start, stop, X.shape[1])
        used = np.concatenate([weights[rows] for rows in pieces]) if pieces else weights[:0]
        alike = len(used) > 0 and used.min() == used.max()

        def some(part: int) -> Float[np.ndarray, "dim dim"]:
            grams = (
                host_gram(X[rows], float(used[0]) if alike else weights[rows])
                for rows in pieces[part::_MOST_PARTS]
            )
            return _total(grams, X.shape[1])

        return _total(lane.together(some, range(min(len(pieces), _MOST_PARTS))), X.shape[1])


def _total(
    grams: Iterable[Float[np.ndarray, "dim dim"]], width: int
) -> Float[np.ndarray, "dim dim"]:
    """Their sum, in the memory of the first; zeros of none."""
    total = None
    for one in grams:
        total = one if total is None else np.add(total, one, out=total)
    return np.zeros((width, width), np.float32) if total is None else total


def gram_sample(weights: Float[np.ndarray, " row"], width: int) -> GramSample:
    """Choose the rows of a Gram matrix with these row weights: all, or blocks of them.

    All where the blocks hold less than half of what they should, as of weights that differ widely.
    """
    rows = len(weights)
    stride = max(1, rows // (_GRAM_ROWS_A_FEATURE * width))
    sampled = np.arange(rows) // GRAM_ROWS % stride == 0
    share = float(weights[sampled].sum()) / max(float(weights.sum()), _TINY)
    if share < 0.5 * sampled.mean():
        stride, sampled, share = 1, np.ones(rows, bool), 1.0
    scaled = np.where(sampled, weights, 0.0) / max(share, _TINY)
    return GramSample(scaled.astype(np.float32), stride)
