"""Count what is unusual in a task's data and nevertheless accepted."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

__all__ = ["NOTES", "SMALL_CLASS_ROWS", "content_notes"]

#: A class with fewer train rows than this is smaller than the largest few-shot draw of GENEB.
SMALL_CLASS_ROWS = 10

#: What each note counts, in words for a person.
NOTES = {
    "byte_order_mark": "files that start with a byte-order mark",
    "crlf_line_ends": "lines that end in CR LF",
    "cr_line_ends": "lines that end in CR alone",
    "blank_lines": "blank lines",
    "extra_columns": "columns that are not used",
    "float_integer_labels": 'labels written like "1.0"',
    "split_values_with_spaces": "split values with spaces around them",
    "dev_rows": "dev rows, which are not used",
    "label_gaps": "integers missing between the smallest and the largest label",
    "negative_labels": "classes with a negative label",
    "small_classes": "train classes with fewer than 10 rows; a 10-shot draw takes all of them",
    "test_only_classes": "classes that only test rows have; they are never predicted",
    "empty_sequences": "rows with an empty sequence",
    "rows_with_n": "rows whose sequence holds N",
    "rows_with_lower_case": "rows whose sequence holds lower-case letters",
    "rows_with_u": "rows whose sequence holds U",
    "rows_with_iupac": "rows whose sequence holds other IUPAC letters",
    "rows_with_other_characters": "rows whose sequence holds anything else",
    "duplicate_train_rows": "train rows whose sequence occurs earlier in train",
    "duplicate_test_rows": "test rows whose sequence occurs earlier in test",
    "test_rows_in_train": "test rows whose sequence is also in train",
    "conflicting_sequences": "sequences that carry more than one label",
}

_LETTERS = {
    "rows_with_n": re.compile("[Nn]"),
    "rows_with_lower_case": re.compile("[a-z]"),
    "rows_with_u": re.compile("[Uu]"),
    "rows_with_iupac": re.compile("[RYSWKMBDHVryswkmbdhv]"),
    "rows_with_other_characters": re.compile("[^ACGTNURYSWKMBDHVacgtnuryswkmbdhv]"),
}


def content_notes(
    train_sequences: Sequence[str],
    train_labels: np.ndarray,
    test_sequences: Sequence[str],
    test_labels: np.ndarray,
) -> dict[str, int]:
    """Counts of the notes that texts and labels give, zeros included."""
    sequences = (*train_sequences, *test_sequences)
    return {
        **_label_notes(train_labels, test_labels),
        **_letter_notes(sequences),
        **_repeat_notes(train_sequences, train_labels, test_sequences, test_labels),
        "empty_sequences": sequences.count(""),
    }


def _label_notes(train_labels: np.ndarray, test_labels: np.ndarray) -> dict[str, int]:
    classes, counts = np.unique(train_labels, return_counts=True)
    both = np.union1d(classes, test_labels)
    return {
        "label_gaps": int(both[-1]) - int(both[0]) + 1 - len(both),
        "negative_labels": int((both < 0).sum()),
        "small_classes": int((counts < SMALL_CLASS_ROWS).sum()),
        "test_only_classes": len(both) - len(classes),
    }


def _letter_notes(sequences: Sequence[str]) -> dict[str, int]:
    text = "".join(sequences).encode("utf-8")
    if not text.translate(None, b"ACGT"):
        return {}
    return {
        note: sum(1 for sequence in sequences if letters.search(sequence))
        for note, letters in _LETTERS.items()
    }


def _repeat_notes(
    train_sequences: Sequence[str],
    train_labels: np.ndarray,
    test_sequences: Sequence[str],
    test_labels: np.ndarray,
) -> dict[str, int]:
    train, test = set(train_sequences), set(test_sequences)
    shared = train & test
    texts = (*train_sequences, *test_sequences)
    labels = [*train_labels.tolist(), *test_labels.tolist()]
    distinct_pairs = len(set(zip(texts, labels, strict=True)))
    distinct_texts = len(train) + len(test) - len(shared)
    conflicting = 0
    if distinct_pairs > distinct_texts:
        seen = dict(zip(texts, labels, strict=True))
        conflicting = len(
            {text for text, label in zip(texts, labels, strict=True) if seen[text] != label}
        )
    return {
        "duplicate_train_rows": len(train_sequences) - len(train),
        "duplicate_test_rows": len(test_sequences) - len(test),
        "test_rows_in_train": sum(map(shared.__contains__, test_sequences)) if shared else 0,
        "conflicting_sequences": conflicting,
    }
