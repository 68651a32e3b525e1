"""``embed FILES --export``: the model's vectors under the files' names, and probe reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from geneb_jax import load_model
from geneb_jax.runs import vector_export

RNG = np.random.RandomState(5)
TEXTS = ["".join(RNG.choice(list("ACGT"), RNG.randint(20, 60))) for _ in range(40)]
TEXTS[7] = TEXTS[3]  # a repeat keeps its own row


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "seqs.fa"
    path.write_text("".join(f">s{k} x\n{text}\n" for k, text in enumerate(TEXTS)), "utf-8")
    return path


@pytest.mark.parametrize("model", ["kmer-3", "tiny-nt-v1"])
def test_vectors_are_those_of_the_library(
    geneb: Any, fasta: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_export, "BLOCK_ROWS", 16)
    more = tmp_path / "more.txt"
    more.write_text("ACGTACGT\n", encoding="utf-8")
    out = tmp_path / "x.parquet"
    store = tmp_path / "store"
    arguments = ("embed", "-m", model, fasta, more, "--export", out, "--store", store, "--json")
    answer = geneb(*arguments)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["rows"] == 41
    table = pyarrow.parquet.read_table(out)
    assert table["name"].to_pylist() == [*(f"s{k}" for k in range(40)), "more:1"]
    rows = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_array_equal(rows, load_model(model).embed([*TEXTS, "ACGTACGT"]))
    facts = json.loads(table.schema.metadata[b"geneb_jax"])
    assert facts["model"] == load_model(model).encoder.identity.as_dict()
    assert [one["file"] for one in facts["input"]] == ["seqs.fa", "more.txt"]
    assert facts["versions"]["geneb-jax"]
    first = out.read_bytes()
    again = geneb(*arguments)
    assert json.loads(again.out)["report"]["embedded"] == 0
    assert out.read_bytes() == first


def test_without_a_model_it_is_said_which_one(geneb: Any, fasta: Path, tmp_path: Path) -> None:
    answer = geneb("embed", fasta, "--export", tmp_path / "x.npz")
    assert answer.code == 0 and "kmer-4" in answer.err
    assert "x.npz: 40 vectors of 256 numbers, made by kmer-4" in answer.out


def test_probe_reads_what_embed_writes(geneb: Any, tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    lines = [
        f"{text}\t{'AT' if k % 2 else 'GC'}\t{'test' if k > 25 else 'train'}"
        for k, text in enumerate(TEXTS)
    ]
    table.write_text("\n".join(["seq\ty\tpart", *lines]), encoding="utf-8")
    out = tmp_path / "mine.npz"
    roles = "sequence=seq,label=y,split=part"
    done = geneb("embed", "-m", "kmer-2", table, "--columns", roles, "--export", out)
    assert done.code == 0, done.err
    answer = geneb("probe", out, "--regime", "full", "--seed", "13", "--json")
    assert answer.code == 0, answer.err
    (row,) = json.loads(answer.out)["scores"]
    rows = load_model("kmer-2").embed(TEXTS)
    labels = np.array(["AT" if k % 2 else "GC" for k in range(40)])
    plain = tmp_path / "plain.npz"
    np.savez(plain, X_train=rows[:26], y_train=labels[:26], X_test=rows[26:], y_test=labels[26:])
    answer = geneb("probe", plain, "--regime", "full", "--seed", "13", "--json")
    (same,) = json.loads(answer.out)["scores"]
    assert row["task_id"] == "mine"
    assert {k: v for k, v in row.items() if k != "task_id"} == {
        k: v for k, v in same.items() if k != "task_id"
    }


def test_tasks_and_stores_can_leave_too(geneb: Any, tmp_path: Path) -> None:
    out, store = tmp_path / "d.npz", tmp_path / "store"
    task = "simulated_promoters_tata"
    embed = ("embed", "-m", "kmer-2", "--suite", "demo", "-t", task, "--store", store)
    assert geneb(*embed, "--export", out).code == 0
    with np.load(out) as archive:
        names, split = archive["names"], archive["split"]
        rows = archive["embeddings"]
    assert names[0] == f"{task}/train/0" and set(split.tolist()) == {"train", "test"}
    assert geneb("probe", out, "--regime", "full", "--seed", "13").code == 0
    whole = tmp_path / "w.npz"
    answer = geneb("store", "export", "--store", store, "-m", "kmer-2", "--export", whole)
    assert answer.code == 0, answer.err
    with np.load(whole) as archive:
        stored = archive["embeddings"]
        assert len(archive["names"][0]) == 32
    assert {row.tobytes() for row in stored} == {row.tobytes() for row in rows}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("seqs.fa",), "--export X.npz"),
        (("seqs.fa", "--export", "x.csv"), ".npz, .parquet, .h5ad"),
        (("seqs.fa", "--export", "x.npz", "--suite", "demo"), "one or the other"),
        (("seqs.fa", "--export", "x.npz", "-m", "kmer-1", "-m", "kmer-2"), "one by one"),
        (("seqs.fa", "--export", "x.npz", "-m", "kmer4"), "kmer-4"),
        (("seqs.fa", "--export", "x.npz", "--part", "1/2"), "--part divides"),
        (("seqs.fa", "--export", "x.npz", "--part", "nonsense"), "--part divides"),
        (("none.fa", "--export", "x.npz"), "there is no such file"),
        (("seqs.fa", "--export", "x.npz", "--columns", "seq=x"), "ROLE=COLUMN"),
        (("--columns", "sequence=x", "--suite", "demo"), "none is named"),
        (("seqs.fa", "--export", "x.npz", "--as-harness", "-m", "kmer-1"), "harness"),
    ],
)
def test_mistakes_are_said_before_any_work(
    geneb: Any,
    fasta: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(fasta.parent)
    answer = geneb("embed", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert {path.name for path in fasta.parent.iterdir()} <= {"seqs.fa"}


def test_vectors_without_labels_are_nothing_to_probe(
    geneb: Callable[..., Any], fasta: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.npz"
    assert geneb("embed", "-m", "kmer-1", fasta, "--export", out).code == 0
    answer = geneb("probe", out)
    assert answer.code == 2 and "no label and no split" in answer.err


def test_a_file_that_changes_meanwhile_is_refused(
    geneb: Any, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = vector_export.open_store

    def change(*arguments: Any, **more: Any) -> Any:
        fasta.write_text(">s0\nACGT\n", encoding="utf-8")
        return listed(*arguments, **more)

    monkeypatch.setattr(vector_export, "open_store", change)
    out = tmp_path / "x.npz"
    answer = geneb("embed", "-m", "kmer-1", fasta, "--export", out)
    assert answer.code == 2 and "was changed" in answer.err
    assert not out.exists()


def _labelled(path: Path, splits: list[str], labels: list[str]) -> Path:
    lines = [f"{text},{y},{part}" for text, y, part in zip(TEXTS, labels, splits, strict=True)]
    path.write_text("\n".join(["sequence,label,split", *lines]), encoding="utf-8")
    return path


SPLITS = ["train"] * 24 + ["test"] * 12 + ["dev"] * 4
LABELS = ["b" if k % 2 else "a" for k in range(40)]


def test_a_missing_label_is_no_class(geneb: Any, tmp_path: Path) -> None:
    out = tmp_path / "miss.npz"
    for row, code in ((2, 2), (30, 2), (38, 0)):  # dev rows need none
        labels = [*LABELS[:row], "", *LABELS[row + 1 :]]
        table = _labelled(tmp_path / "miss.csv", SPLITS, labels)
        assert geneb("embed", "-m", "kmer-1", table, "--export", out).code == 0
        answer = geneb("probe", out, "--regime", "full", "--seed", "13", "--json")
        assert answer.code == code, answer.err
        if code:
            assert f"miss.npz: row {row + 1} (miss:{row + 1})" in answer.err
            assert "1 of 40 rows without a label" in answer.err
    X = np.random.RandomState(0).randn(4, 2).astype(np.float32)
    np.savez(out, X_train=X, y_train=["a", "b", "", "a"], X_test=X, y_test=["a", "b", "a", "b"])
    answer = geneb("probe", out)
    assert answer.code == 2 and "y_train[2] is empty" in answer.err


def test_splits_are_read_however_they_are_spelled(geneb: Any, tmp_path: Path) -> None:
    scores = []
    spelled = {
        "train": ["train", "Train", "TRAINING"],
        "test": ["Testing", "test", "TEST"],
        "dev": ["valid", "Validation", "val"],
    }
    odd = [spelled[split][k % 3] for k, split in enumerate(SPLITS)]
    for splits in (SPLITS, odd):
        table = _labelled(tmp_path / "mine.csv", splits, LABELS)
        out = tmp_path / "mine.npz"
        assert geneb("embed", "-m", "kmer-2", table, "--export", out).code == 0
        answer = geneb("probe", out, "--regime", "full", "--seed", "13", "--json")
        assert answer.code == 0, answer.err
        assert "4 rows neither train nor test, left out (4 dev)" in answer.err
        scores.append(json.loads(answer.out)["scores"])
    assert scores[0] == scores[1] and scores[0][0]["n_train"] == 24
    for word in ("holdout", ""):
        table = _labelled(tmp_path / "mine.csv", [*SPLITS[:5], word, *SPLITS[6:]], LABELS)
        assert geneb("embed", "-m", "kmer-2", table, "--export", out).code == 0
        answer = geneb("probe", out)
        assert answer.code == 2
        assert f"row 6 (mine:6): the split {word!r} of 1 row is" in answer.err


def test_of_other_letters_it_is_said_that_u_is_one(geneb: Any, tmp_path: Path) -> None:
    rna, out = tmp_path / "r.txt", tmp_path / "r.npz"
    rna.write_text("ACGUACGUAA\nACGTTTGACC\n", encoding="utf-8")
    answer = geneb("embed", "-m", "kmer-2", rna, "--export", out)
    assert answer.code == 0
    assert "1 of 2 sequences hold letters other than A, C, G, T: 2 in all" in answer.err
    assert "turn U into T first" in answer.err
    with np.load(out) as archive:  # said, not done
        rows = load_model("kmer-2").embed(["ACGUACGUAA", "ACGTTTGACC"])
        np.testing.assert_array_equal(archive["embeddings"], rows)
    suite = tmp_path / "tasks"
    suite.mkdir()
    rows = [f"{text.replace('T', 'U')},{k % 2},{SPLITS[k]}" for k, text in enumerate(TEXTS)]
    (suite / "rna.csv").write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")
    assert geneb("suite", "init", suite).code == 0
    run = ("--suite", suite, "--store", tmp_path / "store", "--regime", "full")
    answer = geneb("run", "-m", "kmer-2", *run, "--out", tmp_path / "o")
    assert answer.code == 0, answer.err
    assert "turn U into T first" in answer.err
    checked = geneb("data", "check", suite, "--suite", suite)
    assert "1 task read, 0 refused" in checked.err
