"""``--overlong`` as typed: labels, counts on screen and in scores.csv, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TASK = "iDHS-EL_DNase_I"
#: tiny-nt-v1 reads 999 tokens of 6 letters.
CONTEXT = 5994


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Fourteen rows, one of them 6,100 letters, one with four letters N."""
    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice(list("ACGT"), 30)) for _ in range(14)]
    texts[3] += "A" * 6070
    texts[5] += "NNNN"
    rows = [f"{text},{k % 2},{'test' if k > 8 else 'train'}" for k, text in enumerate(texts)]
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / f"{TASK}.csv").write_text("\n".join(["text,label,split", *rows]) + "\n", "utf-8")
    return folder


def run(geneb: Any, tasks: Path, *more: str) -> Any:
    places = ("--out", str(tasks.parent / "out"), "--store", str(tasks.parent / "store"))
    return geneb(
        "run", "-m", "tiny-nt-v1", "--data-dir", str(tasks), "--regime", "full", *places, *more
    )


def counted(out: Path) -> dict[str, tuple[str, ...]]:
    """Label to the five counts."""
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        found = csv.DictReader(file)
        assert found.fieldnames is not None
        names = found.fieldnames[-5:]
        return {row["model_id"]: tuple(row[name] for name in names) for row in found}


def test_windows_and_truncation_side_by_side(geneb: Any, tasks: Path) -> None:
    cut = run(geneb, tasks, "--overlong", "truncate")
    assert cut.code == 0, cut.err
    assert "1 of 14 sequences are longer than the model takes: 106 letters were cut off" in (
        cut.err
    )
    assert "--overlong windows" in cut.err
    whole = run(geneb, tasks, "--overlong", "windows")
    assert whole.code == 0, whole.err
    assert "1 of 14 sequences are longer than a window and are the mean over 2 windows" in (
        whole.err
    )
    found = counted(tasks.parent / "out")
    assert found == {
        "tiny-nt-v1": ("106", "14", "4", "0", "0"),
        "tiny-nt-v1 windows 5994/2997": ("0", "15", "4", "0", "0"),
    }
    page = (tasks.parent / "out" / "report.html").read_text(encoding="utf-8")
    assert "106 letters of 1 of 1 tasks are beyond its context" in page
    # From the store, the counts are the same.
    again = run(geneb, tasks, "--overlong", "windows", "--fresh")
    assert "the mean over 2 windows" in again.err
    assert counted(tasks.parent / "out") == found


def test_refuse_names_file_row_length_and_context(geneb: Any, tasks: Path) -> None:
    refused = run(geneb, tasks, "--overlong", "refuse")
    assert refused.code == 2
    assert f"{tasks / TASK}.csv:5: the sequence has 6,100 letters, 106 more than" in refused.err
    assert "(1,000 tokens, special ones included)" in refused.err
    assert not (tasks.parent / "out").exists()


def test_files_of_sequences_too(geneb: Any, tmp_path: Path) -> None:
    fasta = tmp_path / "long.fa"
    fasta.write_text(f">short\nACGT\n>chr1 whole\n{'ACGTT' * 1300}\n", encoding="utf-8")
    common = ("embed", "-m", "tiny-nt-v1", str(fasta), "--store", str(tmp_path / "store"))
    export = ("--export", str(tmp_path / "x.npz"))
    refused = geneb(*common, *export, "--overlong", "refuse")
    assert refused.code == 2
    assert "the sequence chr1 (number 2 of the file) has 6,500 letters" in refused.err
    for _ in range(2):  # made now, then read
        done = geneb(*common, *export, "--overlong", "windows", "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["report"]["windows"] == 3
        assert "the mean over 2 windows; nothing was cut off" in done.err
    with np.load(tmp_path / "x.npz") as file:
        identity = json.loads(str(file["facts"]))["model"]
    assert identity["overlong"] == "windows:5994:2997"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("windows:100:200", "leave letters out"),
        ("middle", "known are truncate, windows"),
        ("windows:6000", "longer than the context of tiny-nt-v1, which holds 5,994 letters"),
    ],
)
def test_what_cannot_be_is_said(geneb: Any, tasks: Path, asked: str, said: str) -> None:
    refused = run(geneb, tasks, "--overlong", asked)
    assert refused.code == 2 and said in refused.err
    assert not (tasks.parent / "out").exists()


def test_the_harness_has_no_windows(geneb: Any, tasks: Path) -> None:
    refused = run(geneb, tasks, "--overlong", "windows", "--as-harness")
    assert refused.code == 2 and "--overlong has no part in it" in refused.err
