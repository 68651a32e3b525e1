"""Frozen dataclasses as JSON and back: nothing unknown, nothing missing, nothing mistyped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["STRICT", "from_plain", "to_plain"]

#: Put on a dataclass as ``__pydantic_config__``; dataclasses inside of it follow.
STRICT = ConfigDict(extra="forbid", strict=True)

T = TypeVar("T", bound="DataclassInstance")
_SHOWN = 60  # letters of a wrong value that a message shows


def to_plain(value: DataclassInstance) -> dict[str, Any]:
    """A dataclass as plain data, every field of it, in the order of declaration."""
    return asdict(value)


def from_plain(kind: type[T], content: object, *, younger: Set[str] = frozenset()) -> T:
    """Make a dataclass of what :func:`to_plain` gave, and of nothing else.

    Args:
        kind: A dataclass with :data:`STRICT`; its ``__post_init__`` may raise ValueError.
        content: Parsed JSON.
        younger: Fields that earlier releases did not write, at any depth: these may be absent, and
            have their defaults then.

    Raises:
        ValueError: naming the key, for an unknown, missing or mistyped one. A field with a default
            may be left out by a caller, but not by a file: a cut file must not read as a whole one.
    """
    try:
        value: T = _adapter(kind).validate_json(json.dumps(content, allow_nan=False))
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error
    lacking = _lacking(to_plain(value), content, "", younger)
    if lacking:
        raise ValueError(f"{lacking} is missing")
    return value


@lru_cache(maxsize=64)
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """What reads a class: making one costs more than what it then reads."""
    return TypeAdapter(kind)


def _sentence(error: ValidationError) -> str:
    """The first complaint, with the path of its key."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the record"
    if first["type"] in ("missing", "missing_argument"):
        return f"{where} is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where} is not a known key"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return f"{where}: {first['msg']}, not {first['input']!r:.{_SHOWN}}"


def _lacking(whole: object, content: object, path: str, younger: Set[str]) -> str:
    """The path of a key that the whole has and the content lacks; empty where there is none."""
    pairs: list[tuple[str, object, object]] = []
    if isinstance(whole, Mapping) and isinstance(content, Mapping):
        missing = next(
            (name for name in whole if name not in content and name not in younger), None
        )
        if missing is not None:
            return f"{path}{missing}"
        pairs = [
            (str(name), entry, content[name]) for name, entry in whole.items() if name in content
        ]
    elif isinstance(whole, list | tuple) and isinstance(content, Sequence):
        pairs = [
            (str(at), entry, other)
            for at, (entry, other) in enumerate(zip(whole, content, strict=True))
        ]
    found = (_lacking(entry, other, f"{path}{name}.", younger) for name, entry, other in pairs)
    return next((lacking for lacking in found if lacking), "")
