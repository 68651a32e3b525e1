"""F52: what is written is what GENEB's runner would write, and what is wrong is refused."""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.errors import SubmissionError
from geneb_jax.models import registry
from geneb_jax.models.registry import paper_names
from geneb_jax.resources import config_folder
from geneb_jax.results import (
    SubmissionMeta,
    SubmissionVerdict,
    build_submission,
    submission_gaps,
    validate_submission,
    write_submission,
)
from geneb_jax.results.submission_check import check_submission
from tests.tolerance import Tolerance

META = SubmissionMeta(display="Größe 1", params=117_000_000, submitted_by="Ada L.")


@pytest.fixture(scope="module")
def rows(geneb: Suite, score_all: Callable):
    return score_all(geneb, model_id="org/my model")


@pytest.fixture(scope="module")
def few_tasks(geneb: Suite) -> Suite:
    """GENEB with its first three tasks: the same rules, less to read in each of many mutations."""
    return replace(geneb, tasks=geneb.tasks[:3])


@pytest.fixture(scope="module")
def short_submission(few_tasks: Suite, rows) -> dict[str, Any]:
    return build_submission("org/my model", META, rows, few_tasks)


@pytest.fixture(scope="module")
def submission(geneb: Suite, rows) -> dict[str, Any]:
    return build_submission("org/my model", META, rows, geneb)


def _write(folder: Path, content: Any, name: str = "org_my_model.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_seeds_beyond_the_protocols_change_no_submitted_score(
    few_tasks: Suite, rows, short_submission: dict[str, Any]
) -> None:
    more = [replace(row, seed=1, mcc=-0.5, accuracy=0.25) for row in rows if row.seed == 13]
    found = build_submission("org/my model", META, [*rows, *more], few_tasks)
    assert found == short_submission


def test_the_bytes_are_those_of_the_benchmarks_runner(
    tmp_path: Path, geneb: Suite, rows, tolerance: Tolerance
) -> None:
    path = write_submission(tmp_path, "org/my model", META, rows, geneb)
    assert path == tmp_path / "submissions" / "org_my_model.json"
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    assert text.startswith(
        '{"schema_version":"1.0","model_id":"org/my model","harness_version":"GENEB-0.1.0",'
        '"meta":{"display":"Größe 1","params":117000000,"url":"","zero_shot":false,'
        '"training_data":"","provenance":"self-reported","submitted_by":"Ada L."},'
        '"results":{"full":{"InstaDeepAI_nucleotide_transformer_downstream_tasks_H3":{"MCC":'
    )
    assert list(content["results"]) == ["full", "10shot", "1shot"]
    allowed = tolerance("summary", "float64")
    for regime, tasks in content["results"].items():
        assert list(tasks) == [task.task_id for task in geneb.tasks]
        for task_id, metrics in tasks.items():
            assert list(metrics) == ["MCC", "Acc", "F1"]
            mine = [row for row in rows if (row.regime, row.task_id) == (regime, task_id)]
            assert len(mine) == 5
            for name, column in (("MCC", "mcc"), ("Acc", "accuracy"), ("F1", "macro_f1")):
                expected = np.mean([getattr(row, column) for row in mine])
                assert metrics[name] == pytest.approx(expected, rel=allowed, abs=allowed)
    assert validate_submission(path, geneb) == SubmissionVerdict()


def test_only_the_protocols_probe_c_and_solver_count(geneb: Suite, rows, submission) -> None:
    others = [
        replace(row, **change, mcc=0.9)
        for row in rows[:50]
        for change in ({"C": 10.0}, {"solver": "exact"}, {"probe": "mlp"}, {"model_id": "x"})
    ]
    assert build_submission("org/my model", META, [*others, *rows], geneb) == submission


def test_nothing_incomplete_is_written(
    tmp_path: Path, geneb: Suite, rows, failed: Callable
) -> None:
    at = 700
    for some, said in (
        (rows[:-5], "1shot iDHS-EL_DNase_I has no score"),
        ([row for row in rows if row is not rows[at]], f"{rows[at].task_id} lacks seed"),
        ([*rows[:at], failed(rows[at]), *rows[at + 1 :]], r"failed \(one class in the draw\)"),
        ([row for row in rows if row.regime != "10shot"], "10shot .* has no score"),
        ([replace(row, solver="exact") for row in rows], "full .* has no score"),
    ):
        with pytest.raises(SubmissionError, match=said):
            write_submission(tmp_path, "org/my model", META, some, geneb)
        assert submission_gaps("org/my model", some, geneb)
    assert list(tmp_path.iterdir()) == []


def test_the_simulated_suite_takes_no_submission(tmp_path: Path, score_all: Callable) -> None:
    demo = load_suite("demo")
    with pytest.raises(SubmissionError, match="takes no submissions"):
        write_submission(tmp_path, "kmer-4", META, score_all(demo), demo)


@pytest.mark.parametrize("model_id", ["..", "a/../b", "C:\\x", "モデル", "a b"])
@pytest.mark.fault("F33")
def test_f33_the_file_stays_in_its_folder(
    tmp_path: Path, geneb: Suite, score_all: Callable, model_id: str
) -> None:
    rows = score_all(geneb, model_id=model_id)
    path = write_submission(tmp_path, model_id, META, rows, geneb)
    assert path.parent == tmp_path / "submissions"
    assert validate_submission(path, geneb) == SubmissionVerdict()


def test_a_name_too_long_for_a_file_is_refused(
    tmp_path: Path, geneb: Suite, score_all: Callable
) -> None:
    rows = score_all(geneb, model_id="x" * 300)
    with pytest.raises(SubmissionError, match="too long"):
        write_submission(tmp_path, "x" * 300, META, rows, geneb)


def test_files_like_the_40_published_ones_are_accepted(
    tmp_path: Path, geneb: Suite, submission: dict[str, Any]
) -> None:
    """Their published MCC in their form: lower-case harness, provenance official, empty texts."""
    with (config_folder() / "published" / "scores.csv").open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    assert len(paper_names()) == 40
    for model_id in paper_names():
        spec = registry()[model_id]
        results: dict[str, dict[str, Any]] = {"full": {}, "10shot": {}, "1shot": {}}
        for line in published:
            scores = {"MCC": float(line[model_id]), "Acc": 1, "F1": 4.29852989095994e-05}
            results[line["regime"]][line["task_id"]] = scores
        content = submission | {
            "model_id": model_id,
            "harness_version": "geneb-0.1.0",
            "meta": {
                "display": spec.display,
                "params": spec.parameters,
                "url": "",
                "zero_shot": False,
                "training_data": "",
                "provenance": "official",
                "submitted_by": "DNA Survey authors",
            },
            "results": results,
        }
        path = _write(tmp_path, content, f"{model_id}.json")
        assert validate_submission(path, geneb, official_ids=paper_names()) == SubmissionVerdict()
        (problem,) = validate_submission(path, geneb).errors
        assert "official" in problem


H3 = "InstaDeepAI_nucleotide_transformer_downstream_tasks_H3"


def _set(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *path, last = place.replace("H3", H3).split("|")
        for name in path:
            content = content[name]
        if value is _GONE:
            del content[last]
        else:
            content[last] = value

    return change


_GONE = object()

REFUSED = {
    "missing task": (_set("results|full|H3", _GONE), "lacks"),
    "extra task": (_set("results|full|new_task", {"MCC": 0, "Acc": 0, "F1": 0}), "has unknown"),
    "missing metric": (_set("results|10shot|H3|F1", _GONE), "lacks 'F1'"),
    "extra metric": (_set("results|10shot|H3|AUC", 0.5), "has unknown 'AUC'"),
    "metric in another case": (_set("results|10shot|H3|mcc", 0.5), "has unknown 'mcc'"),
    "string": (_set("results|full|H3|MCC", "0.5"), "not a number"),
    "null": (_set("results|full|H3|MCC", None), "not a number"),
    "list": (_set("results|full|H3|MCC", [0.5]), "not a number"),
    "boolean": (_set("results|full|H3|Acc", True), "not a number"),
    "NaN": (_set("results|full|H3|MCC", math.nan), "nan"),
    "infinity": (_set("results|full|H3|MCC", math.inf), "inf"),
    "MCC 1.5": (_set("results|full|H3|MCC", 1.5), "outside"),
    "MCC -1.5": (_set("results|1shot|H3|MCC", -1.5), "outside"),
    "accuracy -0.1": (_set("results|full|H3|Acc", -0.1), "outside"),
    "F1 1.1": (_set("results|full|H3|F1", 1.1), "outside"),
    "huge integer": (_set("results|full|H3|F1", 10**300), "outside"),
    "task not an object": (_set("results|full|H3", 0.5), "not an object"),
    "missing regime": (_set("results|1shot", _GONE), "lacks '1shot'"),
    "extra regime": (_set("results|5shot", {}), "has unknown '5shot'"),
    "regime not an object": (_set("results|full", []), "not an object"),
    "results missing": (_set("results", _GONE), "lacks 'results'"),
    "results not an object": (_set("results", []), "not an object"),
    "schema version": (_set("schema_version", "2.0"), "schema_version"),
    "schema version as number": (_set("schema_version", 1.0), "schema_version"),
    "schema version missing": (_set("schema_version", _GONE), "lacks 'schema_version'"),
    "harness version": (_set("harness_version", "GENEB-0.2.0"), "harness_version"),
    "harness version missing": (_set("harness_version", _GONE), "lacks 'harness_version'"),
    "model id missing": (_set("model_id", _GONE), "lacks 'model_id'"),
    "model id null": (_set("model_id", None), "model_id is None"),
    "harness version null": (_set("harness_version", None), "harness_version is None"),
    "model id empty": (_set("model_id", ""), "model_id is empty"),
    "model id a number": (_set("model_id", 5), "model_id is 5"),
    "model id of another file": (_set("model_id", "other"), "must be named other.json"),
    "extra name": (_set("comment", "hello"), "has unknown 'comment'"),
    "meta missing": (_set("meta", _GONE), "lacks 'meta'"),
    "meta not an object": (_set("meta", "x"), "not an object"),
    "display missing": (_set("meta|display", _GONE), "lacks 'display'"),
    "display empty": (_set("meta|display", " "), "display is empty"),
    "display with an escape code": (_set("meta|display", "\x1b[31mred"), "control"),
    "display with a lone surrogate": (_set("meta|display", "a\ud800"), "control"),
    "submitted_by missing": (_set("meta|submitted_by", _GONE), "lacks 'submitted_by'"),
    "training_data a list": (_set("meta|training_data", []), "not a text"),
    "url endless": (_set("meta|url", "x" * 20_000), "20000 characters"),
    "extra meta": (_set("meta|licence", "MIT"), "has unknown 'licence'"),
    "params a float": (_set("meta|params", 1e6), "params"),
    "params a boolean": (_set("meta|params", True), "params"),
    "params a text": (_set("meta|params", "117M"), "params"),
    "params negative": (_set("meta|params", -1), "params"),
    "zero_shot a text": (_set("meta|zero_shot", "false"), "zero_shot"),
    "zero_shot a number": (_set("meta|zero_shot", 0), "zero_shot"),
    "provenance unknown": (_set("meta|provenance", "trust me"), "provenance"),
    "provenance official": (_set("meta|provenance", "official"), "official"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.fault("F52")
def test_f52_what_the_benchmark_refuses_is_an_error_and_the_rest_a_warning(
    tmp_path: Path, geneb: Suite, submission: dict[str, Any], name: str
) -> None:
    change, said = REFUSED[name]
    content = copy.deepcopy(submission)
    change(content)
    verdict = validate_submission(_write(tmp_path, content), geneb)
    refused = not _benchmark_accepts(content, "org_my_model.json", geneb)
    assert refused == bool(verdict.errors)
    told = verdict.errors if refused else verdict.warnings
    assert any(said in problem for problem in told), told


@pytest.mark.parametrize(
    "file_name",
    ["org_my_model.JSON", "my_model.json", "org_my model.json", "org_my_model.json.txt"],
)
@pytest.mark.fault("F52")
def test_f52_a_wrong_file_name_is_refused(
    tmp_path: Path, geneb: Suite, submission: dict[str, Any], file_name: str
) -> None:
    path = _write(tmp_path, submission, file_name)
    assert validate_submission(path, geneb).errors == ["the file must be named org_my_model.json"]


@pytest.mark.fault("F38")
def test_f38_text_that_is_not_strict_json_is_refused(
    tmp_path: Path, geneb: Suite, submission: dict[str, Any]
) -> None:
    text = json.dumps(submission)
    first = f'"MCC": {submission["results"]["full"][H3]["MCC"]!r}'
    assert text.count(first) == 1
    for bad, said in (
        (text.replace(first, '"MCC": 1e400'), "inf"),
        (text.replace(first, '"MCC": -Infinity'), "-inf"),
        (text[:-1], "not JSON"),
        (text + text, "not JSON"),
        ("\ufeff" + text, "not JSON"),
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("[" * 100_000, "deeper"),
        ('{"a":' * 200 + "1" + "}" * 200, "deeper"),
        (text + " " * 70_000_000, "larger"),
    ):
        (problem,) = validate_submission(_write(tmp_path, bad), geneb).errors
        assert said in problem
    for odd, said in (
        (text.replace(first, f'"MCC": 0.1, {first}'), "occurs twice"),
        (text.replace('"meta"', '"meta": {}, "meta"'), "occurs twice"),
        (text + " " * 9_000_000, "larger"),
    ):
        verdict = validate_submission(_write(tmp_path, odd), geneb)
        assert verdict.accepted and said in verdict.warnings[0]
    path = tmp_path / "org_my_model.json"
    path.write_bytes(text.encode("utf-16"))
    assert "UTF-8" in validate_submission(path, geneb).errors[0]
    assert "cannot be read" in validate_submission(tmp_path / "none.json", geneb).errors[0]
    assert "not a plain file" in validate_submission(tmp_path, geneb).errors[0]


@pytest.mark.parametrize(
    "content",
    [
        b"{" + b",".join(b'"k%d":1' % at for at in range(40_000)) + b',"k39999":2}',
        b'"' + b'\\"' * 200_000,
        b"[" * 60 + b'"\\' * 200_000,
    ],
    ids=["a repeated name", "a text without an end", "nested"],
)
@pytest.mark.fault("F72")
def test_f72_validation_takes_no_longer_than_the_file_is_long(
    tmp_path: Path, geneb: Suite, content: bytes
) -> None:
    path = tmp_path / "org_my_model.json"
    path.write_bytes(content)
    started = time.process_time()
    assert validate_submission(path, geneb).errors
    assert time.process_time() - started < 5  # quadratic: minutes


def _benchmark_accepts(content: Any, file_name: str, suite: Suite) -> bool:
    """What the benchmark's own check looks at, written apart from ours."""
    try:
        good = bool(content.get("harness_version"))
        safe = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_"
            for letter in content["model_id"]
        )
        good &= isinstance(content["model_id"], str) and bool(safe) and f"{safe}.json" == file_name
        meta = content["meta"]
        good &= isinstance(meta["params"], int) and meta["params"] >= 0
        good &= meta.get("zero_shot", False) in (False, True)
        good &= type(meta.get("zero_shot", False)) is bool and bool(meta["display"])
        good &= meta.get("provenance", "self-reported") in (
            "self-reported",
            "verified",
            "reproduced",
        )
        for regime in ("full", "10shot", "1shot"):
            scores = content["results"][regime]
            good &= set(scores) == {task.task_id for task in suite.tasks}
            for metrics in scores.values():
                for name, low in (("MCC", -1), ("Acc", 0), ("F1", 0)):
                    value = metrics[name]
                    good &= isinstance(value, int | float) and low - 1e-6 <= value <= 1 + 1e-6
    except (KeyError, TypeError, AttributeError):
        return False
    return good


def _places(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(content, dict):
        for name, entry in content.items():
            yield (*path, name)
            yield from _places(entry, (*path, name))


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-2, 2),
    st.sampled_from([math.nan, math.inf, 10**400, "", "1.0", "GENEB-0.1.0", "0.5", [], {}, [0.5]]),
    st.text(max_size=5),
)


@given(data=st.data())
@settings(max_examples=200)
@pytest.mark.fault("F52")
def test_f52_mutated_submissions_are_never_accepted_against_the_rules(
    few_tasks: Suite, short_submission: dict[str, Any], data: st.DataObject
) -> None:
    content = copy.deepcopy(short_submission)
    for _ in range(data.draw(st.integers(1, 3), label="mutations")):
        depth = data.draw(st.integers(1, 4), label="depth")
        places = [place for place in _places(content) if len(place) == depth]
        if not places:
            continue
        *parents, last = data.draw(st.sampled_from(places), label="place")
        target = content
        for name in parents:
            target = target[name]
        kind = data.draw(st.sampled_from(["replace", "delete", "rename", "add"]), label="kind")
        if kind == "replace":
            target[last] = copy.deepcopy(data.draw(junk))
        elif kind == "add":
            target[data.draw(st.text(max_size=5))] = copy.deepcopy(data.draw(junk))
        else:
            value = target.pop(last)
            if kind == "rename":
                target[data.draw(st.sampled_from([last.upper(), last + " ", "x"]))] = value
    accepted = check_submission(content, "org_my_model.json", few_tasks).accepted
    assert accepted == _benchmark_accepts(content, "org_my_model.json", few_tasks)
    if content == short_submission:
        assert accepted


@given(data=st.data())
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.fault("F52")
def test_f52_damaged_bytes_are_never_accepted_against_the_rules(
    tmp_path: Path, few_tasks: Suite, short_submission: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(short_submission, separators=(",", ":")).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the damage near the head, where the names and the meta data are.
        last = data.draw(st.sampled_from([600, len(raw) - 1]))
        at = data.draw(st.integers(0, min(last, len(raw) - 1)))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if kind == "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        else:
            raw[at:at] = data.draw(
                st.sampled_from([b"0", b"-", b"9", b"e9", b'"', b"}", b",", b"\0"])
            )
    path = tmp_path / "org_my_model.json"
    path.write_bytes(bytes(raw))
    if validate_submission(path, few_tasks).accepted:
        assert _benchmark_accepts(json.loads(raw.decode("utf-8")), path.name, few_tasks)


def test_the_rules_of_this_test_accept_what_is_written(geneb: Suite, submission) -> None:
    assert _benchmark_accepts(submission, "org_my_model.json", geneb)
    assert not _benchmark_accepts(submission, "other.json", geneb)


def test_a_suite_of_ones_own_gives_no_submission_whatever_it_says() -> None:
    """A harness version in a suite file does not make its data the benchmark's."""
    from dataclasses import replace

    from geneb_jax.benchmark import load_suite

    for dataset in (None, replace(load_suite("geneb").dataset, revision="0" * 40)):
        own = replace(load_suite("geneb"), dataset=dataset)
        (gap,) = submission_gaps("m", [], own)
        assert "does not pin the benchmark's data set" in gap
