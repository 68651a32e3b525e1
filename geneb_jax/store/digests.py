"""Sequence digests as arrays, and the look-up of many digests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "DIGEST_BYTES",
    "DigestIndex",
    "Digests",
    "digest_halves",
    "digest_rows",
    "first_occurrences",
]

DIGEST_BYTES = 16

#: uint8 ``[n, 16]``, or a sequence of 16-byte strings.
Digests = np.ndarray | Sequence[bytes]


def digest_rows(digests: Digests) -> np.ndarray:
    """Digests as a contiguous uint8 array ``[n, 16]``.

    Raises:
        ValueError: if any digest is not 16 bytes.
    """
    if isinstance(digests, np.ndarray):
        if digests.dtype != np.uint8 or digests.ndim != 2 or digests.shape[1] != DIGEST_BYTES:
            raise ValueError(
                f"digests must be uint8 [n, {DIGEST_BYTES}], got {digests.dtype} {digests.shape}"
            )
        return np.ascontiguousarray(digests)
    if any(len(digest) != DIGEST_BYTES for digest in digests):
        raise ValueError(f"every digest must be {DIGEST_BYTES} bytes")
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def digest_halves(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The halves of digests ``[n, 16]`` as numbers in the order of bytes, each uint64 ``[n]``."""
    words = digests.view(">u8")
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


def first_occurrences(digests: np.ndarray) -> np.ndarray:
    """Positions of the first occurrence of each distinct digest, ascending, int64 ``[m]``."""
    head, tail = digest_halves(digests)
    order = np.argsort(head, kind="stable")
    head_in_order = head[order]
    if not (head_in_order[1:] == head_in_order[:-1]).any():
        return np.arange(len(head))
    order = np.lexsort((np.arange(len(head)), tail, head))
    new = np.ones(len(order), bool)
    new[1:] = (head[order][1:] != head[order][:-1]) | (tail[order][1:] != tail[order][:-1])
    return np.sort(order[new])


class DigestIndex:
    """Where each digest of a list stands: a sorted copy, searched for many digests at once."""

    def __init__(self, digests: np.ndarray) -> None:
        head, tail = digest_halves(digests)
        self._order = np.lexsort((tail, head))
        self._head = head[self._order]
        self._tail = tail[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def positions(self, digests: np.ndarray) -> np.ndarray:
        """Position of each digest in the indexed list, -1 where it is absent; int64 ``[n]``."""
        head, tail = digest_halves(digests)
        found = np.full(len(head), -1, np.int64)
        if not len(self._order):
            return found
        open_rows = np.arange(len(head))
        at = np.searchsorted(self._head, head, side="left")
        # Two digests that share 64 bits stand side by side; nearly always one look is enough.
        while len(open_rows):
            inside = at < len(self._head)
            open_rows, at = open_rows[inside], at[inside]
            candidate = self._head[at] == head[open_rows]
            open_rows, at = open_rows[candidate], at[candidate]
            equal = self._tail[at] == tail[open_rows]
            found[open_rows[equal]] = self._order[at[equal]]
            open_rows, at = open_rows[~equal], at[~equal] + 1
        return found
