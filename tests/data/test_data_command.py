"""geneb-jax data: check, stats, fetch, simulate, with their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.errors import DataError, DownloadError, GenebError, SelectionError

Write = Callable[[dict[str, str | bytes]], None]
IDS = [task.task_id for task in load_suite("geneb").tasks]
SUITE = """
name = "mine"
title = "Mine"
tasks = [{ id = "one", category = "A" }, { id = "two", category = "B" }]
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["data", *map(str, arguments)])


def document(result: Result) -> Any:
    return json.loads(result.stdout)


def test_check_of_a_clean_folder(write: Write, good: str, tmp_path: Path) -> None:
    write({f"{IDS[3]}.csv": good, f"{IDS[1]}.csv.gz": good})
    result = invoke("check", tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split("\t")[:4] for line in lines] == [
        ["task", "status", "train", "test"],
        [IDS[1], "ok", "4", "2"],
        [IDS[3], "ok", "4", "2"],
    ]
    assert "98 of the suite geneb have no file here" in result.stderr


def test_check_names_every_faulty_task(write: Write, good: str, tmp_path: Path) -> None:
    write(
        {
            f"{IDS[0]}.csv": good + "A,x,train\n",
            f"{IDS[1]}.csv": good,
            f"{IDS[2]}.csv": "",
            f"{IDS[3]}.csv.gz": b"junk",
            f"tasks/{IDS[4]}/train.csv": "text,label\nA,0\n",
        }
    )
    result = invoke("check", tmp_path, "--json")
    assert result.exit_code == 2
    report = document(result)
    assert report["refused"] == 4
    status = {task["task_id"]: task for task in report["tasks"]}
    assert status[IDS[1]]["status"] == "ok"
    assert status[IDS[1]]["digest"]
    assert status[IDS[0]]["error"]["where"] == f"{tmp_path / IDS[0]}.csv:8"
    assert "'x' is not an integer" in status[IDS[0]]["message"]
    assert "the file is empty" in status[IDS[2]]["message"]
    assert "the name says gzip" in status[IDS[3]]["message"]
    assert "has no test.csv" in status[IDS[4]]["message"]
    assert len(report["missing"]) == 95
    table = invoke("check", tmp_path)
    assert table.exit_code == 2
    assert f"{IDS[0]}.csv:8" in table.stdout


def test_check_counts_what_it_accepts(write: Write, good: str, tmp_path: Path) -> None:
    write({f"{IDS[0]}.csv": "\ufeff" + good.replace("\n", "\r\n") + "N,0,dev\r\nacgN,0,train\r\n"})
    result = invoke("check", "--data-dir", tmp_path, "--json")
    assert result.exit_code == 0
    assert document(result)["tasks"][0]["notes"] == {
        "byte_order_mark": 1,
        "crlf_line_ends": 9,
        "dev_rows": 1,
        "rows_with_lower_case": 1,
        "rows_with_n": 1,
        "small_classes": 2,
    }
    assert "byte order mark: 1" in invoke("check", tmp_path).stdout


def test_check_reads_files_outside_the_suite_that_look_like_tasks(
    write: Write, good: str, tmp_path: Path
) -> None:
    write({"mine.csv": good, "my file.csv": good, "broken.csv": "text;label;split\n",
           "MANIFEST.csv": "task_id,n_text\n"})  # fmt: skip
    result = invoke("check", tmp_path, "--json")
    assert result.exit_code == 2
    report = document(result)
    assert {task["task_id"]: task["status"] for task in report["tasks"]} == {
        "broken": "refused", "mine": "ok", "my file": "refused",
    }  # fmt: skip
    assert not any(task["in_suite"] for task in report["tasks"])
    assert report["ignored"] == ["MANIFEST"]
    assert "may hold only" in report["tasks"][2]["message"]


def test_check_uses_the_suite_of_the_folder(write: Write, good: str, tmp_path: Path) -> None:
    write({"suite.toml": SUITE, "one.csv": good})
    report = document(invoke("check", tmp_path, "--json"))
    assert report["suite"] == "mine"
    assert report["missing"] == ["two"]
    assert document(invoke("check", "--suite", tmp_path, "--json")) == report


def test_check_of_chosen_tasks(write: Write, good: str, tmp_path: Path) -> None:
    write({f"{IDS[0]}.csv": good, f"{IDS[-1]}.csv": "bad"})
    assert invoke("check", tmp_path, "-t", IDS[0]).exit_code == 0
    assert invoke("check", tmp_path, "-t", "category:Chromatin Acc.").exit_code == 2
    # A task asked for by its id must be there; one that a pattern covers need not.
    assert invoke("check", tmp_path, "-t", IDS[1]).exit_code == 2
    assert invoke("check", tmp_path, "-t", "category:Histone Mod.").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("check", "{}/nowhere"), DataError, "no such folder"),
        (("check", "{}"), DataError, "no file of a task of the suite geneb"),
        (("stats", "{}"), DataError, "no file of a task"),
        (("check", "{}", "-t", "nonsense"), SelectionError, "unknown task 'nonsense'"),
        (("check", "{}", "-t", "category:Promotors"), SelectionError, "'Promoters'"),
        (("check", "{}", "--suite", "nope"), SelectionError, "no suite 'nope'"),
        (("check",), DataError, "no such folder"),
        (("fetch", "--offline"), DownloadError, "200 of the wanted files"),
        (("fetch", "--offline", "-t", IDS[0]), DownloadError, "2 of the wanted files"),
        (("fetch", "-t", "nonsense"), SelectionError, "unknown task"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], kind: type[GenebError], words: str
) -> None:
    result = invoke(*(argument.replace("{}", str(tmp_path)) for argument in arguments))
    assert isinstance(result.exception, kind)
    assert words in result.exception.message
    assert result.exception.exit_code == 2
    assert result.stdout == ""


def test_folder_given_twice(tmp_path: Path) -> None:
    result = invoke("check", tmp_path, "--data-dir", tmp_path)
    assert result.exit_code == 2
    assert "Give the folder once" in result.stderr


def test_stats(write: Write, good: str, tmp_path: Path) -> None:
    write({f"{IDS[0]}.csv": good, f"{IDS[1]}.csv": good + "NNNNN,0,test\n", f"{IDS[2]}.csv": "x"})
    result = invoke("stats", tmp_path, "--json")
    assert result.exit_code == 1
    assert f"{IDS[2]}.csv:1" in result.stderr
    report = document(result)
    assert report["refused"] == [IDS[2]]
    first, second = report["tasks"]
    assert first["train_class_counts"] == {"0": 2, "1": 2}
    assert first["length_bp"]["maximum"] == 4
    assert first["gc_fraction"] == 14 / 24
    assert second["letter_counts"]["N"] == 5
    assert report["total"] == {
        "tasks": 2, "rows": 13, "total_bp": 53, "distinct_sequences": 7, "distinct_bp": 29,
    }  # fmt: skip
    (tmp_path / f"{IDS[2]}.csv").unlink()
    table = invoke("stats", tmp_path)
    assert table.exit_code == 0
    assert table.stdout.splitlines()[2].split("\t")[-1] == "5"
    assert "7 distinct sequences, 45.3% of the bases are repeats" in table.stderr


def test_simulate_writes_a_suite_that_passes_its_check(tmp_path: Path) -> None:
    assert invoke("simulate", "--out", tmp_path / "demo").exit_code == 0
    suite = load_suite(tmp_path / "demo")
    assert suite.simulated
    report = document(invoke("check", tmp_path / "demo", "--json"))
    assert report["refused"] == 0
    assert len(report["tasks"]) == len(suite.tasks) == 13
    assert report["missing"] == []


def test_check_of_the_real_tasks(real_tasks: Path) -> None:
    report = document(invoke("check", real_tasks, "-t", "*GUE_emp*", "--json"))
    assert report["refused"] == 0
    assert len(report["tasks"]) == len(list(real_tasks.glob("*GUE_emp*.csv.gz")))


def test_a_pipe_gets_results_and_nothing_else(write: Write, good: str, tmp_path: Path) -> None:
    """As a real process: exit codes, one line for an error, no jax, a quick start."""
    write({f"{IDS[0]}.csv": good, f"{IDS[1]}.csv": "bad"})
    script = (
        "import sys\nfrom geneb_jax.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(sorted({'jax', 'torch', 'transformers'} & set(sys.modules)))\n"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, "data", *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ),
        )  # fmt: skip

    checked = run("check", tmp_path)
    assert checked.returncode == 2
    assert checked.stdout.splitlines()[-1] == "[]"
    assert (
        len(checked.stderr.splitlines()) == 2
    )  # the tally, and how near the data are to the benchmark
    failed = run("check", tmp_path / "nowhere")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("geneb-jax: ")
