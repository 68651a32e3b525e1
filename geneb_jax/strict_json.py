"""Read JSON that may come from anywhere: UTF-8, no repeated names, no NaN, bounded in size."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["parse_json", "read_json"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def read_json(path: Path, *, largest_bytes: int, deepest: int) -> Any:
    """Read and parse one file; see :func:`parse_json`.

    Raises:
        ValueError: with the reason, if the file is too large or not strict JSON.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(largest_bytes + 1)
    if len(content) > largest_bytes:
        raise ValueError(f"the file is larger than {largest_bytes} bytes")
    return parse_json(content, deepest=deepest)


def parse_json(content: bytes, *, deepest: int) -> Any:
    """Parse UTF-8 JSON as RFC 8259 has it, more strictly than :mod:`json`.

    Refused besides bad syntax: other encodings and byte-order marks, names that occur twice in an
    object, ``NaN`` and ``Infinity``, numbers beyond float64 (``1e400``), nesting beyond
    ``deepest``.

    Raises:
        ValueError: with the reason.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > deepest:
            raise ValueError(f"nested deeper than {deepest} levels")
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
        ) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name!r} occurs twice in one object")
            seen.add(name)
    return content


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a JSON number")


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal[:40]} is beyond the range of float64")
    return number
