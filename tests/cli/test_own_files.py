"""From files of one's own to a score through the commands that the messages offer."""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from geneb_jax.benchmark import load_suite
from tests.cli.conftest import Answer
from tests.layouts.published_layouts import LAYOUTS, Row, labelled_rows, of

Geneb = Callable[..., Answer]


@pytest.fixture(scope="module")
def rows() -> tuple[Row, ...]:
    return labelled_rows()


def offered(message: str) -> list[list[str]]:
    """The commands in a message, without `geneb-jax`."""
    return [shlex.split(text)[1:] for text in re.findall(r"`(geneb-jax [^`]*)`", message)]


def flat_csv(rows: tuple[Row, ...], header: str = "text,label,split") -> str:
    return header + "\n" + "".join(f"{row.text},{row.label},{row.split}\n" for row in rows)


@pytest.mark.parametrize(
    "name", ["my_promoters.csv", "my_promoters.tsv", "my_promoters.csv.gz", "p/train.csv"]
)
def test_own_files_end_in_a_score_through_the_offered_commands(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "my files"
    (own / name).parent.mkdir(parents=True)
    text = flat_csv(rows)
    if name.endswith(".tsv"):
        text = text.replace(",", "\t").replace("text", "sequence")
    if name.startswith("p/"):
        for split in ("train", "test"):
            lines = [f"{row.text},{row.label}\n" for row in of(rows, split)]
            (own / "p" / f"{split}.csv").write_text("text,label\n" + "".join(lines))
    elif name.endswith(".gz"):
        import gzip

        (own / name).write_bytes(gzip.compress(text.encode()))
    else:
        (own / name).write_text(text)
    before = sorted(path for path in own.rglob("*"))
    answer = geneb("run", "-m", "kmer-1", "--data-dir", "my files", "--out", "out")
    assert answer.code == 2 and not (tmp_path / "out").exists()
    assert "rename" not in answer.err
    init, run = offered(answer.err)
    assert init == ["suite", "init", "my files"]
    assert run == ["run", "--suite", "my files", "-m", "kmer-1", "--out", "out"]
    for command in (init, run):
        answer = geneb(*command)
        assert answer.code == 0, answer.err
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        scored = {row["task_id"] for row in csv.DictReader(file)}
    assert scored == {"p" if name.startswith("p/") else "my_promoters"}
    assert set(before) <= set(own.rglob("*"))
    copied = (own / "suite-tasks").exists()
    assert copied == name.endswith(".tsv")  # What is read as it is, is not copied.


@pytest.mark.parametrize("layout", ["GUE", "Genomic Benchmarks", "NT parquet"])
def test_published_files_end_in_a_score_through_the_offered_commands(
    geneb: Geneb,
    rows: tuple[Row, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    LAYOUTS[layout](tmp_path / "downloaded", rows)
    answer = geneb("run", "-m", "kmer-1", "--data-dir", "downloaded", "--out", "out")
    assert answer.code == 2
    commands = offered(answer.err)
    assert commands[0] == ["suite", "import", "downloaded", "--to", "downloaded-suite"]
    for command in commands:
        answer = geneb(*command)
        assert answer.code == 0, answer.err
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_output_folder_of_another_suite_is_not_offered(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_task.csv").write_text(flat_csv(rows))
        answer = geneb("run", "-m", "kmer-1", "--data-dir", name, "--out", "out")
        for command in offered(answer.err):
            assert geneb(*command).code == 0
    assert (tmp_path / "out" / "scores.csv").is_file()
    assert (tmp_path / "out-two" / "scores.csv").is_file()


def test_columns_of_other_names_are_told_with_the_option(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(flat_csv(rows, "promoter,activity,fold"))
    answer = geneb("run", "-m", "kmer-1", "--data-dir", tmp_path)
    assert "promoter, activity, fold" in answer.err
    init, _ = offered(answer.err)
    assert init[:2] == ["suite", "init"] and init[3] == "--columns"
    columns = "sequence=promoter,label=activity"
    assert geneb(*init[:4], columns).code == 0
    assert [task.task_id for task in load_suite(tmp_path).tasks] == ["p"]
    assert geneb("data", "check", tmp_path).code == 0


def test_a_suite_that_is_there_is_not_written_anew(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(flat_csv(rows))
    assert geneb("suite", "init", tmp_path).code == 0
    (tmp_path / "suite.toml").write_text("mine")
    answer = geneb("suite", "init", tmp_path)
    assert answer.code == 2 and "already" in answer.err
    assert (tmp_path / "suite.toml").read_text() == "mine"


def test_a_suite_given_as_task_files_is_run_as_a_suite(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(flat_csv(rows))
    assert geneb("suite", "init", tmp_path).code == 0
    answer = geneb("run", "-m", "kmer-1", "--data-dir", tmp_path)
    assert offered(answer.err) == [["run", "--suite", str(tmp_path), "-m", "kmer-1"]]


def test_copies_are_made_whole_once_and_are_no_tasks_themselves(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.tsv").write_text(flat_csv(rows).replace(",", "\t"))
    real = os.replace

    def full(source: object, target: object, **options: object) -> None:
        if str(target).endswith("suite.toml"):
            raise OSError(28, "No space left on device")
        real(source, target, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert geneb("suite", "init", tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["p.tsv"]
    assert geneb("suite", "init", tmp_path).code == 0
    (tmp_path / "suite.toml").unlink()
    answer = geneb("suite", "init", tmp_path)
    assert answer.code == 2 and "earlier" in answer.err
    (tmp_path / "suite-tasks").rename(tmp_path.parent / "away")
    assert geneb("suite", "init", tmp_path).code == 0
    assert [task.task_id for task in load_suite(tmp_path).tasks] == ["p"]


@pytest.mark.parametrize(
    ("files", "arguments", "told"),
    [
        ({"a.csv": ">a|1\nACGT\n"}, (), ("a.csv looks like FASTA", "name it .fa")),
        ({}, (), ("the folder is empty", "docs/your-own-tasks.md")),
        ({"x.bam": "x"}, (), ("it holds files of .bam (1)",)),
        ({"x.bam": "x"}, ("-t", "category:Promoters"), ("22 files are missing", "and 19 more")),
        (
            {"iDHS-EL_DNase_I.tsv": "text\tlabel\tsplit\nA\t0\ttrain\n"},
            ("-t", "iDHS-EL_DNase_I"),
            ("1 file is missing: iDHS-EL_DNase_I", "suite init"),
        ),
        (
            {"iDHS-EL_DNase_I.csv": "x", "deep4mc_E.coli_4mC.csv": "x", "x.csv": "a,b\n"},
            ("-t", "iDHS*", "-t", "category:Promoters"),
            ("22 files are missing",),
        ),
    ],
)
def test_every_cause_is_told_once(
    geneb: Geneb,
    tmp_path: Path,
    files: dict[str, str],
    arguments: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    answer = geneb("run", "-m", "kmer-1", "--data-dir", tmp_path, *arguments)
    assert answer.code == 2, answer.err
    assert all(text in answer.err for text in told), answer.err
    assert answer.err.count("\n") == 1


def test_broken_links_and_missing_files_are_both_told(geneb: Geneb, tmp_path: Path) -> None:
    """A folder of links whose files were never brought (git-annex, DVC)."""
    from geneb_jax.benchmark import select_tasks

    promoters = [task.task_id for task in select_tasks(load_suite("geneb"), ["category:Promoters"])]
    for task_id in promoters[:3]:
        (tmp_path / f"{task_id}.csv").symlink_to(tmp_path / "annex" / task_id)
    answer = geneb("run", "-m", "kmer-1", "--data-dir", tmp_path, "-t", "category:Promoters")
    assert answer.code == 2
    for text in ("19 files are missing", "broken link", promoters[0], promoters[2]):
        assert text in answer.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "-m", "kmer-1", "--data-dir", "nosuch"), ("nosuch", "data fetch")),
        (("run", "-m", "kmer-1", "--data-dir", "x.csv"), ("x.csv", "--data-dir .")),
        (("run", "-m", "kmer-1", "--suite", "own"), ("no suite.toml", "suite init own")),
        (("suite", "init", "x.csv"), ("x.csv", "this is a file")),
        (("suite", "init", "nosuch"), ("nosuch", "no such file or folder")),
        (("suite", "import", "nosuch", "--to", "s"), ("nosuch", "no such file or folder")),
        (("suite", "import", "own", "--to", "s"), ("own", "the folder is empty")),
        (("suite", "init", "own", "--columns", "sequence"), ("'sequence'", "--columns sequence=")),
        (("suite", "init", "own", "--splits", "a=b"), ("'a=b'", "train, test, dev")),
        (("suite", "import", "own"), ("--to",)),
        (("suite", "import", "a" * 300, "--to", "s"), ("no such file or folder",)),
        (("suite", "import", "own", "--to", "a" * 300), ("the folder is empty",)),
        (("suite", "init", "a" * 300), ("no such file or folder",)),
        (("run", "-m", "kmer-1", "--data-dir", "a" * 300), ("no such folder",)),
        (("run", "-m", "kmer-1", "--suite", "a" * 300), ("there is no suite",)),
    ],
)
def test_mistakes_of_the_suite_verbs(
    geneb: Geneb,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "x.csv").write_text("text,label,split\n")
    answer = geneb(*arguments)
    assert answer.code == 2
    assert all(text in answer.err for text in told), answer.err
    assert not os.path.lexists(tmp_path / "s")


def test_check_of_own_files_names_the_command(
    geneb: Geneb, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(flat_csv(rows))
    answer = geneb("data", "check", tmp_path)
    assert offered(answer.err)[0] == ["suite", "init", str(tmp_path)]
