"""Parse one CSV file of a task into columns of text, strictly, and fast where the file is ordinary.

Two paths give the same columns:

1. An ordinary file (no quote, no lone carriage return, no blank line, every row as wide as the
   header) is cut at its commas and line ends in bulk; NumPy checks the pattern of separators first.
2. Anything else goes row by row through Python's :mod:`csv` in strict mode, which also finds the
   line of whatever is wrong.

Lines are counted from 1, as an editor shows them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from geneb_jax.errors import DataError
from geneb_jax.plain_files import NotTheFileError, git_lfs_pointer, open_plain

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_SEQUENCE_BP",
    "CsvColumns",
    "FileBytes",
    "parse_columns",
    "read_file_bytes",
]

#: Longest sequence that is read, in letters.
MAX_SEQUENCE_BP = 100_000_000
#: Largest file that is read, in bytes after decompression.
MAX_FILE_BYTES = 4 * 2**30

_COMMA, _LINE_FEED = ord(","), ord("\n")
_DELIMITERS = {"\t": "a tab", ";": "a semicolon", "|": "a vertical bar", ":": "a colon"}
_GZIP_MARK = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """The wanted columns of a file.

    Attributes:
        columns: Column name -> one text a row; only wanted columns that the header has.
        lines: Line on which each row starts, or None where row ``i`` is on line ``i + 2``.
        notes: Counted acceptances: what was unusual about the file, and how often.
    """

    columns: dict[str, list[str]]
    lines: list[int] | None
    notes: Counter[str] = field(default_factory=Counter)

    def line(self, row: int) -> int:
        """Line of the file on which a row starts, counted from 1."""
        return row + 2 if self.lines is None else self.lines[row]


class FileBytes(NamedTuple):
    """What was read of a file: its content, and the digest of the very bytes it came from."""

    content: bytes  # decompressed if the name ends in .gz
    sha256: bytes  # of the bytes as they are on disk


def read_file_bytes(path: Path) -> FileBytes:
    """Read a file once: what is parsed is what the digest is of.

    Raises:
        DataError: if it cannot be read, is empty, damaged, too large, or is not what its name says.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except NotTheFileError as error:
        raise DataError(str(error), where=path) from error
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror})", where=path) from error
    if git_lfs_pointer(raw):
        raise DataError(
            "is a Git LFS pointer, not the task file",
            where=path,
            cause="the repository was cloned without git-lfs, or downloaded as an archive",
            hint="`git lfs pull` in the clone brings the file",
        )
    compressed = path.name.endswith(".gz")
    content = _decompressed(raw, path) if compressed else raw
    if max(len(raw), len(content)) > MAX_FILE_BYTES:
        raise DataError(f"the file has more than {MAX_FILE_BYTES} bytes", where=path)
    if not compressed and content[:2] == _GZIP_MARK:
        raise DataError(
            "the file is compressed, but its name does not end in .gz",
            where=path,
            hint=f"rename it to {path.name}.gz",
        )
    return FileBytes(content, hashlib.sha256(raw).digest())


def _decompressed(raw: bytes, path: Path) -> bytes:
    try:
        with gzip.open(io.BytesIO(raw)) as unpacked:
            return unpacked.read(MAX_FILE_BYTES + 1)
    except gzip.BadGzipFile as error:
        if not str(error).startswith("Not a gzipped file"):
            raise _damaged(path, str(error)) from error
        if raw[:2] == _GZIP_MARK:
            raise _damaged(path, "there are other bytes after its end") from error
        raise DataError("the name says gzip, the bytes do not", where=path) from error
    except EOFError as error:
        raise _damaged(path, "it ends too early") from error
    except zlib.error as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"the gzip file is damaged ({reason})",
        where=path,
        cause="the copy or download was probably cut short",
        hint="fetch it again",
    )


def parse_columns(
    content: bytes, path: Path, *, required: Sequence[str], optional: Sequence[str] = ()
) -> CsvColumns:
    """Parse a CSV file with a header line.

    Args:
        content: The file's bytes, decompressed: UTF-8, with or without a byte-order mark.
        path: The file's name, for messages.
        required: Columns that must be there. All others may be there and are ignored.
        optional: Columns to return as well if they are there.

    Raises:
        DataError: naming file and line.
    """
    notes: Counter[str] = Counter()
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        notes["byte_order_mark"] = 1
    _require_text(content, path)
    if b"\r" in content:
        notes["crlf_line_ends"] = content.count(b"\r\n")
        content = content.replace(b"\r\n", b"\n")
        notes["cr_line_ends"] = content.count(b"\r")
    parsed = None
    if b'"' not in content and b"\r" not in content:
        parsed = _cut_in_bulk(content, path, required, optional, notes)
    if parsed is None:
        parsed = _read_row_by_row(content, path, required, optional, notes)
    if not next(iter(parsed.columns.values())):
        raise DataError("the file has a header and no rows", where=path)
    return parsed


def _require_text(content: bytes, path: Path) -> None:
    if not content.strip():
        raise DataError("the file is empty", where=path)
    if content[:2] in _UTF16_MARKS:
        raise DataError(
            "the file is UTF-16 text", where=f"{path}:1", hint="save it as UTF-8 (plain CSV)"
        )
    nul = content.find(b"\0")
    if nul >= 0:
        raise DataError(
            "the line holds a NUL byte", where=f"{path}:{_line_at(content, nul)}",
            cause="the file is binary, UTF-16, or damaged",
        )  # fmt: skip


def _line_at(content: bytes, offset: int) -> int:
    """Line of a byte; a lone carriage return ends a line, as it does for :mod:`csv`."""
    pairs = content.count(b"\r\n", 0, offset)
    return content.count(b"\n", 0, offset) + content.count(b"\r", 0, offset) - pairs + 1


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the byte 0x{content[error.start]:02x} is not UTF-8 text",
            where=f"{path}:{_line_at(content, error.start)}",
            cause="the file has another encoding, perhaps Latin-1",
            hint="save it as UTF-8",
        ) from error


def _positions(
    header: list[str], path: Path, line: int, required: Sequence[str], optional: Sequence[str]
) -> dict[str, int]:
    """Position of each wanted column in the header."""
    where = f"{path}:{line}"
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise DataError(f"the column {repeated[0]!r} appears twice in the header", where=where)
    missing = [name for name in required if name not in header]
    if missing:
        raise DataError(
            f"the header has no column {' and no column '.join(repr(name) for name in missing)}",
            where=where,
            cause=_header_cause(header, required),
            hint=f"the first line must be {','.join(required)}; `geneb-jax suite import` reads "
            "tables of other columns, and FASTA",
        )
    return {name: header.index(name) for name in (*required, *optional) if name in header}


def _header_cause(header: list[str], required: Sequence[str]) -> str:
    if header[0].startswith(">"):
        return "the file looks like FASTA, not like CSV"
    if len(header) == 1:
        for delimiter, name in _DELIMITERS.items():
            if delimiter in header[0]:
                return f"the columns look separated by {name}; use commas"
    folded = [name.strip().casefold() for name in header]
    if any(name in folded and name not in header for name in required):
        return "column names are lower case and without spaces"
    shown = ", ".join(repr(name[:40]) for name in header[:8])
    return f"the header has {shown}" + (", ..." if len(header) > 8 else "")


def _cut_in_bulk(
    content: bytes,
    path: Path,
    required: Sequence[str],
    optional: Sequence[str],
    notes: Counter[str],
) -> CsvColumns | None:
    """Columns of an ordinary file, or None where the pattern of separators is not ordinary."""
    text = _decode(content, path)
    head = text.partition("\n")[0]
    if not head.strip():
        return None
    header = head.split(",")
    width = len(header)
    positions = _positions(header, path, 1, required, optional)
    letters = np.frombuffer(content, dtype=np.uint8)
    separators = np.flatnonzero((letters == _COMMA) | (letters == _LINE_FEED))
    line_ends = letters[separators] == _LINE_FEED
    if not text.endswith("\n"):
        separators = np.append(separators, len(content))
        line_ends = np.append(line_ends, True)
    if len(separators) % width:
        return None
    line_ends = line_ends.reshape(-1, width)
    if line_ends[:, :-1].any() or not line_ends[:, -1].all():
        return None
    if int(np.diff(separators, prepend=-1).max()) > MAX_SEQUENCE_BP:
        return None
    fields = text.removesuffix("\n").replace("\n", ",").split(",")
    if width > len(positions):
        notes["extra_columns"] = width - len(positions)
    columns = {name: fields[width + at :: width] for name, at in positions.items()}
    return CsvColumns(columns, None, notes)


def _read_row_by_row(
    content: bytes,
    path: Path,
    required: Sequence[str],
    optional: Sequence[str],
    notes: Counter[str],
) -> CsvColumns:
    # The limit is a setting of the whole process; it is only ever raised, so that threads agree.
    if csv.field_size_limit() <= MAX_SEQUENCE_BP:
        csv.field_size_limit(MAX_SEQUENCE_BP + 1)
    reader = csv.reader(io.StringIO(_decode(content, path), newline=""), strict=True)
    positions: dict[str, int] = {}
    columns: dict[str, list[str]] = {}
    lines: list[int] = []
    wanted: list[tuple[int, list[str]]] = []
    width, header_line = 0, 0
    line = 1
    try:
        for row in reader:
            if reader.line_num > line:
                raise _unclosed(path, line, f"the row runs on to line {reader.line_num}")
            if not row:
                notes["blank_lines"] += 1
            elif not positions:
                positions = _positions(row, path, line, required, optional)
                columns = {name: [] for name in positions}
                wanted = [(at, columns[name]) for name, at in positions.items()]
                width, header_line = len(row), line
            elif len(row) != width:
                raise _wrong_width(row, width, path, line)
            else:
                for at, column in wanted:
                    column.append(row[at])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise _csv_error(error, path, line) from error
    if not positions:
        raise DataError("the file is empty", where=path)
    for column in columns.values():
        longest = max(map(len, column), default=0)
        if longest > MAX_SEQUENCE_BP:
            row_number = next(i for i, text in enumerate(column) if len(text) > MAX_SEQUENCE_BP)
            raise _too_long(path, lines[row_number])
    if width > len(positions):
        notes["extra_columns"] = width - len(positions)
    ordinary = lines == list(range(2, len(lines) + 2)) and header_line == 1
    return CsvColumns(columns, None if ordinary else lines, notes)


def _csv_error(error: csv.Error, path: Path, line: int) -> DataError:
    reason = str(error)
    if "field larger than field limit" in reason:
        return _too_long(path, line)
    if "unexpected end of data" in reason:
        return _unclosed(path, line, "the file ends inside the quoted text")
    return DataError(
        f"the row is not valid CSV ({reason})",
        where=f"{path}:{line}",
        cause="a quote inside a field must be doubled",
    )


def _unclosed(path: Path, line: int, cause: str) -> DataError:
    return DataError(
        "a quote is opened and not closed in its line", where=f"{path}:{line}", cause=cause
    )


def _too_long(path: Path, line: int) -> DataError:
    return DataError(
        f"a field has more than {MAX_SEQUENCE_BP:,} letters, the longest that is read",
        where=f"{path}:{line}",
        cause="a quote that is never closed, or a whole chromosome in one row",
    )


def _wrong_width(row: list[str], width: int, path: Path, line: int) -> DataError:
    cause = None
    if len(row) == 1:
        for delimiter, name in _DELIMITERS.items():
            if row[0].count(delimiter) == width - 1 > 0:
                cause = f"its fields look separated by {name}; use commas"
    return DataError(
        f"the row has {len(row)} field{'s' if len(row) != 1 else ''}, the header has {width}",
        where=f"{path}:{line}",
        cause=cause or ("the row is cut short" if len(row) < width else "a comma too many"),
    )
