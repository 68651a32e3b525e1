"""One file of the user's own sequences, read in a stream: FASTA, CSV, TSV or a text line each."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from geneb_jax.benchmark import near_matches
from geneb_jax.data.csv_columns import MAX_SEQUENCE_BP
from geneb_jax.errors import DataError
from geneb_jax.plain_files import NotTheFileError, open_plain

__all__ = ["COLUMN_ROLES", "NamedSequence", "read_sequences"]

#: What a column may be -> the names that are taken for it, whatever their case; the first is ours.
COLUMN_ROLES: Mapping[str, tuple[str, ...]] = {
    "sequence": ("text", "sequence", "seq", "sequences", "dna"),
    "name": ("name", "id", "seq_id", "seqid", "sequence_id", "identifier", "header"),
    "label": ("label", "labels", "target", "class"),
    "split": ("split", "fold", "partition"),
}
_FASTA = (".fa", ".fasta", ".fna", ".ffn", ".fas")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".txt", ".seq", "")
_READ_HERE = "FASTA (.fa, .fasta, .fna), .csv, .tsv and .txt (a sequence a line) are read, also .gz"
#: The codes of nucleotides and what stands for none: a gap, a stop, an unread letter.
_NUCLEOTIDES = re.compile(r"[ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx.*?-]+")
#: A first line of so many letters may be the name of a column.
_LONGEST_WORD = 30
#: A sequence of the longest kind, and a table's other cells beside it.
_LONGEST_LINE = MAX_SEQUENCE_BP + 2**20


@dataclass(frozen=True, slots=True)
class NamedSequence:
    """One sequence of a file.

    Attributes:
        name: A FASTA header's first word, a cell of the column of names, or ``STEM:ROW``.
        text: The letters.
        label: Its cell of the column of labels, or None.
        split: Its cell of the column of splits, or None.
        description: The rest of a FASTA header, or "".
    """

    name: str
    text: str
    label: str | None = None
    split: str | None = None
    description: str = ""


def read_sequences(
    path: Path, columns: Mapping[str, str], *, hasher: Any = None
) -> Iterator[NamedSequence]:
    """Read one file in a stream.

    Args:
        path: The file, compressed with gzip if its name ends in ``.gz``.
        columns: X
        hasher: A hashlib object that is fed the file's bytes, all of them once the end is reached.

    Raises:
        DataError: with file and row, for what cannot be read, an empty sequence or an empty file.
    """
    try:
        with _opened(path, hasher) as text:
            rest = _Lines(text)
            comments = _ending(path) in _FASTA
            first = next((one for one in rest if _counts(one, comments=comments)), "")
            if first:
                rest.put_back(first)
            else:
                raise DataError("the file holds no sequence", where=path, hint=_READ_HERE)
            count = 0
            for one in _reader(path, first, rest, columns):
                count += 1
                yield one
            if not count:
                raise DataError("the file holds no sequence", where=path, hint=_READ_HERE)
    except UnicodeDecodeError as error:
        raise DataError(
            "is not text in UTF-8", where=path, cause="it is compressed or binary", hint=_READ_HERE
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"is no whole gzip file ({error})", where=path, hint="copy or download it again"
        ) from error
    except NotTheFileError as error:
        raise DataError(str(error), where=path, hint=_READ_HERE) from error
    except FileNotFoundError as error:
        raise DataError("there is no such file", where=path, hint="check its path") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error


def _counts(line: str, *, comments: bool) -> bool:
    """Whether a line is neither blank nor, where there are any, a comment of old FASTA files."""
    return bool(line.strip()) and not (comments and line.startswith(";"))


def _reader(
    path: Path, first: str, lines: _Lines, columns: Mapping[str, str]
) -> Iterator[NamedSequence]:
    ending = _ending(path)
    if first.startswith(">"):
        return _fasta(path, lines)
    if ending in _FASTA:
        raise DataError(
            f"the first line is {first.strip()[:40]!r}",
            where=f"{path}:1",
            cause="a FASTA file begins with a line like '>name'",
            hint=_READ_HERE,
        )
    if ending in _SEPARATORS:
        return _table(path, lines, _SEPARATORS[ending], columns)
    if ending in _LINES:
        return _lines(path, lines)
    raise DataError(f"{ending} files are not read here", where=path, hint=_READ_HERE)


def _ending(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _stem(path: Path) -> str:
    name = path.name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


class _Lines:
    """A text file's lines, counted; one that was looked at can be put back."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._next: str | None = None
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._next = self._next, None
        if line is None:
            line = self._text.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def put_back(self, line: str) -> None:
        """Give this line again."""
        self._next = line
        self.number -= 1


def _fasta(path: Path, lines: _Lines) -> Iterator[NamedSequence]:
    header, at, parts, length = "", 0, list[str](), 0
    for line in lines:
        if line.startswith(">"):
            if at:
                yield _fasta_record(path, at, header, parts)
            header, at, parts, length = line[1:].strip(), lines.number, [], 0
        elif _counts(line, comments=True) and length <= MAX_SEQUENCE_BP:
            parts.append("".join(line.split()))
            length += len(parts[-1])
    yield _fasta_record(path, at, header, parts)


def _fasta_record(path: Path, row: int, header: str, parts: list[str]) -> NamedSequence:
    words = header.split(None, 1)
    if not words:
        raise DataError(
            "a header has no name",
            where=f"{path}:{row}",
            hint="give every sequence a name behind its '>'",
        )
    letters = _letters(path, row, "".join(parts))
    return NamedSequence(words[0], letters, description=words[1] if len(words) > 1 else "")


def _lines(path: Path, lines: _Lines) -> Iterator[NamedSequence]:
    heading, others_are_dna, count = "", True, 0
    for line in lines:
        text = line.strip()
        if not text:
            continue
        count += 1
        if count == 1 and text.lower() in COLUMN_ROLES["sequence"]:
            raise _heads(path, lines.number, text)
        if any(mark in text for mark in ",;\t "):
            raise DataError(
                "the line holds more than a sequence",
                where=f"{path}:{lines.number}",
                cause="a .txt file has one sequence a line and nothing else",
                hint="a table needs the ending .csv or .tsv and a first line of column names",
            )
        others_are_dna &= count == 1 or bool(_NUCLEOTIDES.fullmatch(text))
        if count == 1 and len(text) <= _LONGEST_WORD and not _NUCLEOTIDES.fullmatch(text):
            heading, at = text, lines.number
        yield NamedSequence(f"{_stem(path)}:{lines.number}", _letters(path, lines.number, text))
    if heading and others_are_dna and count > 1:
        raise _heads(path, at, heading)


def _heads(path: Path, row: int, text: str) -> DataError:
    return DataError(
        f"the first line {text!r} is no sequence",
        where=f"{path}:{row}",
        cause="it reads like the name of a column, and a .txt file has none",
        hint="take the line out, or name the file .csv",
    )


def _table(
    path: Path, lines: _Lines, separator: str, columns: Mapping[str, str]
) -> Iterator[NamedSequence]:
    if csv.field_size_limit() <= MAX_SEQUENCE_BP:
        csv.field_size_limit(MAX_SEQUENCE_BP + 1)
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        place = _places(path, header, columns)
        for row, cells in enumerate(reader, 1):
            if not cells:
                continue
            where = f"{path}:{lines.number}"
            if len(cells) != len(header):
                raise DataError(
                    f"the row has {len(cells)} cells, the header {len(header)} columns",
                    where=where,
                    hint="the separator is a comma in .csv and a tab in .tsv files",
                )
            value = {role: cells[at].strip() for role, at in place.items()}
            yield NamedSequence(
                value.get("name") or f"{_stem(path)}:{row}",
                _letters(path, lines.number, value["sequence"]),
                value.get("label"),
                value.get("split"),
            )
    except csv.Error as error:
        raise DataError(f"not a row ({error})", where=f"{path}:{lines.number}") from error


def _places(path: Path, header: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Role -> position of its column."""
    place: dict[str, int] = {}
    lower = [name.lower() for name in header]
    for role, usual in COLUMN_ROLES.items():
        asked = columns.get(role)
        if asked is not None and asked not in header:
            near = near_matches(asked, header)
            raise DataError(
                f"there is no column {asked!r}; the columns are {', '.join(header[:8])}",
                where=f"{path}:1",
                hint=f"did you mean --columns {role}={near[0]}?" if near else "check --columns",
            )
        if asked is not None:
            place[role] = header.index(asked)
            continue
        taken = [at for at, name in enumerate(lower) if name in usual]
        if len(taken) > 1 and role == "sequence":
            raise DataError(
                f"several columns may be the sequences: {', '.join(header[at] for at in taken)}",
                where=f"{path}:1",
                hint=f"name one: --columns sequence={header[taken[0]]}",
            )
        if taken:
            place[role] = taken[0]
    if "sequence" not in place:
        raise DataError(
            f"no column of sequences is known among {', '.join(header[:8])[:80]}",
            where=f"{path}:1",
            cause="the first line must name the columns",
            hint="name it: --columns sequence=COLUMN (also name=, label=, split=)",
        )
    return place


def _letters(path: Path, row: int, text: str) -> str:
    if not text:
        raise DataError(
            "the sequence is empty", where=f"{path}:{row}", hint="fill it in or take the row out"
        )
    if len(text) > MAX_SEQUENCE_BP:
        raise DataError(
            f"the sequence has more than {MAX_SEQUENCE_BP:,} letters",
            where=f"{path}:{row}",
            hint="cut it into pieces",
        )
    return text


class _Hashed(io.RawIOBase):
    """A binary file that feeds a hash with what is read from it."""

    def __init__(self, file: BinaryIO, hasher: Any) -> None:
        self._file, self._hasher = file, hasher

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._hasher.update(memoryview(buffer)[:count])
        return int(count)


@contextmanager
def _opened(path: Path, hasher: Any) -> Iterator[io.TextIOWrapper]:
    with os.fdopen(open_plain(path), "rb", buffering=0) as file:
        raw = _Hashed(file, hasher or hashlib.sha256())
        binary: Any = io.BufferedReader(raw, 1 << 20)
        unpacked = gzip.GzipFile(fileobj=binary) if path.name.lower().endswith(".gz") else binary
        text = io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="")
        yield text
        while binary.read(1 << 20):  # what lies behind the end of the data is hashed too
            pass
