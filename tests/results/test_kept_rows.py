"""Rows that are kept beside records: the same as without them, whatever became of either."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geneb_jax.results import Records, ScoreRow, UnitKey, kept_rows
from geneb_jax.results.kept_rows import UnitRows, read_units

TASKS = ("task-a", "task-b", "task-c")


@pytest.fixture
def out(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two models of three units each, one of them with a failed fit; their rows are kept."""
    monkeypatch.setattr(kept_rows, "FEWEST_RECORDS", 2)
    records = Records(tmp_path)
    for model in ("kmer-4", "other model"):
        for number, task in enumerate(TASKS):
            unit = replace(key, task_id=task, embedding={**key.embedding, "model_id": model})
            rows = [
                replace(row, model_id=model, task_id=task, mcc=number / 7, identity=unit.identity)
                for row in key_rows
            ]
            records.add(unit, rows)
    read_units(records, keep=True)
    return tmp_path


def parsed(out: Path) -> tuple[list[UnitKey], list[ScoreRow]]:
    """What the records hold, taken apart one by one."""
    units = list(Records(out).units())
    return [unit.key for unit in units], [row for unit in units for row in unit.rows]


def require_same(found: UnitRows, out: Path) -> None:
    keys, rows = parsed(out)
    assert list(found.keys) == keys and list(found.rows) == rows
    assert list(found.digests) == [key.digest for key in keys]
    assert [keys[at].task_id for at in found.unit_of_row] == [row.task_id for row in rows]


@pytest.fixture
def taken_apart(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The records whose JSON was parsed."""
    found: list[Path] = []
    original = Records.unit_of

    def noted(self: Records, path: Path, content: bytes) -> Any:
        found.append(path)
        return original(self, path, content)

    monkeypatch.setattr(Records, "unit_of", noted)
    return found


def test_what_was_parsed_once_is_not_parsed_again(out: Path, taken_apart: list[Path]) -> None:
    found = read_units(Records(out))
    assert taken_apart == [] and len(found.keys) == 6
    require_same(found, out)


def test_only_new_records_are_parsed(
    out: Path, key: UnitKey, key_rows: list[ScoreRow], taken_apart: list[Path]
) -> None:
    new = replace(key, task_id="task-bb")
    Records(out).add(new, [replace(row, task_id="task-bb", mcc=0.125) for row in key_rows])
    found = read_units(Records(out), keep=True)
    assert taken_apart == [Records(out).path_of(new)]
    require_same(found, out)
    taken_apart.clear()
    assert len(read_units(Records(out)).keys) == 7 and taken_apart == []


@pytest.mark.parametrize("change", ["score", "text", "gone", "moved", "other rows"])
def test_a_record_that_changed_is_never_taken_from_the_table(
    out: Path, key: UnitKey, key_rows: list[ScoreRow], change: str
) -> None:
    path = Records(out).path_of(replace(key, task_id="task-b"))
    before = path.read_text(encoding="utf-8")
    if change == "score":
        path.write_text(before.replace("0.14285714285714285", "0.24285714285714285", 1), "utf-8")
    elif change == "text":
        path.write_bytes(path.read_bytes()[:-40])
    elif change == "gone":
        path.unlink()
    elif change == "moved":
        path.rename(path.with_name(path.name.replace("10shot", "11shot")))
    else:
        rows = [replace(row, task_id="task-b", mcc=-0.5) for row in key_rows]
        Records(out).add(replace(key, task_id="task-b"), rows)
    records = Records(out)
    found = read_units(records, keep=True)
    require_same(found, out)
    plain = Records(out)
    list(plain.units())
    assert records.damaged == plain.damaged
    assert len(records.damaged) == (change in ("score", "text", "moved"))
    assert len(found.keys) == 6 - (change != "other rows")
    require_same(read_units(Records(out)), out)


def damage(place: int) -> Callable[[bytes], bytes]:
    def flipped(content: bytes) -> bytes:
        at = len(content) * place // 16
        return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    return flipped


@pytest.mark.parametrize(
    "spoil",
    [*map(damage, range(16)), lambda content: content[: len(content) // 2], lambda content: b""],
)
def test_a_damaged_table_is_made_again(out: Path, spoil: Callable[[bytes], bytes]) -> None:
    (path, _) = sorted((out / "records").glob("*/rows.npz"))
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    require_same(read_units(Records(out), keep=True), out)
    require_same(read_units(Records(out)), out)


def test_a_table_of_another_release_is_made_again(
    out: Path, monkeypatch: pytest.MonkeyPatch, taken_apart: list[Path]
) -> None:
    monkeypatch.setattr(kept_rows, "_release", lambda: "another")
    require_same(read_units(Records(out), keep=True), out)
    assert len(taken_apart) >= 6


def test_tables_follow_from_the_records_alone(out: Path) -> None:
    paths = sorted((out / "records").glob("*/rows.npz"))
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    read_units(Records(out))
    assert sorted((out / "records").glob("*/rows.npz")) == []  # a reader leaves nothing behind
    read_units(Records(out), keep=True)
    assert [path.read_bytes() for path in paths] == before and len(before) == 2


def test_a_copy_of_a_models_folder_is_no_model(out: Path) -> None:
    # Kept by hand before a repeat, say: its records stand where those of other keys belong.
    folder = next(path for path in (out / "records").iterdir() if path.name.startswith("kmer-4"))
    shutil.copytree(folder, folder.with_name(f"{folder.name}.before"))
    records = Records(out)
    found = read_units(records)
    assert len(found.keys) == 6 and len(records.damaged) == 3
    require_same(found, out)
