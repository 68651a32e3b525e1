"""The distinct sequences of many tasks: each text is embedded once, however often it occurs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.data.tables import TaskTable

__all__ = ["DIGEST_BYTES", "SequenceTable", "distinct_sequences", "sequence_digest"]

#: Bytes of a sequence digest.
DIGEST_BYTES = 16


def sequence_digest(text: str) -> bytes:
    """16-byte BLAKE2b of the exact text (UTF-8): upper and lower case differ."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTable:
    """Distinct sequences in the order they were first seen, and where each task's rows are.

    Attributes:
        sequences: The distinct texts.
        digests: uint8 ``[len(sequences), 16]``, :func:`sequence_digest` of each.
        train_rows: For each table, int64 ``[n_train]``: positions in ``sequences``.
        test_rows: For each table, int64 ``[n_test]``: positions in ``sequences``.
    """

    sequences: tuple[str, ...]
    digests: np.ndarray
    train_rows: tuple[np.ndarray, ...]
    test_rows: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.sequences)


def distinct_sequences(tables: Sequence[TaskTable]) -> SequenceTable:
    """Collect the distinct sequences of tables: train before test, table after table."""
    positions: dict[str, int] = {}
    rows: list[np.ndarray] = []
    for table in tables:
        for sequences in (table.train_sequences, table.test_sequences):
            found = (positions.setdefault(text, len(positions)) for text in sequences)
            rows.append(np.fromiter(found, dtype=np.int64, count=len(sequences)))
    digests = np.frombuffer(b"".join(map(sequence_digest, positions)), dtype=np.uint8)
    return SequenceTable(
        sequences=tuple(positions),
        digests=digests.reshape(-1, DIGEST_BYTES),
        train_rows=tuple(rows[0::2]),
        test_rows=tuple(rows[1::2]),
    )
