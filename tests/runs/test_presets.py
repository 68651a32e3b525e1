"""Presets: every one a run file that is taken, with a head that says what it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from geneb_jax.analysis import published_probe_subset
from geneb_jax.benchmark import load_suite
from geneb_jax.errors import ConfigError
from geneb_jax.models import built_in_models, is_native, registry
from geneb_jax.runs.presets import presets
from geneb_jax.runs.request import DEMO_MODELS, RunRequest
from geneb_jax.runs.run_files import request_from_file

NAMES = (
    "c-sweep", "cluster", "demo", "laptop", "layers", "one-gpu", "stability", "untrained-controls"
)  # fmt: skip


def test_the_presets_are_these() -> None:
    assert tuple(presets()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_taken_and_names_what_exists(name: str) -> None:
    preset = presets()[name]
    unknown = set(preset.values) - set(RunRequest.model_fields)
    if unknown == {"layers"}:
        pytest.skip("several layers of one forward are not an option here yet")
    assert not unknown
    request = request_from_file(name, {})
    specs = {**registry(), **built_in_models()}
    assert all(is_native(specs[model]) for model in request.model)
    known = {task.task_id for task in load_suite(request.suite).tasks}
    assert set(request.task) <= known
    assert all((preset.reproduces, preset.hardware, preset.time))
    words = shlex.split(preset.command)
    assert words[0] == "geneb-jax"
    assert words[words.index("--config") + 1] == name


def test_the_demo_preset_is_the_demo() -> None:
    assert request_from_file("demo", {}).model == DEMO_MODELS
    assert str(request_from_file("demo", {}).out) == str(RunRequest.model_validate({}).out)


def test_the_stability_preset_is_the_paper_s() -> None:
    request, paper = request_from_file("stability", {}), published_probe_subset()
    assert set(request.model) == set(paper.models)
    assert set(request.task) == set(paper.tasks)


def test_options_win_over_a_preset_and_a_file_over_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request_from_file("c-sweep", {"model": ["kmer-2"], "C": [3]}).C == (3.0,)
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text('model = ["kmer-1"]\n', encoding="utf-8")
    assert request_from_file("./demo", {}).model == ("kmer-1",)
    assert request_from_file("demo", {}).model == DEMO_MODELS


def test_what_is_no_run_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean laptop"):
        request_from_file("labtop", {})
    with pytest.raises(ConfigError, match="no such run file"):
        request_from_file("absent.toml", {})
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--config .*run\.json"):
        request_from_file(str(tmp_path), {})
    with pytest.raises(ConfigError, match=r"is called run\.json"):
        request_from_file(str(tmp_path / "other.json"), {})
