"""F51, F59: run.json is in UTC, and names neither home folders nor secrets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from geneb_jax.errors import DataError
from geneb_jax.results import (
    Records,
    read_run_json,
    redacted,
    redacted_data,
    utc_now,
    write_run_json,
    write_scores_csv,
)

TOKEN = "hf_" + "Zq7" * 9


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
    write_run_json(
        out,
        {
            "store": home / "cache",
            "arguments": ["run", "--out", f"{home}", f"--header=Bearer {TOKEN}"],
            "models": {str(home / "model"): {"token": "short", "note": error}},
            "url": "https://host/file?X-Amz-Signature=0123abc&part=1",
        },
    )
    contents = [path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file()]
    assert len(contents) == 3
    for text in contents:
        for secret in (TOKEN, str(home), "correct-horse-battery", "ada:pass", "short", "0123abc"):
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


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    content = {"suite": "demo", "timings": {"embed": 1.25}, "devices": ["cpu"], "notes": {}}
    write_run_json(tmp_path, content)
    run = read_run_json(tmp_path)
    assert {name: run[name] for name in content} == content
    assert run["versions"]["numpy"]
    assert run["schema_version"] == 1


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
        write_run_json(tmp_path, {"seconds": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema_version": 2}', '{"schema_version": 1, "a": NaN}', "{"]
)
def test_a_damaged_run_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.json"):
        read_run_json(tmp_path)


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    path = write_run_json(tmp_path, {"title": "Größe"})
    assert json.loads(path.read_bytes())["title"] == "Größe"


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
