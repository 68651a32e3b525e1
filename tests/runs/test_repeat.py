"""run.json as a run file: the same bytes again, and what cannot be repeated refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from geneb_jax.cli.main import command
from geneb_jax.errors import ConfigError
from geneb_jax.results import read_run_record
from geneb_jax.runs.execute import execute
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.repeat import changes_scores
from geneb_jax.runs.request import RunRequest, request_from_mapping
from geneb_jax.runs.run_files import request_from_file


@pytest.fixture
def done(suite_folder: Path, tmp_path: Path) -> Path:
    """A run of two C, one regime; its run.json."""
    return _run(suite_folder, tmp_path, "kmer-1", "kmer-2")


def _run(suite_folder: Path, tmp_path: Path, *models: str) -> Path:
    asked = {
        "model": list(models),
        "suite": str(suite_folder),
        "regime": ["full"],
        "C": [0.5, 2],
        "solver": "exact",
        "out": str(tmp_path / "out"),
        "store": str(tmp_path / "store"),
    }
    execute(request_from_mapping(asked), report=False)
    return tmp_path / "out/run.json"


def _repeat(run_json: Path, observer: RunObserver | None = None, **overrides: object):
    request = request_from_file(str(run_json), dict(overrides))
    return execute(request, observer, repeats=run_json, report=False)


class _Notes(RunObserver):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_same_table_comes_again(done: Path, tmp_path: Path) -> None:
    outcome = _repeat(done, out=str(tmp_path / "again"), store=str(tmp_path / "anew"))
    assert outcome.complete
    tables = [(folder / "scores.csv").read_bytes() for folder in (done.parent, tmp_path / "again")]
    assert tables[0] == tables[1]


def test_every_option_that_was_given_is_kept(done: Path, suite_folder: Path) -> None:
    request = request_from_file(str(done), {})
    assert request == RunRequest(
        model=("kmer-1", "kmer-2"),
        suite=str(suite_folder),
        regime=("full",),
        C=(0.5, 2.0),
        solver="exact",
        out=done.parent,
        store=str(done.parent.parent / "store"),
    )


def test_other_task_files_are_refused(done: Path, suite_folder: Path, tmp_path: Path) -> None:
    file = suite_folder / "three.csv"
    file.write_text(file.read_text(encoding="utf-8") + "ACGT,0,train\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the files of three are not those"):
        _repeat(done, out=str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()
    file.unlink()
    with pytest.raises(ConfigError, match="no usable files of three"):
        _repeat(done, out=str(tmp_path / "again"))


def _edited(done: Path, tmp_path: Path, edit: Callable[[dict], None]) -> Path:
    folder = tmp_path / "edited"
    folder.mkdir(exist_ok=True)
    content = json.loads(done.read_text(encoding="utf-8"))
    edit(content)
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "run.json"


def test_another_model_or_code_is_refused(done: Path, tmp_path: Path) -> None:
    def other_model(content: dict) -> None:
        content["models"]["kmer-2"]["identity"]["code"] = "kmer/0"

    def other_code(content: dict) -> None:
        content["settings"]["code"] = "0"

    def other_suite(content: dict) -> None:
        content["suite"]["digest"] = "0" * 64

    for edit, said in (
        (other_model, "kmer-2 differs from the model of that run in code"),
        (other_code, "code was 0 and is"),
        (other_suite, "other tasks, classes or protocol"),
    ):
        with pytest.raises(ConfigError, match=said):
            _repeat(_edited(done, tmp_path, edit), out=str(tmp_path / "again"))


def test_what_was_never_written_down_is_refused(done: Path, tmp_path: Path) -> None:
    def secret(content: dict) -> None:
        content["request"]["options"]["store"] = "s3://[redacted]@host/store"

    def old(content: dict) -> None:
        del content["request"]

    with pytest.raises(ConfigError, match="store held a credential"):
        _repeat(_edited(done, tmp_path, secret))
    with pytest.raises(ConfigError, match="an earlier version wrote it"):
        _repeat(_edited(done, tmp_path, old))
    assert read_run_record(tmp_path / "edited").request is None


def test_the_home_folder_stands_for_itself(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def at_home(content: dict) -> None:
        content["request"]["options"] |= {"store": "~/store", "model": ["torch:~/net", "a~b"]}

    request = request_from_file(str(_edited(done, tmp_path, at_home)), {})
    assert request.store == str(tmp_path / "store")
    assert request.model == (f"torch:{tmp_path}/net", "a~b")


def test_earlier_commands_into_the_folder_are_said_to_be_left_out(
    done: Path, suite_folder: Path, tmp_path: Path
) -> None:
    _run(suite_folder, tmp_path, "kmer-3")
    assert request_from_file(str(done), {}).model == ("kmer-3",)
    observer = _Notes()
    _repeat(done, observer, out=str(tmp_path / "again"))
    assert [note for note in observer.notes if "kmer-1, kmer-2: of earlier commands" in note]


def test_the_command_line_holds_a_repetition_to_its_record(
    done: Path, suite_folder: Path, tmp_path: Path
) -> None:
    file = suite_folder / "three.csv"
    file.write_text(file.read_text(encoding="utf-8") + "ACGT,0,train\n", encoding="utf-8")
    words = ["run", "--config", str(done), "--out", str(tmp_path / "again")]
    with pytest.raises(ConfigError, match="cannot be repeated"):
        command.main(words, standalone_mode=False)
    # Another option makes another run of it, whose options are the rest: this file is bad there.
    with pytest.raises(ConfigError, match="no solver 'adam'"):
        command.main([*words, "--solver", "adam"], standalone_mode=False)


def test_only_places_leave_a_run_what_it_was() -> None:
    assert not changes_scores({"out": "a", "store": "b", "offline": True, "fresh": True})
    assert changes_scores({"out": "a", "model": ["kmer-1"]})
