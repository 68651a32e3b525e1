"""What a new user gets wrong: every answer says what, where, why, and what to do next.

The list is that of a walk through the commands by hand. Each answer is one message with exit code 2
(where nothing else is said), and nothing is left half-written.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax import durable_files
from geneb_jax.errors import GenebError

TASK = "iDHS-EL_DNase_I"
ROWS = [f"{'ACGT' * 10},{k % 2},{'test' if k > 8 else 'train'}" for k in range(14)]


def _csv(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with everything that the mistakes are made on."""
    header = "text,label,split"
    _csv(tmp_path / "good" / f"{TASK}.csv", header, *ROWS)
    _csv(tmp_path / "own" / "my_promoters.csv", header, *ROWS)
    _csv(tmp_path / "fasta" / f"{TASK}.csv", ">s1 promoter", "ACGT")
    _csv(tmp_path / "tabs" / f"{TASK}.csv", "text\tlabel\tsplit", "ACGT\t1\ttrain")
    _csv(tmp_path / "names" / f"{TASK}.csv", "sequence,label", "ACGT,1", "ACGG,0")
    _csv(tmp_path / "untested" / f"{TASK}.csv", header, "ACGT,1,train", "ACGG,0,train")
    _csv(tmp_path / "words" / f"{TASK}.csv", header, "ACGT,1,train", "ACGG,no,train", "A,1,test")
    _csv(tmp_path / "splits" / f"{TASK}.csv", header, "ACGT,1,train", "ACGG,0,middle", "A,1,test")
    _csv(tmp_path / "ending" / f"{TASK}.fa", ">a", "ACGT")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / f"{TASK}.csv").write_text("", encoding="utf-8")
    for folder in ("ckpt/inner", "models--lab--net/snapshots/0a1b", "t5"):
        (tmp_path / folder).mkdir(parents=True)
        kind = "t5" if folder == "t5" else "bert"
        text = json.dumps({"model_type": kind, "architectures": ["T5EncoderModel"]})
        (tmp_path / folder / "config.json").write_text(text, encoding="utf-8")
    (tmp_path / "ckpt" / "inner" / "model.safetensors").write_bytes(b"")
    (tmp_path / "file").write_text("", encoding="utf-8")
    _csv(tmp_path / "models.toml", 'models = ["kmer-4"]')
    _csv(tmp_path / "bare.toml", 'model = "kmer-4"')
    _csv(tmp_path / "noquotes.toml", "model = kmer-4")
    np.savez(tmp_path / "lacking.npz", X_train=np.eye(2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


DEMO = ("run", "-m", "kmer-1", "--suite", "demo", "--out", "o")
OWN = ("run", "-m", "kmer-1", "--out", "o", "--data-dir")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        # models
        (("run", "-m", "kmer4", "--suite", "demo"), ("'kmer4'", "kmer-4", "list models")),
        (
            ("run", "-m", "DNABERT-2", "--suite", "demo", "--offline"),
            ("zhihan1996/DNABERT-2-117M", "run once with a connection"),
        ),
        (
            ("run", "-m", "LucaOne", "--suite", "demo", "--offline"),
            ("LucaGroup/LucaOne", "name a checkpoint folder"),
        ),
        (
            ("run", "-m", "nosuch/folder", "--suite", "demo", "--offline"),
            ("there is no folder nosuch/folder here", "name a checkpoint folder"),
        ),
        (
            ("run", "-m", "./nosuch", "--suite", "demo"),
            ("./nosuch", "config.json and weights"),
        ),
        (("run", "-m", "ckpt", "--suite", "demo"), ("no config.json", "ckpt/inner")),
        (
            ("run", "-m", "ckpt/inner/model.safetensors", "--suite", "demo"),
            ("is a file, not a folder", "name its folder"),
        ),
        (
            ("run", "-m", "models--lab--net", "--suite", "demo"),
            ("models--lab--net/snapshots/0a1b/config.json",),
        ),
        (("run", "-m", "t5", "--suite", "demo"), ("t5/config.json", "-m torch:FOLDER")),
        (("run", "-m", "torch:t5", "--suite", "demo"), ("t5", "save_pretrained")),
        (
            ("run", "-m", "a/model", "-m", "b/model", "--suite", "demo", "--offline"),
            ("none of the 2 models", "a/model", "b/model", "list models"),
        ),
        # tasks and files
        ((*OWN, "good", "-t", "iDHS"), ("'iDHS'", TASK, "list tasks")),
        ((*OWN, "good", "-t", "category:promoter"), ("'promoter'", "'Promoters'", "Enhancers")),
        ((*OWN, "nosuch"), ("nosuch", "folder of task files")),
        ((*OWN, f"good/{TASK}.csv"), (f"good/{TASK}.csv", "folder of task files")),
        ((*OWN, "own"), ("own", "no file named after", "suite.toml")),
        ((*OWN, "ending"), ("ending", "no task of the suite geneb", "suite.toml")),
        ((*DEMO[:3], "--suite", "own"), ("own", "suite.toml")),
        ((*OWN, "fasta"), (f"fasta/{TASK}.csv:1", "text,label,split")),
        ((*OWN, "tabs"), (f"tabs/{TASK}.csv:1", "separated by a tab", "use commas")),
        ((*OWN, "names"), (f"names/{TASK}.csv:1", "'sequence', 'label'", "text,label,split")),
        ((*OWN, "untested"), (f"untested/{TASK}.csv", "no test rows")),
        ((*OWN, "words"), (f"words/{TASK}.csv:3", "'no'", "0, 1, 2")),
        ((*OWN, "splits"), (f"splits/{TASK}.csv:3", "'middle'", "train, test, dev")),
        ((*OWN, "empty"), (f"empty/{TASK}.csv", "empty")),
        # options
        ((*DEMO, "--C", "0,1"), ("C must be a finite number above 0", "run --help")),
        ((*DEMO, "--C", "abc"), ("'--C'", "'abc' is not a number", "run --help")),
        ((*DEMO, "--seed", "abc"), ("'--seed'", "'abc' is not a number", "run --help")),
        ((*DEMO, "--dtype", "int8"), ("'--dtype'", "bfloat16", "run --help")),
        ((*DEMO, "--pooling", "max"), ("kmer-1", "--pooling", "run it without")),
        ((*DEMO, "--layer", "3"), ("kmer-1", "--layer", "run it without")),
        (
            ("run", "-m", "tiny-nt-v1", "--suite", "demo", "--layer", "99"),
            ("no hidden state 99", "-1 the last"),
        ),
        ((*DEMO, "--regime", "5shot"), ("'5shot'", "10shot", "full, 10shot, 1shot")),
        ((*DEMO, "--datadir", "x"), ("'--datadir'", "'--data-dir'", "run --help")),
        (("rnu",), ("'rnu'", "Did you mean run?", "--help")),
        (("run", "-m", "kmer-1", "--suite", "demo", "--out", "file"), ("file", "--out")),
        (("run", "-m", "kmer-1", "--suite", "demo", "--out", "file/o"), ("file/o", "--out")),
        (("run", "--config", "models.toml"), ("models.toml", "models", "did you mean model?")),
        (("run", "--config", "bare.toml"), ("bare.toml", "model: a list", "run --help")),
        (("run", "--config", "noquotes.toml"), ("noquotes.toml", "line 1", "quotes")),
        (("run", "--config", "none.toml"), ("none.toml", "no such run file", "--config")),
        # arrays and exports
        (("probe", "lacking.npz"), ("lacking.npz", "y_train", "np.savez")),
        (("probe", "none.npz"), ("none.npz", "there is no such file", "--export")),
        (("probe", "lacking.npz", "--pooling", "max"), ("--pooling", "made already")),
        (("embed", "none.fa", "--export", "x.npz"), ("none.fa", "check its path")),
        (
            ("store", "export", "--store", "none", "--export", "x.npz"),
            ("none", "no such folder of stored embeddings", "--store"),
        ),
    ],
)
def test_the_answer_says_what_where_and_what_next(
    geneb: Callable[..., Any], here: Path, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    before = sorted(path.name for path in here.iterdir())
    answer = geneb(*arguments)
    assert answer.code == 2
    for words in said:
        assert words in answer.err, answer.err
    message = answer.err.strip().splitlines()[-1]
    assert message.startswith("geneb-jax: ") and "Traceback" not in answer.err
    assert ".." not in message.replace("...", "") and ". ." not in message
    assert not answer.out
    assert sorted(path.name for path in here.iterdir()) == before


def test_own_files_checked_as_the_benchmarks_are_named_as_no_task(geneb: Any, here: Path) -> None:
    answer = geneb("data", "check", "own")
    assert "my_promoters (not in suite)" in answer.out + answer.err


def test_a_pattern_over_part_of_the_files_is_one_line_and_no_failure(
    geneb: Any, here: Path
) -> None:
    answer = geneb(*OWN, "good", "-t", "i*", "--regime", "full", "--seed", "13")
    assert answer.code == 0, answer.err
    (line,) = [line for line in answer.err.splitlines() if "have no file" in line]
    assert "tasks of i* have" in line and "data fetch" in line
    assert "failed" not in answer.err
    assert "result: " in answer.out and "open: file://" in answer.out and "next: " in answer.out
    # What has no file at all was asked for all the same.
    mixed = geneb(*OWN, "good", "-t", TASK, "-t", "category:Virus*", "--regime", "full")
    assert mixed.code == 1 and "failed: " in mixed.err


def test_a_named_task_without_a_file_is_a_failure_in_one_line(geneb: Any, here: Path) -> None:
    two = (
        "InstaDeepAI_nucleotide_transformer_downstream_tasks_H3",
        "leannmlindsey_GUE_virus_covid",
    )
    answer = geneb(*OWN, "good", *(w for t in (TASK, *two) for w in ("-t", t)), "--regime", "full")
    assert answer.code == 1
    failed = [line for line in answer.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1 and "2 of them" in failed[0] and two[0] in failed[0]


def test_sequences_of_other_letters_are_said(geneb: Any, here: Path) -> None:
    rows = [
        f"MKVLAWFPQRNDEHI{'KL' * (k % 7)},{k % 2},{'test' if k > 8 else 'train'}" for k in range(14)
    ]
    _csv(here / "protein" / f"{TASK}.csv", "text,label,split", *rows)
    answer = geneb(*OWN, "protein", "--regime", "full")
    assert answer.code == 0
    assert "warning: " in answer.err and "kmer-1" in answer.err


def test_interruption_says_that_nothing_is_lost(
    geneb: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("geneb_jax.runs.execute.plan_work", stop)
    answer = geneb(*DEMO)
    assert answer.code == 75
    assert answer.err.strip() == (
        "geneb-jax: interrupted; everything finished is kept, the same command resumes it."
    )


@pytest.mark.fault("F04")
def test_a_full_disk_is_named_with_what_to_do(
    geneb: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable_files.os, "fsync", full)
    answer = geneb(*OWN, "good", "--regime", "full")
    assert answer.code == 2
    for words in ("o/records", "is full", "free some space", "same command again"):
        assert words in answer.err, answer.err


def test_a_folder_of_another_suite_is_refused_by_name(geneb: Any, here: Path) -> None:
    assert geneb(*OWN, "good", "--regime", "full", "--seed", "13").code == 0
    answer = geneb(*DEMO)
    assert answer.code == 2
    for words in ("o", "suite", "--out"):
        assert words in answer.err
    assert (here / "o" / "scores.csv").is_file()


def test_every_class_of_error_ends_a_sentence_once() -> None:
    error = GenebError("a", where="w", cause="did you mean b?", hint="see c.")
    assert error.message == "w: a. did you mean b? see c."
