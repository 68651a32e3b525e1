"""Which tasks a folder holds, and distinct sequences of small tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.benchmark import Suite, Task, load_suite
from geneb_jax.data import (
    TaskTable,
    distinct_sequences,
    find_task_files,
    sequence_digest,
    suite_stats,
    task_stats,
)
from geneb_jax.errors import DataError

Write = Callable[[dict[str, str]], None]


def suite_of(*ids: str) -> Suite:
    protocol = load_suite("geneb").protocol
    return Suite("s", "S", tuple(Task(task_id, task_id, "c") for task_id in ids), protocol)


def table_of(train: list[str], test: list[str]) -> TaskTable:
    return TaskTable(
        task=Task("t", "T", "c"),
        train_sequences=tuple(train),
        train_labels=np.arange(len(train), dtype=np.int64) % 2,
        test_sequences=tuple(test),
        test_labels=np.zeros(len(test), dtype=np.int64),
        digest="",
        fingerprint="",
    )


def test_found_missing_and_other_files(write: Write, tmp_path: Path) -> None:
    write(
        {
            "b.csv": "", "tasks/a.csv.gz": "", "c/train.csv": "", "tasks/d.x/test.csv.gz": "",
            "z.csv": "", "tasks/y/train.csv": "", "notes.txt": "", "e/other.csv": "",
            ".b.csv": "", "suite.toml": "",
        }
    )  # fmt: skip
    found = find_task_files(suite_of("d.x", "a", "b", "c", "e", "f"), tmp_path)
    assert [task.task_id for task in found.tasks] == ["d.x", "a", "b", "c"]
    assert [task.task_id for task in found.missing] == ["e", "f"]
    assert found.other_ids == ("y", "z")


def test_case_of_a_file_name_counts(write: Write, tmp_path: Path) -> None:
    write({"Task.csv": ""})
    found = find_task_files(suite_of("task"), tmp_path)
    assert found.tasks == ()
    assert found.other_ids == ("Task",)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        find_task_files(suite_of("a"), tmp_path / "nowhere")


def test_sequence_digest_is_blake2b_of_the_exact_text() -> None:
    assert sequence_digest("ACGT") == hashlib.blake2b(b"ACGT", digest_size=16).digest()
    assert len(sequence_digest("")) == 16
    assert len({sequence_digest(text) for text in ("ACGT", "acgt", "ACGT ", "ACG", "é")}) == 5


def test_distinct_sequences_in_first_seen_order() -> None:
    tables = [table_of(["B", "A", "B", ""], ["A", "C"]), table_of(["C", "b"], ["B"])]
    distinct = distinct_sequences(tables)
    assert distinct.sequences == ("B", "A", "", "C", "b")  # Case counts.
    assert [rows.tolist() for rows in distinct.train_rows] == [[0, 1, 0, 2], [3, 4]]
    assert [rows.tolist() for rows in distinct.test_rows] == [[1, 3], [0]]
    assert [row.tobytes() for row in distinct.digests] == [
        sequence_digest(text) for text in distinct.sequences
    ]
    empty = distinct_sequences([])
    assert len(empty) == 0
    assert empty.digests.shape == (0, 16)


def test_statistics_of_a_small_table() -> None:
    stats = task_stats(table_of(["ACGT", "GG", "", "ggcc"], ["AU", "GG", "Né"]))
    assert stats.train_class_counts == {0: 2, 1: 2}
    assert stats.test_class_counts == {0: 3}
    assert stats.class_count == 2
    lengths = np.array([4, 2, 0, 4, 2, 2, 2])
    assert stats.length_bp.total == lengths.sum()
    assert stats.length_bp.median == np.median(lengths)
    assert stats.length_bp.upper_quartile == np.quantile(lengths, 0.75)
    assert stats.letter_counts == {
        "G": 5, "A": 2, "c": 2, "g": 2, "C": 1, "N": 1, "T": 1, "U": 1, "é": 1,
    }  # fmt: skip
    assert stats.gc_fraction == 10 / 14
    assert (stats.distinct_sequences, stats.shared_sequences) == (6, 1)
    assert task_stats(table_of(["", ""], ["N"])).gc_fraction is None


def test_statistics_of_many_tables() -> None:
    total = suite_stats([table_of(["AC", "AC"], ["GGG"]), table_of(["GGG", "T"], ["AC"])])
    assert total.as_dict() == {
        "tasks": 2, "rows": 6, "total_bp": 13, "distinct_sequences": 3, "distinct_bp": 6,
    }  # fmt: skip
