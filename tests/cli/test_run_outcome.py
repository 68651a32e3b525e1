"""The end of a run: one result, a link, the next command; and a log that speaks once a minute."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from geneb_jax.cli.console import link_to
from geneb_jax.cli.progress import ConsoleObserver
from geneb_jax.cli.run_outcome import problem_lines


def test_a_run_ends_with_result_link_and_next_step(geneb: Any, tmp_path: Path) -> None:
    out = tmp_path / "two words"
    answer = geneb(
        *("run", "--suite", "demo", "-m", "kmer-2", "-m", "kmer-1", "--out", out),
        *("-t", "simulated_promoters_tata", "--regime", "full"),
    )
    assert answer.code == 0, answer.err
    assert "1/1" in answer.out and "0/1" not in answer.out
    lines = answer.out.strip().splitlines()
    result, report, link, following = lines[-4:]
    said = r"result: [12]-mer .*\(the best of 2 models\): macro MCC -?0\.\d+.* on 1 task, full"
    assert re.match(said, result)
    assert report == f"report: {out / 'report.html'}"
    assert Path(unquote(urlparse(link.removeprefix("open: ")).path)) == out / "report.html"
    assert following.startswith("next: geneb-jax run -m ")


def test_a_terminal_gets_a_hyperlink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "a b.html"
    assert link_to(page) == page.as_uri()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = link_to(page)
    assert shown.startswith(f"\x1b]8;;{page.as_uri()}\x1b\\") and shown.endswith("\x1b]8;;\x1b\\")
    monkeypatch.setenv("TERM", "dumb")
    assert link_to(page) == page.as_uri()


def test_failures_that_differ_in_a_name_are_one_line() -> None:
    problems = {f"task{k}": f"there is no file of the task task{k}." for k in range(5)}
    lines = list(problem_lines({**problems, "m": "it is broken."}))
    assert lines == [
        "5 of them (task0, task1, task2 ...): there is no file of the task NAME.",
        "m: it is broken.",
    ]


def test_a_log_speaks_while_nothing_else_does(capfd: pytest.CaptureFixture[str]) -> None:
    with ConsoleObserver(log_seconds=0.05) as observer:
        observer.probing("kmer-1", 3, 9)
        time.sleep(0.3)
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) >= 2
    assert all(re.fullmatch(r"\[0:0\d\] kmer-1: probing: 3 of 9", line) for line in said)
    time.sleep(0.15)
    assert not capfd.readouterr().err  # it ends with the run
