"""The files below a source that somebody else laid out: listed within bounds, recorded when read.

Links are followed, as everywhere in a user's own folder; what is no plain file is refused when it
is read (:mod:`geneb_jax.plain_files`).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.data.csv_columns import MAX_FILE_BYTES, read_file_bytes
from geneb_jax.data.links import refuse_stray_link, snapshot_of
from geneb_jax.errors import DataError
from geneb_jax.plain_files import NotTheFileError, is_folder, open_plain

__all__ = [
    "CONVERTED",
    "IMPORT_FILE",
    "IMPORT_KIND",
    "FileRead",
    "SourceFiles",
    "inner_ending",
    "inner_stem",
]

#: Folder of the copies that ``suite init`` makes of files in other forms.
CONVERTED = "suite-tasks"
#: Where an imported suite came from: sources, digests, counts.
IMPORT_FILE, IMPORT_KIND = "import.json", "import 1"

#: A folder of text files has one file a sequence: the largest that is published has 175,000.
MOST_FILES = 2_000_000
DEEPEST = 8
#: A text file holds one sequence.
MOST_TEXT_BYTES = 128 * 2**20
#: Hidden folders that hold no tasks of anybody.
_OF_TOOLS = (".git", ".cache", ".ipynb_checkpoints")


@dataclass(frozen=True, slots=True)
class FileRead:
    """What was read: one file, or all text files of one folder.

    Attributes:
        path: Below the source, with forward slashes.
        bytes: Size on disk, of all files together.
        sha256: Hexadecimal; of a folder: over the lines ``name sha256`` of its files, in order.
        files: How many files.
    """

    path: str
    bytes: int
    sha256: str
    files: int = 1


class SourceFiles:
    """A source: one file, or a folder and what lies below it.

    ``paths`` are its files. Two kinds of folders are not entered: ``hidden`` ones, which are not
    empty and whose names start with a dot, and ``copies``, which an import made of files that are
    most likely here as well.

    Args:
        source: The file or folder.

    Raises:
        DataError: if there is nothing, or more than can be listed.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._reads: dict[str, FileRead] = {}
        if is_folder(source):
            self.root = source
            listed, dotted, copies = _listed(source)
            self.paths = tuple(sorted(path for path in listed if not _is_import_record(path)))
            self.hidden, self.copies = tuple(sorted(dotted)), tuple(sorted(copies))
        elif os.path.lexists(source):
            self.root = source.parent
            self.paths, self.hidden, self.copies = (source,), (), ()
        else:
            raise DataError(
                "there is no such file or folder",
                where=source,
                hint="give the folder, or the one file, that holds the tasks",
            )
        self._snapshot = snapshot_of(self.root)

    @property
    def name(self) -> str:
        """The source's own name, without the endings of a file."""
        name = self.source.resolve().name
        return name if is_folder(self.source) else inner_stem(Path(name))

    @property
    def reads(self) -> tuple[FileRead, ...]:
        """What was read so far, in order."""
        return tuple(self._reads.values())

    def relative(self, path: Path) -> str:
        """A path as records name it: below the source, with forward slashes."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def read(self, path: Path) -> bytes:
        """The bytes of a file, unpacked if its name ends in ``.gz``, and a record of them.

        Raises:
            DataError: if it is no plain file, too large, damaged, or cannot be read.
        """
        refuse_stray_link(self._snapshot, path)
        content, digest = read_file_bytes(path)
        self._record(FileRead(self.relative(path), _size(path), digest.hex()))
        return content

    def head(self, path: Path, most_bytes: int = 65_536) -> bytes:
        """The first bytes of a file, unpacked; empty where it cannot be read. Not recorded."""
        return _head(path, most_bytes)

    def read_text_files(self, folder: Path, paths: Iterable[Path]) -> list[str]:
        """Text files of one folder, white space taken out, recorded as one.

        Raises:
            DataError: naming the file.
        """
        texts, total, size = [], hashlib.sha256(), 0
        count = 0
        for path in paths:
            refuse_stray_link(self._snapshot, path)
            content = _read_small(path)
            size += len(content)
            count += 1
            if size > MAX_FILE_BYTES:
                raise DataError(
                    f"the text files have more than {MAX_FILE_BYTES} bytes", where=folder
                )
            total.update(f"{path.name} {hashlib.sha256(content).hexdigest()}\n".encode())
            try:
                text = "".join(content.decode("ascii").split())
            except UnicodeDecodeError as error:
                raise DataError(
                    f"the byte 0x{content[error.start]:02x} is no letter of a sequence",
                    where=path,
                    cause="the file is binary, or no sequence",
                ) from error
            if not text:
                raise DataError(
                    "the sequence is empty", where=path, hint="fill it in or take the file out"
                )
            texts.append(text)
        self._record(FileRead(self.relative(folder), size, total.hexdigest(), count))
        return texts

    def record_file(self, path: Path) -> None:
        """Record a file that another library reads, by hashing it here.

        Raises:
            DataError: if it is no plain file or cannot be read.
        """
        refuse_stray_link(self._snapshot, path)
        try:
            with os.fdopen(open_plain(path), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (NotTheFileError, OSError) as error:
            raise DataError(f"cannot read the file ({_reason(error)})", where=path) from error
        self._record(FileRead(self.relative(path), _size(path), digest))

    def as_dicts(self) -> list[Mapping[str, str | int]]:
        """The record of what was read, as plain data."""
        return [
            {"path": one.path, "bytes": one.bytes, "sha256": one.sha256, "files": one.files}
            for one in self.reads
        ]

    def _record(self, read: FileRead) -> None:
        self._reads.setdefault(read.path, read)


def _head(path: Path, most_bytes: int) -> bytes:
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            if path.name.endswith(".gz"):
                with gzip.open(file) as unpacked:
                    return unpacked.read(most_bytes)
            return file.read(most_bytes)
    except (OSError, ValueError, EOFError, zlib.error):
        return b""


def _is_import_record(path: Path) -> bool:
    """Whether a file is what an import left beside its tables, and no table itself."""
    return path.name == IMPORT_FILE and b'"kind": "import ' in _head(path, 200)


def _listed(root: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Files below a folder, then hidden folders and copies, which are left out.

    None is entered twice.
    """
    found: list[Path] = []
    dotted: list[Path] = []
    copies: list[Path] = []
    entered: set[str] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise DataError(f"cannot list the folder ({error.strerror})", where=folder) from error
        for entry in entries:
            if entry.name.startswith((".", "__")):
                if entry.name.startswith(".") and entry.name not in _OF_TOOLS and _filled(entry):
                    dotted.append(entry)
                continue
            if is_folder(entry):
                if _is_import_record(entry / IMPORT_FILE):
                    copies.append(entry)
                elif depth < DEEPEST:
                    waiting.append((entry, depth + 1))
            else:
                found.append(entry)
        if len(found) > MOST_FILES:
            raise DataError(
                f"the folder holds more than {MOST_FILES:,} files",
                where=root,
                hint="give the folder of the tasks alone",
            )
    return found, dotted, copies


def _filled(folder: Path) -> bool:
    try:
        return is_folder(folder) and any(folder.iterdir())
    except OSError:
        return True


def _read_small(path: Path) -> bytes:
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            content = file.read(MOST_TEXT_BYTES + 1)
    except (NotTheFileError, OSError) as error:
        raise DataError(f"cannot read the file ({_reason(error)})", where=path) from error
    if len(content) > MOST_TEXT_BYTES:
        raise DataError(f"the file has more than {MOST_TEXT_BYTES} bytes", where=path)
    return content


def _size(path: Path) -> int:
    """Bytes on disk of a file that was just read; 0 where it has gone since."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def inner_ending(path: Path) -> str:
    """The ending that says what a file holds, in lower case: ``.csv`` of ``a.CSV.gz``."""
    name = path.name.lower().removesuffix(".gz")
    dot = name.rfind(".")
    return name[dot:] if dot > 0 else ""


def inner_stem(path: Path) -> str:
    """A file's name without that ending and ``.gz``."""
    name = path.name
    if name.lower().endswith(".gz"):
        name = name[:-3]
    ending = inner_ending(path)
    return name[: len(name) - len(ending)] if ending else name
