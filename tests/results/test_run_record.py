"""F51, F59: run.json is in UTC, and names neither home folders nor secrets."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.results import (
    EmbeddingFacts,
    ModelFacts,
    Records,
    RunRecord,
    SuiteFacts,
    TaskFacts,
    read_run_record,
    redacted,
    redacted_data,
    utc_now,
    write_run_record,
    write_scores_csv,
)
from geneb_jax.results.folder_contents import find_model_facts
from geneb_jax.results.model_facts import YOUNGER_FIELDS
from geneb_jax.sealed_files import write_sealed
from tests.run_records import run_record

TOKEN = "hf_" + "Zq7" * 9


@pytest.mark.fault("F59")
def test_f59_a_token_and_the_home_folder_are_in_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key, key_rows, failed: Callable
) -> None:
    home = tmp_path / "home" / "ada"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    out = tmp_path / "out"
    error = f"401 for https://ada:pass@hub/x with {TOKEN} in {home}/.cache, correct-horse-battery"
    rows = Records(out).add(key, [failed(key_rows[0], error), *key_rows[1:]])
    write_scores_csv(out, rows)
    url = "https://host/file?X-Amz-Signature=0123abc&part=1"
    record = run_record(
        ModelFacts(f"{home}/model", url=url),
        devices=(f"--header=Bearer {TOKEN}",),
        problems={f"{home}/other": error},
        versions={"token": "hushed"},
    )
    write_run_record(out, record)
    contents = [path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file()]
    assert len(contents) == 3
    for text in contents:
        for secret in (TOKEN, str(home), "correct-horse-battery", "ada:pass", "hushed", "0123abc"):
            assert secret not in text
    assert "~/.cache" in contents[0] + contents[1] + contents[2]
    assert "part=1" in (out / "run.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no secret here: tokenizer 6-mer, key 3", None),
        ("ghp_0123456789abcdef0123456789abcdef0123", "[redacted]"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
        ("s3://bucket/key?token=abc&x=1", "s3://bucket/key?[redacted]&x=1"),
        ("https://me:pw@host/x", "https://[redacted]@host/x"),
    ],
)
def test_known_shapes_go_and_plain_words_stay(text: str, expected: str | None) -> None:
    assert redacted(text) == (text if expected is None else expected)


def test_the_home_folder_is_matched_as_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert (
        redacted("/home/ada/x /home/ada /home/adam/x x/home/ada") == "~/x ~ /home/adam/x x/home/ada"
    )
    monkeypatch.setenv("HOME", "/")
    assert redacted("/a/b") == "/a/b"


def test_data_is_redacted_at_any_depth_and_numbers_stay() -> None:
    data = {"a": [1, 2.5, None, True, ({"password": "x", "tokens": 3},)], "hf_token": ""}
    assert redacted_data(data) == {
        "a": [1, 2.5, None, True, [{"password": "[redacted]", "tokens": 3}]],
        "hf_token": "",
    }


@pytest.fixture
def record(geneb: Suite) -> RunRecord:
    """One with a value in every field."""
    identity = EncoderIdentity("a", "main", "random:0", "ab", "cls", 6, "bfloat16", "nt 1")
    embedding = EmbeddingFacts(5, 2, 700, 0.25, 1.5, 3, 4096, ((8, 512), (16, 256)), 1, 9, 0, 0, 0)
    facts = ModelFacts(
        label="a (untrained) @layer 6",
        display="Model A",
        name="a",
        identity=identity,
        variant=("untrained", "@layer 6"),
        params=7,
        weights="random",
        width=16,
        embedding=embedding,
        probing_seconds=0.5,
        units_reused=3,
        url="https://host/a",
    )
    record = run_record(
        facts,
        ModelFacts("b"),
        devices=("cpu: cpu",),
        tasks={"t": TaskFacts("ab" * 32, {"rows": 3})},
        problems={"u": "no rows"},
        seconds=1.25,
    )
    return replace(record, suite=SuiteFacts.of(geneb))


def test_what_is_written_is_read_back(tmp_path: Path, record: RunRecord) -> None:
    write_run_record(tmp_path, record)
    assert read_run_record(tmp_path) == record
    assert record.versions["numpy"] and record.platform.system
    facts = record.models["a (untrained) @layer 6"]
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.as_dict()))) == facts


def _keys(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of every key and place of parsed JSON."""
    entries = enumerate(content) if isinstance(content, list) else ()
    for name, value in content.items() if isinstance(content, dict) else entries:
        yield (*path, name)
        yield from _keys(value, (*path, name))


#: Keys whose names are free: rows of a table, not fields.
_FREE = {"models", "tasks", "problems", "versions", "notes"}


def _changed(content: dict, path: tuple[str | int, ...], change: Callable) -> dict:
    changed = copy.deepcopy(content)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    change(place, path[-1])
    return changed


def test_every_missing_unknown_or_mistyped_key_is_named(tmp_path: Path, record: RunRecord) -> None:
    path = write_run_record(tmp_path, record)
    content = json.loads(path.read_text(encoding="utf-8"))
    tried = 0
    for where in _keys(content):
        changes = [lambda place, name: place.__setitem__(name, {"neither": ["nor"]})]
        if isinstance(where[-1], str) and (len(where) < 2 or where[-2] not in _FREE):
            if where[-1] not in YOUNGER_FIELDS:
                changes.append(lambda place, name: place.pop(name))
            changes.append(lambda place, name: place.__setitem__(f"{name}_", 1))
        for change in changes:
            path.write_text(json.dumps(_changed(content, where, change)), encoding="utf-8")
            with pytest.raises(DataError, match=r"run\.json") as caught:
                read_run_record(tmp_path)
            if where != ("schema_version",):
                assert str(where[-1]) in caught.value.message
            tried += 1
    assert tried > 150


def test_a_folder_of_before_windows_is_read_as_it_is(tmp_path: Path) -> None:
    """What an earlier release wrote has no key ``overlong`` and no counts of windows."""
    identity = EncoderIdentity("a", "local", "none", "t", "mean", -1, "float32", "code")
    took = EmbeddingFacts(
        embedded=3, reused=0, tokens=9, padding_share=0.0, seconds=1.0, compile_count=1
    )
    facts = ModelFacts("a", identity=identity, identity_short=identity.short, embedding=took)
    path = write_run_record(tmp_path, run_record(facts))
    content = json.loads(path.read_text(encoding="utf-8"))
    model = content["models"]["a"]
    del model["identity"]["overlong"], content["request"]
    del model["embedding"]["windowed_sequences"], model["embedding"]["windows"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_run_record(tmp_path).models == {"a": facts}
    assert ModelFacts.from_dict(model) == facts
    records = Records(tmp_path)
    for name, kind, content in (
        ("model.json", "model 1", model | {"embedding": None}),
        ("cost.json", "cost 1", {"embedding": model["embedding"], "probing_seconds": None}),
    ):
        write_sealed(records.model_folder("a", identity.short) / name, kind, content)
    assert find_model_facts(records, "a", identity.short) == facts


def test_a_label_of_another_model_is_refused(tmp_path: Path, record: RunRecord) -> None:
    with pytest.raises(ValueError, match=r"models\.c is filed under a label"):
        replace(record, models={"c": ModelFacts("b")})


def test_the_digest_of_a_suite_follows_what_decides_its_scores(geneb: Suite) -> None:
    digest = SuiteFacts.of(geneb).digest
    assert digest == SuiteFacts.of(replace(geneb, title="Other", notes=("x",))).digest
    moved = replace(geneb.tasks[0], category="Promoters")
    for other in (
        replace(geneb, tasks=geneb.tasks[1:]),
        replace(geneb, tasks=(moved, *geneb.tasks[1:])),
        replace(geneb, protocol=replace(geneb.protocol, C=2.0)),
        replace(geneb, dataset=None),
        replace(geneb, simulated=True),
    ):
        assert SuiteFacts.of(other).digest != digest


@pytest.mark.fault("F51")
def test_f51_times_are_utc_in_any_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        moment = utc_now()
        expected = {
            time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - lag)) for lag in (0, 60)
        }
    finally:
        monkeypatch.undo()
        time.tzset()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)
    assert moment[:16] in expected


def test_numbers_that_json_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_run_record(tmp_path, run_record(seconds=float("nan")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema_version": 1}', '{"schema_version": 2, "a": NaN}', "{"]
)
def test_a_damaged_run_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.json"):
        read_run_record(tmp_path)


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    path = write_run_record(tmp_path, run_record(ModelFacts("Größe")))
    assert json.loads(path.read_bytes())["models"]["Größe"]["label"] == "Größe"


def test_reading_results_loads_no_heavy_library() -> None:
    program = (
        "import sys, geneb_jax.results\n"
        "heavy = ('jax', 'torch', 'transformers', 'tensorstore', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
