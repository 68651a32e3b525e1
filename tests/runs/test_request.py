"""What a run may be asked, and what it refuses before any work."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from geneb_jax.errors import ConfigError
from geneb_jax.runs.places import DEMO_OUT, OUT
from geneb_jax.runs.request import (
    DEMO_MODELS,
    request_from_mapping,
    request_from_toml,
)


def test_nothing_asked_is_the_demo() -> None:
    request = request_from_mapping({})
    assert (request.suite, request.model, request.data_dir) == ("demo", DEMO_MODELS, None)


def test_the_demo_has_a_folder_of_its_own() -> None:
    assert request_from_mapping({}).out == Path(DEMO_OUT)
    assert request_from_mapping({"model": ["kmer-4"], "data_dir": "tasks"}).out == Path(OUT)
    assert request_from_mapping({"out": "mine"}).out == Path("mine")


def test_a_request_cannot_be_changed_and_can_be_handed_over() -> None:
    request = request_from_mapping({"model": ["kmer-4"], "data_dir": "tasks", "C": [1, 10]})
    assert pickle.loads(pickle.dumps(request)) == request
    with pytest.raises(ValidationError):
        request.out = Path("elsewhere")


def test_a_data_folder_means_the_benchmark() -> None:
    request = request_from_mapping({"model": ["kmer-4"], "data_dir": "tasks"})
    assert (request.suite, request.data_dir) == ("geneb", Path("tasks"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data_dir": "tasks"}, "no model is named"),
        ({"C": [0.0]}, "C must be a finite number above 0"),
        ({"C": [float("inf")]}, "C must be a finite number above 0"),
        ({"C": [1, 1.0]}, "a value of C is given twice"),
        ({"seed": [-1]}, "a seed lies between 0"),
        ({"seed": [13, 13]}, "a seed is given twice"),
        ({"solver": "newton"}, "solver"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"probe": "mlp", "C": [1.0]}, "the probe mlp has no C"),
        ({"probe": "mlp", "solver": "exact"}, "the probe mlp has no solver 'exact'"),
        ({"model": ["kmer-1", "kmer-2"], "name": "both"}, "--name is about one model"),
        ({"model": ["kmer-1", "kmer-2"], "path": "x"}, "--path is about one model"),
    ],
)
def test_impossible_values_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        request_from_mapping(values)


def test_options_typed_win_over_the_run_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = ["kmer-2"]\nC = [0.1, 1]\nout = "a"\n', encoding="utf-8")
    request = request_from_toml(file, {"out": "b"})
    assert (request.model, request.C, request.out) == (("kmer-2",), (0.1, 1.0), Path("b"))


@pytest.mark.parametrize("content", ["model = [", "speed = 3\n"])
def test_a_bad_run_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.toml"):
        request_from_toml(file, {})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": ["kmer-4"]}, r"models: there is no such option; did you mean model\? "),
        ({"batch_tokens": "many"}, r"batch_tokens: a whole number is wanted, not 'many'"),
        ({"batch_tokens": 0}, r"batch_tokens: it must be at least 1, not 0"),
        ({"offline": 1}, r"offline: true or false is wanted, not 1"),
        ({"task": "one"}, r"task: a list is wanted, not 'one'"),
        ({"weights": "none"}, r"weights: 'none' is not one of 'pretrained' or 'random'"),
        ({"out": ""}, r"out: a path is needed"),
        ({"store": ""}, r"store: it is empty"),
        ({"model": [""]}, r"model: it is empty"),
    ],
)
def test_an_impossible_value_is_refused_in_our_words(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        request_from_mapping(values)
