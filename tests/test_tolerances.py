"""Tests hold no tolerances of their own: tests/tolerances.toml is the one table of them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_TREES = {
    path.relative_to(_HERE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(_HERE.rglob("*.py"))
}

#: An upper bound up to here is a tolerance; larger ones say what the test is about.
_CLOSE = 0.01

#: By file, what may stay.
_ALLOWED = {
    # A row so near the boundary may be decided either way.
    ("runs/test_execute.py", "np.abs(decision).min() < 1e-12"),
}


def _small(node: ast.AST) -> bool:
    """Whether a number nearer to 0 than 1 is written out in an expression."""
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, float) and 0 < abs(part.value) < 1
        for part in ast.walk(node)
    )


def _literals(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions that carry a tolerance of their own.

    A number for ``abs``, ``rel``, ``rtol`` or ``atol``; an upper bound of at most 0.01; one of
    NumPy's comparisons that falls back on its own tolerances.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = {one.arg: one.value for one in node.keywords}
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            needed = {"allclose": 2, "isclose": 2, "assert_allclose": 1}.get(name, 0)
            if any(_small(given[key]) for key in given.keys() & {"abs", "rel", "rtol", "atol"}) or (
                len(given.keys() & {"rtol", "atol"}) < needed
            ):
                yield node
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
                upper = right if isinstance(operator, ast.Lt | ast.LtE) else None
                upper = left if isinstance(operator, ast.Gt | ast.GtE) else upper
                if upper is not None and _bounds_closely(upper):
                    yield node


def _bounds_closely(upper: ast.expr) -> bool:
    """Whether the bound is a number up to 0.01, or a multiple of one."""
    factors = [upper.left, upper.right] if isinstance(upper, ast.BinOp) else [upper]
    if isinstance(upper, ast.BinOp) and not isinstance(upper.op, ast.Mult):
        return False
    return any(
        isinstance(factor, ast.Constant)
        and isinstance(factor.value, float)
        and 0 < factor.value <= _CLOSE
        for factor in factors
    )


@pytest.mark.parametrize("file", _TREES)
def test_tolerances_stand_in_the_table(file: str) -> None:
    found = {ast.unparse(node) for node in _literals(_TREES[file])}
    allowed = {code for name, code in _ALLOWED if name == file}
    assert found <= allowed, f"put into tests/tolerances.toml: {sorted(found - allowed)}"


def test_every_tolerance_is_used() -> None:
    table = tomllib.loads((_HERE / "tolerances.toml").read_text(encoding="utf-8"))
    written = {
        node.value
        for tree in _TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # A name may be put together: f"kmer4_reference_{regime}".
    begun = tuple(text for text in written if text.endswith("_") and text.strip("_"))
    assert [name for name in table if name not in written and not name.startswith(begun)] == []


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("assert a == pytest.approx(b, abs=1e-12)", True),
        ("np.testing.assert_allclose(a, b)", True),
        ("np.allclose(a, b, atol=near)", True),
        ("assert error < 0.01 * size", True),
        ("assert 1e-6 >= error", True),
        ("assert a == pytest.approx(b, abs=near)", False),
        ("np.allclose(a, b, rtol=0, atol=10 * near)", False),
        ("assert error > 1e-3", False),
        ("assert share < 0.2", False),
    ],
)
def test_a_tolerance_is_recognised(code: str, caught: bool) -> None:
    assert any(_literals(ast.parse(code))) == caught
