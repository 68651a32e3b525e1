"""docs/faults.md and the tests say the same: every row is held by tests, every marker is a row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "faults.md"
ROWS = [f"F{number:02d}" for number in range(1, 83)]
#: They change numbers or run code: held by tests of the default suite, whatever it takes.
FIRST = {
    *("F01", "F02", "F06", "F07", "F11", "F18", "F19", "F20", "F21", "F29", "F30", "F33"),
    *("F36", "F37", "F40", "F43", "F44"),
    *(f"F{number}" for number in range(61, 69)),
}
NOT_BY_DEFAULT = {"sweep", "gpu", "compiled"}


@dataclass(frozen=True)
class Marked:
    """A test function: the rows it carries, and whether `make test` runs it."""

    rows: tuple[str, ...]
    by_default: bool


def marks(function: ast.FunctionDef) -> Iterator[tuple[str, ast.Call | None]]:
    """Names of the marks of a function, with their calls."""
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        name = ast.unparse(call.func if call else decorator)
        if name.startswith("pytest.mark."):
            yield name.removeprefix("pytest.mark."), call


def marked_tests() -> dict[str, Marked]:
    """``folder/test_x.py::test_y`` -> what it carries, read without importing anything."""
    found = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            rows: list[str] = []
            names = set()
            for name, call in marks(node):
                names.add(name)
                if name == "fault":
                    assert call is not None and not call.keywords, node.name
                    rows += [ast.literal_eval(argument) for argument in call.args]
            place = f"{path.relative_to(TESTS).as_posix()}::{node.name}"
            found[place] = Marked(tuple(rows), not names & NOT_BY_DEFAULT)
    return found


def table_rows() -> dict[str, str]:
    """Row -> its last cell."""
    rows: dict[str, str] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| F\d", line):
            name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            assert len(cells) == 3 and all(cells), line
            assert name not in rows, name
            rows[name] = cells[-1].rstrip("| ")
    return rows


MARKED = marked_tests()
HELD_BY = table_rows()


def test_the_table_has_every_row_once_in_order() -> None:
    assert list(HELD_BY) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_held_by_tests_that_carry_it_or_says_why_not(row: str) -> None:
    named = re.findall(r"`([^`]+::[^`]+)`", HELD_BY[row])
    if not named:
        assert HELD_BY[row].startswith("not tested here: "), "neither a test nor a reason"
        assert row not in FIRST, "no exceptions here"
        return
    for name in named:
        assert name in MARKED, f"docs/faults.md names {name}, and there is no such test"
        assert row in MARKED[name].rows, f'{name} lacks @pytest.mark.fault("{row}")'
    if row in FIRST:
        assert any(MARKED[name].by_default for name in named), "only sweeps hold this row"


@pytest.mark.parametrize("name", [name for name, test in MARKED.items() if test.rows])
def test_a_marker_is_a_row(name: str) -> None:
    rows = MARKED[name].rows
    assert set(rows) <= set(ROWS), f"{name}: no such row"
    assert list(rows) == sorted(set(rows)), f"{name}: each row once, in order"


def test_tests_named_after_a_row_carry_it() -> None:
    lacking = [
        f'{name} lacks @pytest.mark.fault("{row}")'
        for name, test in MARKED.items()
        if (found := re.search(r"::test_f(\d\d)_", name))
        and (row := f"F{found[1]}") not in test.rows
    ]
    assert lacking == []


def test_no_marker_hides_from_this_test() -> None:
    """Markers are read off decorators of functions; anywhere else they would be overlooked."""
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        place = f"{path.relative_to(TESTS).as_posix()}::"
        here = [test for name, test in MARKED.items() if name.startswith(place)]
        assert len(re.findall(r"mark\.fault\b", text)) == sum(bool(test.rows) for test in here), (
            path
        )
