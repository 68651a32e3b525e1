"""Damaged copies of text files: what editors, downloads and hands do to them, by a seed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

__all__ = ["damaged"]

#: Values of all types and sizes, put where a file has another.
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2,
    10**6,
    10**9,
    10**18,
    2**32,
    2**64,
    1e30,
    0.5,
    -0.0,
    "",
    "512",
    "A",
    "\u0000",
    "x" * 5000,
    "é\u2028",
    [],
    [[]],
    {},
    {"content": "A"},
    {"__type": "AddedToken", "content": "A"},
    {"__type": "AddedToken"},
    [None],
    ["A", "A"],
    [{"content": 1}],
)
_TEXTS = (
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x00",
    b"NaN",
    b"1e999",
    b"[" * 3000,
    b'{"a":' * 300,
    b"9" * 5000,
    b'"\\ud800"',
    b'\\"' * 4000,
    b"\r\n\r\n",
    b"\n" * 500,
    b"A A A",
    b"\t",
    b"ACGT\n" * 200,
)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A copy of a file with one to three faults; JSON is often still JSON."""
    for _ in range(int(rng.integers(1, 4))):
        change = _CHANGES[int(rng.integers(len(_CHANGES)))]
        content = change(content, rng)
    return content


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    if not content:
        return b"\x80"
    data = bytearray(content)
    data[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(data)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _drop(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 60)) :]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + _TEXTS[int(rng.integers(len(_TEXTS)))] + content[start:]


def _swap_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    first, second = rng.integers(len(lines), size=2)
    lines[first], lines[second] = lines[second], lines[first]
    if rng.integers(2):
        lines.insert(int(first), lines[second])
    return b"\n".join(lines)


def _replace_value(content: bytes, rng: np.random.Generator) -> bytes:
    """One value of a JSON document becomes another, goes, or is there twice."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(content, rng)
    places: list[tuple[Any, Any]] = []
    if isinstance(document, dict | list):
        _collect(document, places)
    if not places:
        return _insert(content, rng)

    parent, key = places[int(rng.integers(len(places)))]
    choice = int(rng.integers(4))
    if choice == 0:
        del parent[key]
    elif choice == 1 and isinstance(parent, dict):
        parent[f"{key}{rng.integers(10)}"] = parent[key]
    else:
        parent[key] = _VALUES[int(rng.integers(len(_VALUES)))]
    return json.dumps(document).encode()


def _collect(node: Any, places: list[tuple[Any, Any]]) -> None:
    """Every place of a document; of long lists and objects only some."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    for key in keys[:6] + keys[-6:] if len(keys) > 40 else keys:
        places.append((node, key))
        if isinstance(node[key], dict | list):
            _collect(node[key], places)


_CHANGES = (_flip, _cut, _drop, _insert, _swap_lines, *(5 * (_replace_value,)))
