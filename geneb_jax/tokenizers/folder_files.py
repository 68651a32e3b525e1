"""The tokenizer files of a checkpoint folder: bounded, typed, and one message for what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from geneb_jax.errors import CheckpointError
from geneb_jax.plain_files import read_plain
from geneb_jax.strict_json import parse_json

__all__ = ["FolderFiles", "json_object", "repeated_note", "vocabulary_lines"]

ResultT = TypeVar("ResultT")

#: The largest published tokenizer.json has 34 MB; a vocabulary of 100 MB would not fit a model.
_LARGEST_BYTES = 64 * 2**20
#: Settings hold a few dozen keys and a list of added tokens.
LARGEST_SETTINGS_BYTES = 4 * 2**20
_DEEPEST = 32


class FolderFiles:
    """Reads files of one folder by name.

    Args:
        folder: The checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where a file is, or would be."""
        return self.folder / name

    def content(self, name: str, *, largest_bytes: int = _LARGEST_BYTES) -> bytes | None:
        """A file's bytes; None where there is no such file.

        Raises:
            CheckpointError: if it is no plain file, too large, or cannot be read.
        """
        path = self.path(name)
        try:
            return _guarded(path, lambda: read_plain(path, largest_bytes=largest_bytes))
        except FileNotFoundError as error:
            if path.is_symlink():
                raise CheckpointError(str(error.strerror), where=path) from error
            return None

    def text(self, name: str) -> str | None:
        """A file of UTF-8 text, letter for letter; None where there is no such file.

        Raises:
            CheckpointError: as :meth:`content`, and if it is not UTF-8.
        """
        content = self.content(name)
        if content is None:
            return None
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(
                f"not UTF-8 (byte {error.start})", where=self.path(name)
            ) from error

    def settings(self, name: str) -> dict[str, Any] | None:
        """A small file with one JSON object; None where there is no such file.

        Raises:
            CheckpointError: as :meth:`content`, and if it is not strict JSON or no object.
        """
        content = self.content(name, largest_bytes=LARGEST_SETTINGS_BYTES)
        return None if content is None else json_object(content, where=self.path(name))


def json_object(content: bytes, *, where: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        CheckpointError: if it is not strict JSON, or something else.
    """
    found = _guarded(where, lambda: parse_json(content, deepest=_DEEPEST))
    if not isinstance(found, dict):
        raise CheckpointError("is not a JSON object", where=where)
    return found


def vocabulary_lines(text: str, *, where: Path) -> list[str]:
    """Tokens of a ``vocab.txt``, one a line, the line number is the id; no final empty line.

    Raises:
        CheckpointError: if it holds no token, or one that no vocabulary has.
    """
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not any(line.strip() for line in lines):
        raise CheckpointError("holds no token", where=where)
    longest = max(map(len, lines))
    if longest > _LONGEST_TOKEN:
        row = next(row for row, line in enumerate(lines, 1) if len(line) == longest)
        raise CheckpointError(
            f"a token of {longest} letters, more than {_LONGEST_TOKEN}", where=f"{where}:{row}"
        )
    return lines


def repeated_note(tokens: Sequence[str], *, where: object) -> tuple[str, ...]:
    """What to say of a vocabulary in which tokens occur twice: nothing, or one note."""
    twice = next((token for token, count in Counter(tokens).items() if count > 1 and token), None)
    if twice is None:
        return ()
    return (f"{where}: {twice!r:.60} and perhaps others occur twice; the last place is the id",)


#: Longer lines are another file's.
_LONGEST_TOKEN = 1024


def _guarded(path: Path, read: Callable[[], ResultT]) -> ResultT:
    try:
        return read()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"cannot be read: {reason}", where=path) from error
