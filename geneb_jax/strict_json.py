"""Read JSON that may come from anywhere: UTF-8, no repeated names, no NaN, bounded in every way.

The one reader of JSON that others wrote: configs, indices, tokenizer files, records, submissions.
Its time is linear in the size of the file, whatever is in it.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from geneb_jax.plain_files import read_plain

__all__ = ["nesting", "parse_json", "read_json"]

#: Possessive, and matching an unterminated text to its end: no place is looked at twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
#: An integer of more digits is beyond float64, and costs more than its length to read.
_MOST_DIGITS = 309
#: Settings of a model nest a few levels deep.
_DEEPEST = 64
#: Files of settings have kilobytes; the largest index of shards has about two megabytes.
_LARGEST_BYTES = 2**24


def read_json(path: Path, *, largest_bytes: int = _LARGEST_BYTES, deepest: int = _DEEPEST) -> Any:
    """Read and parse one plain file; see :func:`parse_json`.

    Raises:
        ValueError: with the reason, if it is no plain file, a Git LFS pointer
            (:class:`~geneb_jax.plain_files.NotTheFileError`), too large or not strict JSON.
        OSError: if it is not there or cannot be read.
    """
    return parse_json(read_plain(path, largest_bytes=largest_bytes), deepest=deepest)


def parse_json(content: bytes, *, deepest: int = _DEEPEST) -> Any:
    """Parse UTF-8 JSON as RFC 8259 has it, more strictly than :mod:`json`.

    Refused besides bad syntax: other encodings and byte-order marks, names that occur twice in an
    object, ``NaN`` and ``Infinity``, numbers beyond float64 (``1e400``), integers of more than 309
    digits, halves of surrogate pairs, nesting beyond ``deepest``.

    Raises:
        ValueError: with the reason.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    _require_shallow(text, deepest)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded_integer,
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
        ) from error
    if _SURROGATE.search(text):
        _require_whole_letters(document)
    return document


def nesting(text: str, *, enough: int) -> int:
    """How deep brackets outside of texts nest, counted no further than above ``enough``.

    Takes time linear in the length of the text, which need not be JSON.
    """
    if text.count("[") + text.count("{") == 0:
        return 0
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        deepest = max(deepest, depth)
        if deepest > enough:
            break
    return deepest


def _require_shallow(text: str, deepest: int) -> None:
    if text.count("[") + text.count("{") <= deepest:
        return
    if nesting(text, enough=deepest) > deepest:
        raise ValueError(f"nested deeper than {deepest} levels")


def _require_whole_letters(document: Any) -> None:
    """A lone half of a surrogate pair is no letter and can be written to no file."""
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a text holds half a letter (\\u{ord(error.object[error.start]):x})"
        ) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name[:80]!r} occurs twice in one object")
            seen.add(name)
    return content


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a JSON number")


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal[:40]} is beyond the range of float64")
    return number


def _bounded_integer(literal: str) -> int:
    if len(literal) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(literal)} digits")
    return int(literal)
