"""One command makes a suite of each published layout; scores on it equal scikit-learn's."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.data import TaskSource, read_task
from tests.layouts.published_layouts import BY_CLASS, LAYOUTS, NAMES, WITH_DEV, Row, Rows, of
from tests.tolerance import Tolerance


def call(*arguments: object) -> str:
    result = CliRunner().invoke(
        command, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def expected_rows(layout: str, rows: Rows, split: str) -> list[tuple[str, int]]:
    """Texts and labels as the suite must have them, in the publisher's order of rows."""
    those = of(rows, split)
    if layout in BY_CLASS:
        those = sorted(those, key=lambda row: row.label)
    # Text labels are numbered in the order of the alphabet: "active" comes before "inactive".
    swapped = layout == "plain table"
    return [(row.text, 1 - row.label if swapped else row.label) for row in those]


def counts_of_words(sequences: list[str], k: int = 4) -> np.ndarray:
    """Share of each word of k letters, float64 [n, 4**k], from float32 as embeddings are."""
    places = {letter: code for code, letter in enumerate("ACGT")}
    features = np.zeros((len(sequences), 4**k), np.float32)
    for row, text in enumerate(sequences):
        for at in range(len(text) - k + 1):
            word = text[at : at + k]
            if set(word) <= set(places):
                features[row, sum(places[x] * 4 ** (k - 1 - i) for i, x in enumerate(word))] += 1
        features[row] /= features[row].sum()
    return features.astype(np.float64)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_becomes_a_suite_whose_scores_are_those_of_scikit_learn(
    layout: str, rows: tuple[Row, ...], tmp_path: Path, tolerance: Tolerance
) -> None:
    source, suite_folder, out = tmp_path / "source", tmp_path / "suite", tmp_path / "out"
    said = LAYOUTS[layout](source, rows)
    told = call("suite", "import", source, "--to", suite_folder, *said)
    # Frequencies are small: at the protocol's C of 1 so few rows would give one class.
    run = ("run", "-m", "kmer-4", "--suite", suite_folder, "--out", out)
    call(*run, "--regime", "full", "--C", "100")

    suite = load_suite(suite_folder)
    (task,) = suite.tasks
    table = read_task(task, TaskSource(suite_folder))
    train, test = (expected_rows(layout, rows, split) for split in ("train", "test"))
    assert list(zip(table.train_sequences, table.train_labels.tolist(), strict=True)) == train
    assert list(zip(table.test_sequences, table.test_labels.tolist(), strict=True)) == test
    assert table.notes.get("dev_rows", 0) == (7 if layout in WITH_DEV else 0)
    assert ("7 dev rows" in told) == (layout in WITH_DEV)
    assert task.classes == NAMES.get(layout, ())

    fit = LogisticRegression(C=100, max_iter=1000).fit(
        counts_of_words([text for text, _ in train]), [label for _, label in train]
    )
    truth = [label for _, label in test]
    guess = fit.predict(counts_of_words([text for text, _ in test]))
    assert matthews_corrcoef(truth, guess) != 0
    with (out / "scores.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    close = tolerance("metrics", "float64")
    assert float(row["mcc"]) == pytest.approx(matthews_corrcoef(truth, guess), abs=close)
    assert float(row["accuracy"]) == pytest.approx(accuracy_score(truth, guess), abs=close)
    assert float(row["macro_f1"]) == pytest.approx(
        f1_score(truth, guess, average="macro"), abs=close
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(f"<td>{name}</td>" in page for name in task.classes)


def test_where_a_suite_came_from_is_recorded(rows: tuple[Row, ...], tmp_path: Path) -> None:
    source = tmp_path / "GUE"
    LAYOUTS["GUE"](source, rows)
    call("suite", "import", source, "--to", tmp_path / "suite")
    record = json.loads((tmp_path / "suite" / "import.json").read_text(encoding="utf-8"))["content"]
    assert record["source"] == str(source.resolve())
    read = {one["path"]: one for one in record["files"]}
    for split in ("train", "dev", "test"):
        content = (source / "EMP" / "H3" / f"{split}.csv").read_bytes()
        one = read.pop(f"EMP/H3/{split}.csv")
        assert (one["sha256"], one["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert not read
    (task,) = record["tasks"]
    assert task["importer"] == "GUE"
    assert task["rows"] == {"train": 60, "test": 40, "dev": 7}
    assert load_suite(tmp_path / "suite").tasks[0].category == "EMP"


def test_dev_rows_are_train_rows_only_where_that_is_said(
    rows: tuple[Row, ...], tmp_path: Path
) -> None:
    LAYOUTS["OmniGenBench"](tmp_path / "source", rows)
    call("suite", "import", tmp_path / "source", "--to", tmp_path / "suite", "--dev", "train")
    suite = load_suite(tmp_path / "suite")
    table = read_task(suite.tasks[0], TaskSource(tmp_path / "suite"))
    both = [row.text for row in rows if row.split in ("train", "dev")]
    assert list(table.train_sequences) == both
    assert list(table.test_sequences) == [row.text for row in of(rows, "test")]


def test_a_whole_benchmark_is_one_suite(rows: tuple[Row, ...], tmp_path: Path) -> None:
    for layout in ("GUE", "Genomic Benchmarks", "NT FASTA"):
        LAYOUTS[layout](tmp_path / "all" / layout.replace(" ", "-"), rows)
    call("suite", "import", tmp_path / "all", "--to", tmp_path / "suite")
    assert [task.task_id for task in load_suite(tmp_path / "suite").tasks] == [
        "GUE_EMP_H3",
        "Genomic-Benchmarks_human_nontata_promoters",
        "NT-FASTA_H3",
    ]
