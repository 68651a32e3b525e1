"""Lines that are copied from the table before: the same bytes as without, whatever became of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.analysis import summarise, summary, write_summary_csv, write_summary_of
from geneb_jax.benchmark import Protocol, Suite, Task
from geneb_jax.errors import DataError
from geneb_jax.results import (
    SCORE_COLUMNS,
    ScoreRow,
    ScoreTable,
    csv_text,
    kept_lines,
    score_tables,
    write_scores_csv,
)

MODELS = ("kmer-1", "kmer-2", "kmer-3")
Rows = list[ScoreRow]


@pytest.fixture(autouse=True)
def from_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lines, "FEWEST_ROWS", 1)


@pytest.fixture
def rows(small_suite: Suite, score_all: Callable[..., Rows]) -> Rows:
    """Three models, each with scores of its own."""
    return [
        replace(row, mcc=row.mcc / (k + 1), auroc=0.1 * k or None)
        for k, name in enumerate(MODELS)
        for row in score_all(small_suite, name)
    ]


@pytest.fixture
def out(tmp_path: Path, small_suite: Suite, rows: Rows) -> Path:
    """Both tables of the three models, and what they leave for the next writer."""
    folder = tmp_path / "out"
    write_both(folder, small_suite, rows)
    assert {path.name for path in (folder / "records").iterdir()} == {
        "scores.csv.lines.json",
        "summary.csv.lines.json",
    }
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose lines were made from their rows, of each of the two tables."""
    found: list[str] = []
    for module, name, place in ((score_tables, "_lines", 0), (summary, "summary_lines", 1)):
        original = getattr(module, name)

        def noted(*given: Any, original: Any = original, place: int = place) -> Any:
            found.extend(dict.fromkeys(row.model_id for row in given[place]))
            return original(*given)

        monkeypatch.setattr(module, name, noted)
    return found


def write_both(folder: Path, suite: Suite, rows: Sequence[ScoreRow]) -> None:
    # A table of its own each time, as every process has.
    write_scores_csv(folder, ScoreTable.of(list(rows)), keep=True)
    write_summary_of(folder, suite, ScoreTable.of(list(rows)), keep=True)


def require_from_scratch(folder: Path, suite: Suite, rows: Sequence[ScoreRow]) -> None:
    """Both tables are what the csv module writes of the rows, one by one."""
    expected = csv_text(SCORE_COLUMNS, (row.cells() for row in rows)).encode()
    assert (folder / "scores.csv").read_bytes() == expected
    plain = write_summary_csv(folder.parent / "plain", summarise(suite, list(rows)))
    assert (folder / "summary.csv").read_bytes() == plain.read_bytes()


def test_lines_of_the_same_rows_are_copied(
    out: Path, small_suite: Suite, rows: Rows, made: list[str]
) -> None:
    lists = {path: path.read_bytes() for path in (out / "records").iterdir()}
    write_both(out, small_suite, rows)
    assert made == []
    require_from_scratch(out, small_suite, rows)
    assert {path: path.read_bytes() for path in (out / "records").iterdir()} == lists


@pytest.mark.parametrize("name", ["a model", "kmer-15", '=z, "z"'])
def test_a_new_models_lines_alone_are_made(
    out: Path,
    small_suite: Suite,
    rows: Rows,
    score_all: Callable[..., Rows],
    made: list[str],
    name: str,
) -> None:
    # In another order, so that the texts of a table that it stands first in have other codes.
    new = [replace(row, error='odd: \u00e9, "x"') for row in score_all(small_suite, name)[::-1]]
    more = sorted([*rows, *new], key=lambda row: row.model_id)
    write_both(out, small_suite, more)
    assert made == [name, name]
    require_from_scratch(out, small_suite, more)


def next_float(row: ScoreRow) -> ScoreRow:
    return replace(row, mcc=float(np.nextafter(row.mcc, 2.0)))


CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "removed": lambda rows: [row for row in rows if row.model_id != "kmer-2"],
    "renamed": lambda rows: [
        replace(row, model_id="kmer-2 #2") if row.model_id == "kmer-2" else row for row in rows
    ],
    "swapped names": lambda rows: [
        replace(row, model_id={"kmer-1": "kmer-2", "kmer-2": "kmer-1"}.get(row.model_id, "kmer-3"))
        for row in rows
    ],
    "another score": lambda rows: [*rows[:70], next_float(rows[70]), *rows[71:]],
    "another zero": lambda rows: [replace(rows[0], brier=0.0), *rows[1:]],
    "another text": lambda rows: [*rows[:70], replace(rows[70], data="unlike"), *rows[71:]],
    "beyond 32 bits": lambda rows: [*rows[:70], replace(rows[70], windows=2**40), *rows[71:]],
    "beyond 64 bits": lambda rows: [*rows[:70], replace(rows[70], windows=2**70), *rows[71:]],
    "failed": lambda rows: [
        *rows[:70],
        replace(rows[70], mcc=None, accuracy=None, macro_f1=None, auroc=None, status="failed",
                error="no"),
        *rows[71:],
    ],
    "another order": lambda rows: rows[::-1],
    "interleaved": lambda rows: [row for k in range(60) for row in rows[k::60]],
    "none": lambda rows: [],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_never_copied(
    out: Path, small_suite: Suite, rows: Rows, change: str
) -> None:
    changed = CHANGES[change](rows)
    for each in (changed, rows):  # and back again
        write_both(out, small_suite, each)
        require_from_scratch(out, small_suite, each)


def flip(place: int) -> Callable[[bytes], bytes]:
    def flipped(content: bytes) -> bytes:
        at = len(content) * place // 16
        return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    return flipped


@pytest.mark.fault("F65")
@pytest.mark.parametrize(
    "name",
    [
        "scores.csv",
        "summary.csv",
        "records/scores.csv.lines.json",
        "records/summary.csv.lines.json",
    ],
)
def test_f65_a_damaged_table_or_list_is_noticed(
    out: Path, small_suite: Suite, rows: Rows, name: str
) -> None:
    path = out / name
    whole = path.read_bytes()
    for spoil in (
        *map(flip, range(16)),
        lambda content: content[: len(content) // 2],
        lambda content: content[1:],
        lambda content: b"",
        lambda content: b"{}",
    ):
        path.write_bytes(spoil(whole))
        write_both(out, small_suite, rows)
        require_from_scratch(out, small_suite, rows)
        assert path.read_bytes() == whole
    path.unlink()
    write_both(out, small_suite, rows)
    assert path.read_bytes() == whole


@pytest.mark.fault("F65")
def test_f65_an_edited_line_is_not_copied(
    out: Path, small_suite: Suite, rows: Rows, made: list[str]
) -> None:
    path = out / "scores.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]  # the length stays
    path.write_text("".join(lines), "utf-8")
    write_both(out, small_suite, rows)
    assert made == ["kmer-1"]
    require_from_scratch(out, small_suite, rows)


@pytest.mark.parametrize("foreign", ["table", "list", "both"])
def test_what_another_folder_left_changes_nothing(
    tmp_path: Path, out: Path, small_suite: Suite, rows: Rows, foreign: str
) -> None:
    other = tmp_path / "other"
    write_both(other, small_suite, [next_float(row) for row in rows])
    for name in ("scores.csv", "summary.csv"):
        if foreign != "list":
            shutil.copy(other / name, out / name)
        if foreign != "table":
            shutil.copy(other / f"records/{name}.lines.json", out / "records")
    write_both(out, small_suite, rows)
    require_from_scratch(out, small_suite, rows)


def test_another_suite_has_other_means(
    out: Path, small_suite: Suite, rows: Rows, made: list[str]
) -> None:
    more = replace(small_suite, tasks=(*small_suite.tasks, Task("task-g", "g", "One")))
    write_both(out, more, rows)
    assert made == list(MODELS)  # of the means alone: the rows are the same
    require_from_scratch(out, more, rows)
    few = Protocol(small_suite.protocol.regimes, small_suite.protocol.seeds[:2])
    other = replace(small_suite, protocol=few)
    write_both(out, other, rows)
    require_from_scratch(out, other, rows)
    less = replace(small_suite, tasks=small_suite.tasks[1:])
    with pytest.raises(DataError, match="has no task 'task-a'"):
        write_both(out, less, rows)


@pytest.mark.parametrize("name", ["_release", "_KIND"])
def test_lines_of_another_release_are_made_again(
    out: Path,
    small_suite: Suite,
    rows: Rows,
    made: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(kept_lines, name, (lambda: "9") if name == "_release" else "lines 0")
    write_both(out, small_suite, rows)
    assert made == [*MODELS, *MODELS]


def test_two_rows_of_one_fit_are_refused_beside_what_is_copied(out: Path, rows: Rows) -> None:
    before = (out / "scores.csv").read_bytes()
    with pytest.raises(ValueError, match="two rows for"):
        write_scores_csv(out, [*rows, rows[-1]], keep=True)
    assert (out / "scores.csv").read_bytes() == before
    assert not list(out.glob(".*"))


def test_a_small_table_leaves_no_list(
    tmp_path: Path, small_suite: Suite, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_lines, "FEWEST_ROWS", len(rows) + 1)
    write_both(tmp_path, small_suite, rows)
    write_scores_csv(tmp_path, rows)
    assert not (tmp_path / "records").exists()
