"""Read files that may come from anywhere: plain files only, bounded in size, no pointers for files.

Opening a named pipe waits for a writer that may never come, and a device never ends, so what a name
means is asked before it is opened and once more after.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

__all__ = [
    "NotTheFileError",
    "git_lfs_pointer",
    "is_folder",
    "is_plain_file",
    "open_plain",
    "read_plain",
    "read_plain_text",
    "refuse_git_lfs_pointer",
]

_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v\d+\r?\n"
)
#: A pointer has about 130 bytes; Git LFS itself never writes or reads one above 1024.
_LARGEST_POINTER_BYTES = 1024
#: Bytes asked for at once beyond what a file says it has.
_AT_ONCE = 1 << 16
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotTheFileError(ValueError):
    """What lies at a path is not the file that is looked for; the text says what it is."""


def is_plain_file(path: Path) -> bool:
    """Whether there is a plain file at the path, or a link to one; False where it cannot be asked.

    A path that no file can have (a null character, a name too long) is no file either.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder at the path, or a link to one; False where it cannot be asked."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def open_plain(path: Path) -> int:
    """Open a plain file for reading; the descriptor is the caller's to close.

    Raises:
        NotTheFileError: if it is a folder, a named pipe, a socket or a device.
        FileNotFoundError: if there is nothing, or a link that leads nowhere.
        OSError: if it cannot be opened.
    """
    try:
        _require_plain(path.stat().st_mode)
    except FileNotFoundError as error:
        if path.is_symlink():
            target = path.readlink()
            raise FileNotFoundError(
                errno.ENOENT, f"a link to {target}, where there is nothing", str(path)
            ) from error
        raise
    # Without O_NONBLOCK a pipe that has just taken the file's name would be waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _require_plain(os.fstat(descriptor).st_mode)
    except NotTheFileError:
        os.close(descriptor)
        raise
    return descriptor


def read_plain(path: Path, *, largest_bytes: int) -> bytes:
    """Read a plain file whole.

    Raises:
        NotTheFileError: if it is something else, or a Git LFS pointer that stands for the file.
        ValueError: if it is larger than ``largest_bytes``.
        OSError: if it is not there or cannot be read.
    """
    descriptor = open_plain(path)
    try:
        content = _read_at_most(descriptor, largest_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest_bytes:
        raise ValueError(f"the file is larger than {largest_bytes} bytes")
    if git_lfs_pointer(content):
        raise NotTheFileError(_POINTER_FOUND)
    return content


def _read_at_most(descriptor: int, most: int) -> bytes:
    """The file's bytes from where it stands, no more than ``most`` of them.

    As much is asked for as the file says it has: a buffer for the largest file allowed would be
    made, and given back, for the smallest one too.
    """
    parts: list[bytes] = []
    left, expected = most, os.fstat(descriptor).st_size
    while left > 0:
        part = os.read(descriptor, min(left, max(expected, _AT_ONCE) + 1))
        if not part:
            break
        parts.append(part)
        left, expected = left - len(part), 0
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_plain_text(path: Path, *, largest_bytes: int) -> str:
    """Read a plain file of UTF-8 text whole, letter for letter (no line end is changed).

    Raises:
        NotTheFileError: as :func:`read_plain`.
        ValueError: if it is too large or not UTF-8; the text gives the byte.
        OSError: if it is not there or cannot be read.
    """
    content = read_plain(path, largest_bytes=largest_bytes)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error


_POINTER_FOUND = (
    "is a Git LFS pointer, not the file itself: the repository was cloned without git-lfs, or "
    "downloaded as an archive; `git lfs pull` in the clone brings the file"
)


def git_lfs_pointer(head: bytes) -> bool:
    """Whether these bytes, a whole file or its first 1025 and more, are a Git LFS pointer.

    Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
    """
    return len(head) <= _LARGEST_POINTER_BYTES and _POINTER.match(head) is not None


def refuse_git_lfs_pointer(path: Path) -> None:
    """Refuse a pointer before another library reads the file at this path.

    Raises:
        NotTheFileError: if it is one, or no plain file.
        OSError: if it is not there or cannot be read.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        head = file.read(_LARGEST_POINTER_BYTES + 1)
    if git_lfs_pointer(head):
        raise NotTheFileError(_POINTER_FOUND)


def _require_plain(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    raise NotTheFileError(f"is {kind}, not a plain file")
