"""F74 to F81: places that refuse, files that are no such files, folders that go away."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import main
from geneb_jax.errors import ConfigError, GenebError, OutputError
from geneb_jax.models.spec import read_spec
from geneb_jax.results import AnswerKey, Records, find_answer_key, keep_answer_key
from geneb_jax.results.score_tables import read_scores
from geneb_jax.runs import run
from geneb_jax.runs.array_tasks import read_array_tasks
from geneb_jax.runs.request import request_from_toml

DIGITS = "9" * 5000


@pytest.fixture
def suite_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    generator = np.random.RandomState(0)
    lines = ["text,label,split"]
    for row in range(60):
        text = "".join(generator.choice(list("ACGT"), size=40))
        lines.append(f"{text},{row % 2},{'train' if row < 40 else 'test'}")
    (folder / "one.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_suite(folder, '[{ id = "one", category = "Only" }]')
    return folder


def write_suite(folder: Path, tasks: str, more: str = "") -> None:
    text = f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = {tasks}\n{more}\n'
    (folder / "suite.toml").write_text(text, encoding="utf-8")


def places(tmp_path: Path, suite: Path) -> dict[str, Any]:
    store, out = tmp_path / "store", tmp_path / "out"
    return {"suite": suite, "out": out, "store": store, "regime": ["full"]}


@pytest.mark.fault("F74")
def test_f74_numbers_of_thousands_of_digits_are_one_error(
    tmp_path: Path, suite_folder: Path
) -> None:
    tasks = '[{ id = "one", category = "Only" }]'
    write_suite(suite_folder, tasks, f"[protocol]\nmax_iter = {DIGITS}")
    (tmp_path / "run.toml").write_text(f"max_iter = {DIGITS}\n")
    for read in (
        lambda: load_suite(suite_folder),
        lambda: request_from_toml(tmp_path / "run.toml", {}),
        lambda: read_spec(f"params = {DIGITS}", where="model.toml"),
    ):
        with pytest.raises(ConfigError, match=r"TOML .*digits"):
            read()


@pytest.mark.fault("F75")
def test_f75_every_flipped_bit_of_an_answer_file_is_found_or_harmless(tmp_path: Path) -> None:
    answers = AnswerKey(np.arange(5), np.array([True, False, False, True, False]))
    path = keep_answer_key(tmp_path, "task", "ab" * 32, answers)
    whole = path.read_bytes()
    found = 0
    for bit in range(0, len(whole) * 8, 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        read = find_answer_key(tmp_path, "task", "ab" * 32)
        found += read is None
        if read is not None:
            assert np.array_equal(read.labels, answers.labels)
            assert np.array_equal(read.in_training, answers.in_training)
    assert found > len(whole)


@pytest.mark.fault("F76")
@pytest.mark.parametrize("category", [r"On\u001bly", r"Only\u202e", " Only", r"On\nly"])
@pytest.mark.parametrize("key", ["category", "label"])
def test_f76_a_name_that_no_table_can_show_is_refused_when_the_suite_is_read(
    suite_folder: Path, category: str, key: str
) -> None:
    write_suite(suite_folder, f'[{{ id = "one", category = "A", {key} = "{category}" }}]')
    if key == "category":
        write_suite(suite_folder, f'[{{ id = "one", category = "{category}" }}]')
    with pytest.raises(ConfigError, match=rf"tasks\.0\.{key}.*not printable") as caught:
        load_suite(suite_folder)
    assert "\x1b" not in caught.value.message


@pytest.mark.fault("F77")
@pytest.mark.parametrize("where", ["--store", "--out"])
def test_f77_a_name_of_300_letters_is_one_message(
    suite_folder: Path, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"--store": str(tmp_path / "s"), "--out": str(tmp_path / "o"), where: "x" * 300}
    options = [word for pair in named.items() for word in pair]
    with pytest.raises(SystemExit) as stop:
        main(["run", "-m", "kmer-2", "--suite", str(suite_folder), *options])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "File name too long" in said and "Traceback" not in said


@pytest.mark.fault("F77")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_f77_a_full_stdout_is_one_message() -> None:
    command = [sys.executable, "-m", "geneb_jax", "list", "tasks"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left" in done.stderr and len(done.stderr.splitlines()) == 1
    for arguments in (["list", "nothing"], ["run", "--suite", "/nowhere"]):
        with Path("/dev/full").open("w") as full:
            mute = subprocess.run([*command[:3], *arguments], stdout=full, stderr=full)
        assert mute.returncode == 2, "nobody can be told, and the code still says it"
    closed = subprocess.run(["/bin/sh", "-c", '"$@" >&-', "sh", *command], capture_output=True)
    assert (closed.returncode, closed.stderr) == (0, b"")


@pytest.mark.fault("F77")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory of this machine"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied"),
        (RuntimeError("odd\nthing"), "RuntimeError: odd thing. This is a defect"),
        (RecursionError("maximum"), "RecursionError"),
    ],
)
def test_f77_the_last_word_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    said: str,
) -> None:
    def broken(**_: object) -> None:
        raise error

    monkeypatch.setattr("geneb_jax.cli.main.command.main", broken)
    with pytest.raises(SystemExit) as stop:
        main(["list", "tasks"])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]
    monkeypatch.setenv("GENEB_JAX_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["list", "tasks"])


@pytest.mark.fault("F79")
def test_f79_a_complete_store_is_read_where_nothing_can_be_written(
    suite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = places(tmp_path, suite_folder)
    first = run("kmer-2", **here)
    create = tempfile.mkstemp

    def refuse(*arguments: Any, dir: Any = None, **options: Any) -> Any:
        if Path(dir).is_relative_to(here["store"]):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))
        return create(*arguments, dir=dir, **options)

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    again = run("kmer-2", **(here | {"out": tmp_path / "again"}))
    assert again.complete and again.rows == first.rows
    with (suite_folder / "one.csv").open("a", encoding="utf-8") as file:
        file.write("ACGTACGTACGT,0,train\n")
    with pytest.raises(GenebError, match=r"read-only|cannot be written"):
        run("kmer-2", **(here | {"out": tmp_path / "more"}))
    with pytest.raises(OutputError, match="cannot be written"):
        run("kmer-3", **(here | {"out": tmp_path / "other"}))


@pytest.mark.fault("F80")
@pytest.mark.parametrize("what", ["folder", "record"])
def test_f80_what_goes_away_during_the_run_is_said(
    suite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shutil.copy(suite_folder / "one.csv", suite_folder / "two.csv")
    tasks = (f'{{ id = "{name}", category = "Only" }}' for name in ("one", "two"))
    write_suite(suite_folder, f"[{', '.join(tasks)}]")
    here = places(tmp_path, suite_folder)
    add = Records.add

    def then_lost(self: Records, key: Any, *arguments: Any) -> Any:
        added = add(self, key, *arguments)
        if what == "folder":
            shutil.rmtree(here["out"])
        elif key.task_id == "one":
            self.path_of(key).unlink()
        return added

    monkeypatch.setattr(Records, "add", then_lost)
    if what == "folder":
        with pytest.raises(OutputError, match=r"out: nothing of what this run recorded"):
            run("kmer-2", **here)
    else:
        outcome = run("kmer-2", **here)
        assert not outcome.complete
        assert list(outcome.problems) == ["one"] and "not in" in outcome.problems["one"]
        assert {row.task_id for row in outcome.rows} == {"two"}
    monkeypatch.undo()
    assert run("kmer-2", **here).complete


@pytest.mark.fault("F81")
def test_f81_a_pipe_among_results_is_no_result(tmp_path: Path) -> None:
    answers = AnswerKey(np.arange(2), np.zeros(2, bool))
    path = keep_answer_key(tmp_path, "task", "ab" * 32, answers)
    path.unlink()
    for name in (path, tmp_path / "scores.csv", tmp_path / "run.toml", tmp_path / "pairs.npz"):
        os.mkfifo(name)
    assert find_answer_key(tmp_path, "task", "ab" * 32) is None
    for read in (
        lambda: read_scores(tmp_path),
        lambda: request_from_toml(tmp_path / "run.toml", {}),
        lambda: read_array_tasks(tmp_path / "pairs.npz"),
    ):
        with pytest.raises(GenebError, match="named pipe"):
            read()
    keep_answer_key(tmp_path, "task", "ab" * 32, answers)
    assert find_answer_key(tmp_path, "task", "ab" * 32) is not None


@pytest.mark.fault("F74")
def test_f74_lists_in_lists_and_endless_words_of_a_run_file_are_one_short_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.toml"
    word = "x" * 70_000
    for line in ("layers = [[1], [2]]", f'overlong = "{word}"', f'layers = "{word}"'):
        path.write_text(f'model = ["kmer-2"]\n{line}\n')
        with pytest.raises(ConfigError) as caught:
            request_from_toml(path, {})
        assert len(caught.value.message) < 2000
