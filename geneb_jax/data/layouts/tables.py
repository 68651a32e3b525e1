"""Tables of any of the field's forms, read into columns of text: CSV, TSV, JSON lines, parquet.

CSV and TSV go through Python's :mod:`csv`, JSON through :mod:`geneb_jax.strict_json`, parquet
through pyarrow (the extra ``formats``).
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.data.csv_columns import MAX_SEQUENCE_BP
from geneb_jax.data.layouts.parquet_tables import parquet_columns, read_parquet
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending
from geneb_jax.errors import DataError
from geneb_jax.strict_json import parse_json

__all__ = ["TABLE_ENDINGS", "Table", "read_table", "table_columns"]

_TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".bed")
_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
#: Endings of files that are read as tables.
TABLE_ENDINGS = (*_TEXT_ENDINGS, *_JSON_ENDINGS, ".parquet")
_DELIMITERS = ("\t", ",", ";", "|")
_MOST_COLUMNS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of text.

    Attributes:
        path: The file.
        columns: Name -> one text a row; what was a list or a number is its JSON text, what was
            absent is empty.
        lines: Line (or row, for parquet) of each row, counted from 1.
        class_names: Column -> names of its integers 0, 1, 2, ..., where the file has them.
        lists: Columns in which some entry is a list.
    """

    path: Path
    columns: Mapping[str, list[str]]
    lines: Sequence[int]
    class_names: Mapping[str, tuple[str, ...]]
    lists: frozenset[str] = frozenset()

    def where(self, row: int) -> str:
        """The place of a row."""
        return f"{self.path}:{self.lines[row]}"


def table_columns(files: SourceFiles, path: Path) -> tuple[str, ...]:
    """Names of a table's columns, from its first line alone; empty where it is no table."""
    ending = inner_ending(path)
    if ending == ".parquet":
        return parquet_columns(path)
    head = files.head(path).removeprefix(b"\xef\xbb\xbf")
    line = head.partition(b"\n")[0].partition(b"\r")[0].decode("utf-8", "replace")
    if ending in _JSON_ENDINGS:
        try:
            first = parse_json(line.strip().rstrip(",").encode("utf-8"), deepest=4)
        except ValueError:
            # A line of a long sequence is cut by the head: its names still stand in order.
            return _json_names(head)
        return tuple(first) if isinstance(first, dict) else _json_names(head)
    if ending not in _TEXT_ENDINGS or not line.strip() or line.startswith(">"):
        return ()
    try:
        row = next(csv.reader([line], delimiter=_delimiter(line, path)))
    except (csv.Error, StopIteration):
        return ()
    return tuple(name.strip() for name in row)


def _json_names(head: bytes) -> tuple[str, ...]:
    """Names of the first object in a text that may be cut anywhere."""
    text = head.decode("utf-8", "replace").lstrip().removeprefix("[").lstrip()
    if not text.startswith("{"):
        return ()
    names: list[str] = []
    decoder = json.JSONDecoder()
    at = 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            name, at = decoder.raw_decode(text, at)
            at = text.index(":", at) + 1
            while text[at] in " \t\r\n":
                at += 1
            names.append(str(name))
            _, at = decoder.raw_decode(text, at)
        except (ValueError, IndexError, RecursionError):
            return tuple(names)


def read_table(files: SourceFiles, path: Path) -> Table:
    """Read a table whole.

    Raises:
        DataError: naming file and line; for parquet without pyarrow: which extra brings it.
    """
    ending = inner_ending(path)
    if ending == ".parquet":
        files.record_file(path)
        columns, class_names, lists = read_parquet(path)
        rows = len(next(iter(columns.values()), ()))
        return Table(path, columns, range(1, rows + 1), class_names, lists)
    text = _text(files.read(path), path)
    return _json_table(text, path) if ending in _JSON_ENDINGS else _text_table(text, path)


def _text(content: bytes, path: Path) -> str:
    try:
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"the byte 0x{content[error.start]:02x} is not UTF-8 text",
            where=f"{path}:{line}",
            cause="the file is binary, damaged, or has another encoding",
            hint="save it as UTF-8",
        ) from error


def _delimiter(header: str, path: Path) -> str:
    if inner_ending(path) in (".tsv", ".tab", ".bed"):
        return "\t"
    counts = {mark: header.count(mark) for mark in _DELIMITERS}
    if inner_ending(path) == ".csv" and counts[","]:
        return ","
    return max(_DELIMITERS, key=lambda mark: counts[mark]) if any(counts.values()) else ","


def _text_table(text: str, path: Path) -> Table:
    if csv.field_size_limit() <= MAX_SEQUENCE_BP:
        csv.field_size_limit(MAX_SEQUENCE_BP + 1)
    header: list[str] | None = None
    columns: list[list[str]] = []
    lines: list[int] = []
    first = text.partition("\n")[0]
    if first.startswith(">"):
        raise DataError(
            "the file looks like FASTA, not like a table",
            where=f"{path}:1",
            hint="name it .fa, and give the labels in its header lines (>name|label) or in a table",
        )
    mark = _delimiter(first, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    line = 1
    try:
        for row in reader:
            if not row:
                pass
            elif header is None:
                header = _checked_header([name.strip() for name in row], f"{path}:{line}")
                columns = [[] for _ in header]
            elif len(row) != len(header):
                raise DataError(
                    f"the row has {len(row)} fields, the header has {len(header)}",
                    where=f"{path}:{line}",
                    cause="the row is cut short, or a separator too many",
                )
            else:
                if reader.line_num > line:
                    _require_no_rows_within(row, mark, f"{path}:{line}", reader.line_num)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"the row is no table row ({error})",
            where=f"{path}:{line}",
            cause="a field begins with a quote that belongs to its text, or a quote within quotes "
            "is not doubled"
            if "expected after" in str(error) or "end of data" in str(error)
            else None,
            hint="write such a field in quotes, each quote within it twice",
        ) from error
    if header is None:
        raise DataError("the file is empty", where=path)
    return Table(path, dict(zip(header, columns, strict=True)), lines, {})


def _require_no_rows_within(row: Sequence[str], mark: str, where: str, last: int) -> None:
    """Refuse a quoted text of several lines that are rows themselves.

    A note may run over lines. A quote that is never meant to close swallows rows up to the next
    one, and nothing else would say so.
    """
    for value in row:
        within = value.splitlines()[1:]
        if any(line.count(mark) >= len(row) - 1 > 0 for line in within[:-1] or within):
            raise DataError(
                f"a quoted text runs on to line {last} and holds lines that are rows",
                where=where,
                cause="a quote is opened and not closed",
                hint="write the quote twice within a quoted field, or take it out",
            )


def _checked_header(header: list[str], where: str) -> list[str]:
    if len(header) > _MOST_COLUMNS:
        raise DataError(f"the header has {len(header):,} columns", where=where)
    repeated = [name for name, count in Counter(header).items() if count > 1 and name]
    if repeated:
        raise DataError(f"the column {repeated[0]!r} appears twice in the header", where=where)
    # Unnamed columns (an index that pandas wrote) keep their places.
    return [name or f"column {place}" for place, name in enumerate(header, 1)]


def _json_table(text: str, path: Path) -> Table:
    """JSON lines, or one JSON list of objects."""
    objects = _json_objects(text, path)
    names: dict[str, None] = {}
    for number, one in objects:
        if not isinstance(one, dict):
            raise DataError("the line is no JSON object", where=f"{path}:{number}")
        names.update(dict.fromkeys(one))
        if len(names) > _MOST_COLUMNS:
            raise DataError(f"more than {_MOST_COLUMNS:,} names", where=f"{path}:{number}")
    lists = frozenset(
        name for name in names if any(isinstance(one.get(name), list) for _, one in objects)
    )
    columns = {name: [_as_text(one.get(name)) for _, one in objects] for name in names}
    return Table(path, columns, [number for number, _ in objects], {}, lists)


def _json_objects(text: str, path: Path) -> list[tuple[int, Any]]:
    """What a file holds, with the line (in a list: the place) of each."""
    if text.lstrip().startswith("["):
        objects = list(enumerate(_json(text, str(path), 6), 1))
    else:
        objects = [
            (number, _json(line, f"{path}:{number}", 6))
            for number, line in enumerate(text.split("\n"), 1)
            if line.strip()
        ]
    if not objects:
        raise DataError("the file is empty", where=path)
    return objects


def _json(text: str, where: str, deepest: int) -> Any:
    try:
        return parse_json(text.encode("utf-8"), deepest=deepest)
    except ValueError as error:
        raise DataError(
            f"the line is not JSON ({error})",
            where=where,
            hint="one object a line, as in JSON lines",
        ) from error


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
