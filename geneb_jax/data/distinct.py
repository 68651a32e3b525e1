"""The distinct sequences of many tasks: each text is embedded once, however often it occurs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.data.tables import TaskTable
from geneb_jax.data.text_buffer import TextBuffer

__all__ = ["DIGEST_BYTES", "SequenceTable", "distinct_sequences", "sequence_digest"]

#: Bytes of a sequence digest.
DIGEST_BYTES = 16
_DIGESTED_AT_A_TIME = 1 << 16


def sequence_digest(text: str) -> bytes:
    """16-byte BLAKE2b of the exact text (UTF-8): upper and lower case differ."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTable:
    """Distinct sequences in the order they were first seen, and where each task's rows are.

    Attributes:
        sequences: The distinct texts; in one buffer where there may be very many.
        digests: uint8 ``[len(sequences), 16]``, :func:`sequence_digest` of each.
        train_rows: For each table, int64 ``[n_train]``: positions in ``sequences``.
        test_rows: For each table, int64 ``[n_test]``: positions in ``sequences``.
    """

    sequences: Sequence[str]
    digests: np.ndarray
    train_rows: tuple[np.ndarray, ...]
    test_rows: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.sequences)


def distinct_sequences(tables: Sequence[TaskTable]) -> SequenceTable:
    """Collect the distinct sequences of tables: train before test, table after table."""
    splits = [
        sequences for table in tables for sequences in (table.train_sequences, table.test_sequences)
    ]
    counts = [len(sequences) for sequences in splits]
    digests = np.zeros((sum(counts), DIGEST_BYTES), np.uint8)
    at = 0
    for sequences in splits:
        for first in range(0, len(sequences), _DIGESTED_AT_A_TIME):
            some = sequences[first : first + _DIGESTED_AT_A_TIME]
            found = np.frombuffer(b"".join(map(sequence_digest, some)), np.uint8)
            digests[at : at + len(some)] = found.reshape(-1, DIGEST_BYTES)
            at += len(some)
    firsts, rows = _first_and_position(digests)
    texts = TextBuffer()
    edges = np.cumsum([0, *counts])
    for sequences, begin, end in zip(splits, edges[:-1], edges[1:], strict=True):
        chosen = firsts[np.searchsorted(firsts, begin) : np.searchsorted(firsts, end)] - begin
        texts.extend([sequences[row] for row in chosen.tolist()])
    parts = np.split(rows, edges[1:-1]) if splits else []
    return SequenceTable(
        sequences=texts,
        digests=digests[firsts],
        train_rows=tuple(parts[0::2]),
        test_rows=tuple(parts[1::2]),
    )


def _first_and_position(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct digest stands first, ascending, and its number among these for each row.

    Args:
        digests: uint8 ``[n, 16]``.

    Returns:
        int64 ``[m]`` and int64 ``[n]``.
    """
    words = np.ascontiguousarray(digests).view("<u8")
    order = np.lexsort((words[:, 1], words[:, 0]))  # stable: equal ones stay in their order
    new = np.ones(len(order), bool)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    first_of = order[new]
    rank = np.empty(len(first_of), np.int64)
    by_place = np.argsort(first_of)
    rank[by_place] = np.arange(len(first_of))
    rows = np.empty(len(order), np.int64)
    rows[order] = rank[np.cumsum(new) - 1]
    return first_of[by_place].astype(np.int64), rows
