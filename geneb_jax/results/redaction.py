"""Take home folders and credentials out of everything that is written for others to read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["redacted", "redacted_data"]

_MARK = "[redacted]"
_SECRET_NAME = re.compile(
    r"(^|[_-])(token|secret|password|passwd|api[_-]?key|access[_-]?key|credentials?|authorization)"
    r"([_-]|$)",
    re.IGNORECASE,
)
_SECRET_SHAPES = (
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|xox[abprs]-|sk-)[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)"),
    re.compile(r"(?i)\b(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)(?<=[?&;])(?:access_token|token|sig|signature|key|password|x-amz-[a-z-]+)=[^&\s\"']+"
    ),
)
_SHORTEST_SECRET = 8  # shorter values of variables are switches, and hiding them would hide words


def redacted(text: str) -> str:
    """Replace the home folder by ``~`` and anything that looks like a credential by a mark.

    Credentials are the values of environment variables named like one (``HF_TOKEN``) and the
    well-known shapes of tokens, of ``user:password@`` and of signed query parameters.
    """
    secrets = sorted(
        (
            value
            for name, value in os.environ.items()
            if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
        ),
        key=len,
        reverse=True,
    )
    for secret in secrets:
        text = text.replace(secret, _MARK)
    for shape in _SECRET_SHAPES:
        text = shape.sub(_MARK, text)
    home = _home()
    return _home_pattern(home).sub("~", text) if home else text


def redacted_data(value: Any) -> Any:
    """Redact every text in plain data (mappings, sequences, scalars), at any depth.

    A value whose name says that it is a credential is replaced whole.
    """
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Path):
        return redacted(str(value))
    if isinstance(value, Mapping):
        return {
            redacted(str(name)): _MARK
            if isinstance(entry, str) and entry and _SECRET_NAME.search(str(name))
            else redacted_data(entry)
            for name, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted_data(entry) for entry in value]
    return value


def _home() -> str | None:
    try:
        home = Path.home()
    except RuntimeError:  # no HOME and no entry for this user, as in some containers
        return None
    return str(home) if len(home.parts) > 1 else None


@lru_cache(maxsize=8)
def _home_pattern(home: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])")
