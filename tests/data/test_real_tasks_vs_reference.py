"""Real task files: tables against Python's csv, figures against the data's own manifest."""

from __future__ import annotations

import csv
import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geneb_jax.benchmark import load_suite
from geneb_jax.data import (
    TaskSource,
    TaskTable,
    distinct_sequences,
    read_task,
    sequence_digest,
    suite_stats,
    task_stats,
)


@pytest.fixture(scope="module")
def manifest(real_tasks: Path) -> dict[str, dict[str, str]]:
    path = real_tasks.parent / "MANIFEST.csv"
    if not path.is_file():
        pytest.skip("the task files here come without MANIFEST.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return {row["task_id"]: row for row in csv.DictReader(file)}


def rows_by_csv(path: Path) -> Iterator[tuple[str, int, str]]:
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["text"], int(row["label"]), row["split"]


def test_tables_equal_the_csv_modules(real_tables: list[TaskTable], real_tasks: Path) -> None:
    for table in real_tables:
        rows = list(rows_by_csv(real_tasks / f"{table.task.task_id}.csv.gz"))
        train = [(text, label) for text, label, split in rows if split == "train"]
        test = [(text, label) for text, label, split in rows if split == "test"]
        assert len(train) + len(test) == len(rows)
        assert list(zip(table.train_sequences, table.train_labels.tolist(), strict=True)) == train
        assert list(zip(table.test_sequences, table.test_labels.tolist(), strict=True)) == test


def test_figures_equal_the_manifests(
    real_tables: list[TaskTable], manifest: dict[str, dict[str, str]]
) -> None:
    for table in real_tables:
        known, stats = manifest[table.task.task_id], task_stats(table)
        assert stats.category == known["category"]
        assert stats.train_rows == int(known["n_train"])
        assert stats.test_rows == int(known["n_test"])
        assert stats.class_count == int(known["n_classes"])
        assert stats.length_bp.minimum == int(known["len_min"])
        assert stats.length_bp.maximum == int(known["len_max"])
        assert abs(stats.length_bp.median - float(known["len_median"])) <= 0.5
        assert stats.distinct_sequences == int(known["n_unique_text"])
        assert stats.shared_sequences == int(known["n_text_in_train_and_test"])
        conflicting = table.notes.get("conflicting_sequences", 0)
        assert conflicting == int(known["n_text_conflicting_labels"])
        for counts, column in (
            (stats.train_class_counts, "class_counts_train"),
            (stats.test_class_counts, "class_counts_test"),
        ):
            assert ";".join(f"{label}:{count}" for label, count in counts.items()) == known[column]


def test_distinct_sequences_give_back_every_row(real_tables: list[TaskTable]) -> None:
    distinct = distinct_sequences(real_tables)
    assert len(set(distinct.sequences)) == len(distinct) == len(distinct.sequences)
    assert distinct.digests.shape == (len(distinct), 16)
    assert distinct.digests.dtype == "uint8"
    for table, train, test in zip(
        real_tables, distinct.train_rows, distinct.test_rows, strict=True
    ):
        assert tuple(distinct.sequences[row] for row in train) == table.train_sequences
        assert tuple(distinct.sequences[row] for row in test) == table.test_sequences
    # First-seen order, and digests by hashlib.
    texts = [
        text for t in real_tables for part in (t.train_sequences, t.test_sequences) for text in part
    ]
    assert distinct.sequences == tuple(dict.fromkeys(texts))
    for row in range(0, len(distinct), 997):
        expected = hashlib.blake2b(distinct.sequences[row].encode(), digest_size=16).digest()
        assert distinct.digests[row].tobytes() == expected
    assert distinct.digests[-1].tobytes() == sequence_digest(distinct.sequences[-1])
    total = suite_stats(real_tables)
    assert total.rows == len(texts)
    assert total.total_bp == sum(map(len, texts))
    assert total.distinct_sequences == len(set(texts))


def test_reading_is_fast(real_tasks: Path, manifest: dict[str, dict[str, str]]) -> None:
    """A plain csv loop over one large file is the yardstick; the table must not take longer."""
    path = max(real_tasks.glob("*.csv.gz"), key=lambda path: int(
        manifest[path.name.removesuffix(".csv.gz")]["n_train"]))  # fmt: skip
    task = next(
        task
        for task in load_suite("geneb").tasks
        if task.task_id == path.name.removesuffix(".csv.gz")
    )

    def seconds(function: object) -> float:
        assert callable(function)
        start = time.process_time()
        function()
        return time.process_time() - start

    ours = min(seconds(lambda: read_task(task, TaskSource(real_tasks))) for _ in range(3))
    plain = min(seconds(lambda: list(rows_by_csv(path))) for _ in range(2))
    assert ours < 2 * plain
