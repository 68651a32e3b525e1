"""F02, F20, F33, F38, F52: a record is whole or absent, and never misread."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax import durable_files
from geneb_jax.errors import OutputError
from geneb_jax.results import Records, ScoreRow, UnitKey

scores = st.floats(-1, 1, allow_nan=False)


def test_rows_come_back_as_they_were(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    Records(tmp_path).add(key, reversed(key_rows))
    assert Records(tmp_path).find(key) == tuple(key_rows)


@given(mcc=scores, accuracy=scores.map(abs), grad_norm=st.floats(0, 1e300))
@settings(max_examples=50)
def test_floats_come_back_to_the_bit(
    tmp_path: Path, key: UnitKey, row: ScoreRow, mcc: float, accuracy: float, grad_norm: float
) -> None:
    one = replace(key, seeds=(13,), C=(1.0,))
    made = replace(row, mcc=mcc, accuracy=accuracy, grad_norm=grad_norm)
    Records(tmp_path).add(one, [made])
    (found,) = Records(tmp_path).find(one) or ()
    assert [value.hex() for value in (found.mcc, found.accuracy, found.grad_norm)] == [
        value.hex() for value in (mcc, accuracy, grad_norm)
    ]


COUNTS = ("cut_bp", "windows", "unknown_bp", "unknown_tokens", "empty")


def test_a_record_of_before_rows_were_counted_is_read(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    records.add(key, [replace(row, windows=7, cut_bp=3) for row in key_rows])
    assert {(row.windows, row.cut_bp) for row in Records(tmp_path).find(key) or ()} == {(7, 3)}
    path = records.path_of(key)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["rows"] = [{k: v for k, v in row.items() if k not in COUNTS} for row in record["rows"]]
    content = json.dumps(record["rows"], ensure_ascii=True, separators=(",", ":"))
    record["rows_sha256"] = hashlib.sha256(content.encode("ascii")).hexdigest()
    path.write_text(json.dumps(record), encoding="utf-8")
    assert Records(tmp_path).find(key) == tuple(key_rows)


def test_a_record_of_before_decision_values_is_read(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    records.add(key, [replace(row, auroc=0.5, auprc=0.25, brier=1.5) for row in key_rows])
    assert {row.brier for row in Records(tmp_path).find(key) or ()} == {1.5}
    path = records.path_of(key)
    record = json.loads(path.read_text(encoding="utf-8"))
    for row in record["rows"]:
        for name in ("auroc", "auprc", "brier", *COUNTS):
            del row[name]
    content = json.dumps(record["rows"], ensure_ascii=True, separators=(",", ":"))
    record["rows_sha256"] = hashlib.sha256(content.encode("ascii")).hexdigest()
    path.write_text(json.dumps(record), encoding="utf-8")
    assert Records(tmp_path).find(key) == tuple(key_rows)
    assert [unit.rows for unit in Records(tmp_path).units()] == [tuple(key_rows)]
    del record["rows"][0]["mcc"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert Records(tmp_path).find(key) is None


def test_another_key_finds_nothing(tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)
    assert records.find(replace(key, tol=1e-5)) is None
    assert records.damaged == ()


@pytest.mark.parametrize("change", [{"max_iter": 7}, {"embedding": {}}, {"tol": None}, {"new": 1}])
def test_a_record_whose_key_was_edited_is_computed_again_as_no_table_shows_it(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], change: dict[str, object]
) -> None:
    Records(tmp_path).add(key, key_rows)
    path = Records(tmp_path).path_of(key)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["key"] |= change
    path.write_text(json.dumps(record), encoding="utf-8")
    records = Records(tmp_path)
    assert records.find(key) is None
    assert [one.path for one in records.damaged] == [path]
    assert list(records.units()) == []


@pytest.mark.fault("F20")
def test_f20_a_failed_unit_is_recorded_and_tried_again(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], failed
) -> None:
    records = Records(tmp_path)
    records.add(key, [failed(key_rows[0]), *key_rows[1:]])
    assert "one class in the draw" in records.path_of(key).read_text(encoding="utf-8")
    assert records.find(key) is None
    assert records.damaged == ()
    records.add(key, key_rows)
    assert records.find(key) == tuple(key_rows)


def test_rows_of_another_unit_are_refused(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    for rows in (
        key_rows[1:],
        [*key_rows, key_rows[0]],
        [replace(key_rows[0], seed=1), *key_rows[1:]],
        [replace(key_rows[0], task_id="task-b"), *key_rows[1:]],
    ):
        with pytest.raises(ValueError, match="row"):
            records.add(key, rows)
    assert not records.folder.exists()


def _edit(text: str, change: str) -> str:
    record = json.loads(text)
    if change == "version":
        record["schema_version"] = 3
    elif change == "version true":
        record["schema_version"] = True
    elif change == "no version":
        del record["schema_version"]
    elif change == "score":
        record["rows"][0]["mcc"] = 0.25
    elif change == "score and checksum of nothing":
        record["rows"][0]["mcc"], record["rows_sha256"] = 0.25, ""
    elif change == "row gone":
        del record["rows"][3]
    elif change == "column gone":
        del record["rows"][0]["solver"]
    elif change == "digest":
        record["digest"] = "0" * 64
    elif change == "extra":
        record["note"] = "hello"
    elif change == "list":
        return json.dumps([record])
    return json.dumps(record)


@pytest.mark.parametrize(
    "damage",
    [
        "version",
        "version true",
        "no version",
        "score",
        "score and checksum of nothing",
        "row gone",
        "column gone",
        "digest",
        "extra",
        "list",
    ],
)
@pytest.mark.fault("F52")
def test_f52_an_edited_record_counts_as_absent_and_is_reported(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], damage: str
) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)
    path = records.path_of(key)
    path.write_text(_edit(path.read_text(encoding="utf-8"), damage), encoding="utf-8")
    assert records.find(key) is None
    assert [record.path for record in records.damaged] == [path]
    records.add(key, key_rows)
    assert records.damaged == ()
    assert records.find(key) == tuple(key_rows)


@pytest.mark.fault("F38")
def test_f38_json_that_python_would_accept_is_not_believed(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)
    path = records.path_of(key)
    text = path.read_text(encoding="utf-8")
    first = f'"mcc": {key_rows[0].mcc!r}'
    assert text.count(first) == 1
    for bad in ('"mcc": NaN', '"mcc": Infinity', '"mcc": 1e400', f"{first},\n{first}"):
        path.write_text(text.replace(first, bad), encoding="utf-8")
        assert Records(tmp_path).find(key) is None
    for bytes_ in (b"", b"\xff" + text.encode(), b"\xef\xbb\xbf" + text.encode(), b"[" * 100_000):
        path.write_bytes(bytes_)
        fresh = Records(tmp_path)
        assert fresh.find(key) is None
        assert len(fresh.damaged) == 1


@pytest.mark.fault("F02")
def test_f02_a_record_cut_anywhere_is_absent(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)
    path = records.path_of(key)
    whole = path.read_bytes()
    for length in [*range(0, len(whole) - 2, 97), len(whole) - 2]:
        path.write_bytes(whole[:length])
        assert records.find(key) is None, length


@pytest.mark.fault("F52")
def test_f52_no_single_flipped_bit_is_misread(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow]
) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)
    path = records.path_of(key)
    whole = path.read_bytes()
    for number in range(0, len(whole) * 8, 149):
        damaged = bytearray(whole)
        damaged[number // 8] ^= 1 << number % 8
        path.write_bytes(bytes(damaged))
        # Some bits only change white space or the key that is shown; no other value may come back.
        assert records.find(key) in (None, tuple(key_rows))


KILLED_WRITER = """
import os, pathlib, pickle, signal, sys
from geneb_jax import durable_files
from geneb_jax.results import Records

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

step, out, content = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
key, rows = pickle.loads(content.read_bytes())
if step == "write":
    durable_files.os.fsync = die
elif step == "rename":
    pathlib.Path.replace = die
else:
    durable_files.flush_folder = die
Records(out).add(key, rows)
"""


@pytest.mark.parametrize(
    ("step", "survivor"), [("write", "old"), ("rename", "old"), ("folder", "new")]
)
@pytest.mark.fault("F02")
def test_f02_a_writer_killed_at_any_step_leaves_the_old_record_or_the_new(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], step: str, survivor: str
) -> None:
    import pickle

    new = [replace(row, accuracy=0.125) for row in key_rows]
    content = tmp_path / "content"
    content.write_bytes(pickle.dumps((key, new)))
    for earlier in (True, False):
        out = tmp_path / f"out-{earlier}"
        if earlier:
            Records(out).add(key, key_rows)
        done = subprocess.run(
            [sys.executable, "-c", KILLED_WRITER, step, str(out), str(content)],
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        records = Records(out)
        expected = tuple(new) if survivor == "new" else tuple(key_rows) if earlier else None
        assert records.find(key) == expected
        assert records.damaged == ()


@pytest.mark.fault("F04")
def test_f04_a_full_disk_leaves_the_old_record(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path)
    records.add(key, key_rows)

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(durable_files.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        records.add(key, [replace(row, accuracy=0.125) for row in key_rows])
    monkeypatch.undo()
    assert records.find(key) == tuple(key_rows)
    assert [path.name for path in records.path_of(key).parent.iterdir()] == [
        records.path_of(key).name
    ]


HOSTILE = [
    "../x", "..", ".", "/etc/passwd", "a/../../b", "C:\\Windows", "\\\\server\\share", "a\0b",
    "con", "NUL.txt", "aux.json", "x" * 300, "é" * 200, "\u202etxt.exe", "\u0430",
    "a ", "a.", "-rf", ".hidden",
    "~", "$HOME", "a:b", "a*b", "a?b", 'a"b', "a|b", "<a>", "a\nb", "\ud800", "org/model",
    "hf://x", "file:///etc", "%2e%2e", "a;b", "&&", "`id`", "{}", "LPT9", "COM1.csv", "\u2025",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.fault("F33")
def test_f33_no_name_leaves_the_folder(tmp_path: Path, key: UnitKey, name: str) -> None:
    records = Records(tmp_path)
    named = [replace(key, **{field: name}) for field in ("task_id", "regime", "probe", "solver")]
    for one in [*named, replace(key, embedding={"model_id": name})]:
        path = records.path_of(one)
        parts = path.relative_to(records.folder).parts
        assert len(parts) == 3
        assert path.resolve().is_relative_to(records.folder.resolve())
        for part in parts:
            assert part.isascii()
            assert 0 < len(part) <= 200
            assert not set(part) & set('/\\:*?"<>|\0\n ')
            assert not part.startswith((".", "-"))
            assert part.split(".")[0].lower() not in {"con", "nul", "aux", "lpt9", "com1"}


@pytest.mark.fault("F33")
def test_f33_cleaning_never_joins_two_names(tmp_path: Path, key: UnitKey) -> None:
    records = Records(tmp_path)
    names = [*HOSTILE, "org_model", "a_b", "_"]
    folders = {
        records.path_of(replace(key, embedding={"model_id": name})).parent.parent for name in names
    }
    assert len(folders) == len(names)


def test_errors_are_stored_on_one_line_and_without_secrets(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-very-secret-value")
    error = f"cannot open {Path.home()}/x\nwith a-very-secret-value"
    stored = Records(tmp_path).add(key, [failed(key_rows[0], error), *key_rows[1:]])
    assert stored[0].error == "cannot open ~/x with [redacted]"
