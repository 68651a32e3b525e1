"""Whether a repository wants to run code of its own, and whether the user allowed exactly that.

Only the torch adapter can run such code. ``auto_map`` in the repository's JSON files names it, and
it runs when the user has named the repository and the commit (or the folder) it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError, SelectionError
from geneb_jax.strict_json import read_json

__all__ = ["AllowedCode", "own_code", "parse_allowed_code", "require_allowed"]

_FILES = ("config.json", "tokenizer_config.json", "processor_config.json")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class AllowedCode:
    """What ``--allow-remote-code`` names.

    Attributes:
        name: ``ORG/MODEL``, or a folder.
        revision: The commit; None for a folder.
    """

    name: str
    revision: str | None


def parse_allowed_code(text: str) -> AllowedCode:
    """Read ``ORG/MODEL@COMMIT`` or the path of a folder.

    Raises:
        SelectionError: for anything else; a branch or a tag can move, and is no permission.
    """
    name, at, revision = text.rpartition("@")
    if at and _COMMIT.fullmatch(revision) and name.count("/") == 1:
        return AllowedCode(name, revision)
    if text and Path(text).expanduser().is_dir():
        return AllowedCode(str(Path(text).expanduser().resolve()), None)
    raise SelectionError(
        f"--allow-remote-code {text!r} names neither a repository at a commit nor a folder",
        hint="write ORG/MODEL@COMMIT with all 40 characters of the commit, or a folder you checked",
    )


def own_code(folder: Path) -> list[str]:
    """Every code reference of a checkpoint folder, as ``file.Class`` or ``ORG/MODEL--file.Class``.

    Raises:
        CheckpointError: if one of its JSON files cannot be read.
    """
    found: list[str] = []
    for name in _FILES:
        file = folder / name
        if not file.is_file():
            continue
        try:
            content = read_json(file)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"cannot be read as JSON ({error})", where=file) from error
        found += _references(content)
    return sorted(set(found))


def require_allowed(
    folder: Path, *, name: str, revision: str | None, allowed: AllowedCode | None
) -> bool:
    """Whether code of the folder will run; nothing of it has run when this returns or raises.

    Args:
        folder: The checkpoint's files.
        name: ``ORG/MODEL`` or the resolved folder, as the user's permission would name it.
        revision: The commit that the files are of; None for a folder.
        allowed: The user's permission.

    Raises:
        CheckpointError: if there is code and no permission for exactly it.
    """
    references = own_code(folder)
    if not references:
        return False
    permission = name if revision is None else f"{name}@{revision}"
    if allowed != AllowedCode(name, revision):
        raise CheckpointError(
            f"wants to run code of its own ({', '.join(references[:3])}); none of it was run",
            where=name,
            hint=f"read that code, then allow it: --allow-remote-code {permission}",
        )
    foreign = [text for text in references if "--" in text and text.split("--")[0] != name]
    if foreign:
        raise CheckpointError(
            f"its code comes from another repository ({foreign[0]}); none of it was run",
            where=name,
            hint="copy that code into a folder of your own and allow the folder",
        )
    return True


def _references(content: Any) -> Iterator[str]:
    """Texts under every ``auto_map``, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _texts(value) if key == "auto_map" else _references(value)
    elif isinstance(content, list):
        for value in content:
            yield from _references(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
