"""Describe a task's data: rows, classes, lengths, repeats, overlap, letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax.data.distinct import distinct_sequences
from geneb_jax.data.tables import TaskTable

__all__ = ["LengthQuantiles", "SuiteStats", "TaskStats", "suite_stats", "task_stats"]


@dataclass(frozen=True, slots=True)
class LengthQuantiles:
    """Sequence lengths of all rows, in letters (bp); quantiles are NumPy's linear ones."""

    minimum: int
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: int
    total: int


@dataclass(frozen=True, slots=True)
class TaskStats:
    """One task in figures.

    Attributes:
        task_id: The task.
        category: Its category.
        train_class_counts: Label -> train rows, labels ascending.
        test_class_counts: Label -> test rows.
        length_bp: Lengths over train and test rows.
        letter_counts: Letter -> occurrences over train and test rows, most frequent first.
        distinct_sequences: Different texts over train and test.
        shared_sequences: Different texts that occur in both.
        notes: Counted peculiarities, as in :attr:`TaskTable.notes`.
    """

    task_id: str
    category: str
    train_class_counts: Mapping[int, int]
    test_class_counts: Mapping[int, int]
    length_bp: LengthQuantiles
    letter_counts: Mapping[str, int]
    distinct_sequences: int
    shared_sequences: int
    notes: Mapping[str, int]

    @property
    def train_rows(self) -> int:
        """Number of train rows."""
        return sum(self.train_class_counts.values())

    @property
    def test_rows(self) -> int:
        """Number of test rows."""
        return sum(self.test_class_counts.values())

    @property
    def class_count(self) -> int:
        """Number of classes over train and test."""
        return len(self.train_class_counts.keys() | self.test_class_counts.keys())

    @property
    def gc_fraction(self) -> float | None:
        """(G + C) / (A + C + G + T + U), case ignored; None without any such letter."""
        counts: Counter[str] = Counter()
        for letter, count in self.letter_counts.items():
            counts[letter.upper()] += count
        total = sum(counts[letter] for letter in "ACGTU")
        return (counts["G"] + counts["C"]) / total if total else None

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain data for JSON; class labels become texts."""
        lengths = self.length_bp
        return {
            "task_id": self.task_id,
            "category": self.category,
            "train_rows": self.train_rows,
            "test_rows": self.test_rows,
            "class_count": self.class_count,
            "train_class_counts": {str(k): v for k, v in self.train_class_counts.items()},
            "test_class_counts": {str(k): v for k, v in self.test_class_counts.items()},
            "length_bp": {
                "minimum": lengths.minimum,
                "lower_quartile": lengths.lower_quartile,
                "median": lengths.median,
                "upper_quartile": lengths.upper_quartile,
                "maximum": lengths.maximum,
                "total": lengths.total,
            },
            "letter_counts": dict(self.letter_counts),
            "gc_fraction": self.gc_fraction,
            "distinct_sequences": self.distinct_sequences,
            "shared_sequences": self.shared_sequences,
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, slots=True)
class SuiteStats:
    """All tasks together: how much of the work is repeated.

    Attributes:
        tasks: Number of tasks.
        rows: Train and test rows of all tasks.
        total_bp: Letters of all rows.
        distinct_sequences: Different texts over all tasks; each is embedded once.
        distinct_bp: Letters of those.
    """

    tasks: int
    rows: int
    total_bp: int
    distinct_sequences: int
    distinct_bp: int

    def as_dict(self) -> dict[str, int]:
        """The figures as plain data for JSON."""
        return {
            "tasks": self.tasks,
            "rows": self.rows,
            "total_bp": self.total_bp,
            "distinct_sequences": self.distinct_sequences,
            "distinct_bp": self.distinct_bp,
        }


def task_stats(table: TaskTable) -> TaskStats:
    """Describe one task."""
    sequences = (*table.train_sequences, *table.test_sequences)
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    minimum, lower, median, upper, maximum = np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1)).tolist()
    train, test = set(table.train_sequences), set(table.test_sequences)
    return TaskStats(
        task_id=table.task.task_id,
        category=table.task.category,
        train_class_counts=_class_counts(table.train_labels),
        test_class_counts=_class_counts(table.test_labels),
        length_bp=LengthQuantiles(
            int(minimum), lower, median, upper, int(maximum), int(lengths.sum())
        ),
        letter_counts=_letter_counts("".join(sequences)),
        distinct_sequences=len(train | test),
        shared_sequences=len(train & test),
        notes=table.notes,
    )


def suite_stats(tables: Sequence[TaskTable]) -> SuiteStats:
    """Describe many tasks together."""
    distinct = distinct_sequences(tables)
    texts = [text for table in tables for text in (table.train_sequences, table.test_sequences)]
    return SuiteStats(
        tasks=len(tables),
        rows=sum(map(len, texts)),
        total_bp=sum(sum(map(len, text)) for text in texts),
        distinct_sequences=len(distinct),
        distinct_bp=sum(map(len, distinct.sequences)),
    )


def _class_counts(labels: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _letter_counts(text: str) -> dict[str, int]:
    if text.isascii():
        occurrences = np.bincount(np.frombuffer(text.encode("ascii"), dtype=np.uint8))
        found = {chr(code): int(occurrences[code]) for code in np.flatnonzero(occurrences)}
    else:
        found = dict(Counter(text))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
