"""Write files so that a reader sees the old bytes or the new ones, never a part of either.

The protocol, in this order:

1. write the bytes to a temporary name in the same folder;
2. flush the file to the disk (``fsync``);
3. rename it over the final name, which POSIX makes atomic within one file system;
4. flush the folder, so that the rename itself survives a power cut.

A crash before step 3 leaves the old file and a ``.tmp`` remnant that nobody reads; a crash after it
leaves the new file.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geneb_jax.errors import OutputError

__all__ = [
    "flush_folder",
    "require_writable_folder",
    "taking_the_place_of",
    "write_bytes",
    "write_parts",
    "write_text",
]


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that renames in it are durable."""
    if os.name == "nt":  # Windows has no handle to a folder that can be flushed.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to ``path`` atomically and durably.

    Raises:
        OutputError: if the folder cannot be written or the disk is full; the old file is intact.
    """
    write_parts(path, [content], size=len(content))


def write_parts(path: Path, parts: Iterable[bytes | memoryview], *, size: int = 0) -> None:
    """Write parts one after the other, each made when those before it are written.

    What making a part raises passes through; the old file is intact.

    Args:
        path: The file.
        parts: What it holds.
        size: Bytes of all of them where that is known, for the message.

    Raises:
        OutputError: as :func:`write_bytes`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name[:64]}.", suffix=".tmp", dir=path.parent
        )
    except OSError as error:
        raise OutputError(
            f"cannot create a file ({error.strerror})",
            where=path,
            hint="choose another --out folder",
        ) from error
    temporary, written = Path(name), 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
                written += len(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"cannot write {size or f'more than {written}'} bytes ({error.strerror})",
            where=path,
            cause="the disk, or your share of it, is full" if full else None,
            hint=("free some space" if full else "mend that")
            + " and run the same command again; what was finished is kept",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8, atomically and durably; see :func:`write_bytes`."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def taking_the_place_of(path: Path, *, option: str) -> Iterator[Path]:
    """A temporary file beside ``path``, for what is too large to be held as bytes.

    It takes the place of ``path`` when the block ends, and is deleted when the block raises.

    Args:
        path: The final name.
        option: The command-line option that named it, for the message.

    Raises:
        OutputError: if it cannot be written or the disk is full; the old file is intact.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Libraries look at the ending of a name, so it stays the last part.
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.stem[:64]}.", suffix=f".tmp{path.suffix}", dir=path.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"cannot be written ({error.strerror or error})",
            where=path,
            cause="the disk, or your share of it, is full" if full else None,
            hint="free some space and run the same command again"
            if full
            else f"choose another place with {option}",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable_folder(folder: Path, *, option: str) -> None:
    """Create ``folder`` and prove that a file can be written in it, before any work is done.

    Args:
        folder: The folder.
        option: The command-line option that named it, for the message.

    Raises:
        OutputError: if it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".write-test.", dir=folder)
        os.close(descriptor)
        Path(name).unlink()
    except OSError as error:
        raise OutputError(
            f"the folder cannot be written ({error.strerror})",
            where=folder,
            hint=f"choose another folder with {option}",
        ) from error
