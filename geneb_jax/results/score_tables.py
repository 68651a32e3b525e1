"""scores.csv: written exactly, read strictly.

Floats are written with the fewest digits that give the same float64 back, so a table read and
written again is the same bytes. A text that a spreadsheet would take for a formula is written with
a leading apostrophe, which reading takes off again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from geneb_jax.errors import DataError
from geneb_jax.plain_files import read_plain
from geneb_jax.results.kept_lines import write_lines
from geneb_jax.results.score_columns import FLOATS, INTEGERS, TEXTS, ScoreTable
from geneb_jax.results.score_rows import (
    DECISION_RANGES,
    EARLIER_RECORD_COLUMNS,
    RECORD_COLUMNS,
    SCORE_COLUMNS,
    SCORE_RANGES,
    TASK_COUNTS,
    UNCOUNTED_RECORD_COLUMNS,
    FitName,
    ScoreRow,
)

__all__ = [
    "SCORES_FILE",
    "csv_cell",
    "csv_text",
    "exact_floats",
    "read_scores",
    "write_scores_csv",
]

SCORES_FILE = "scores.csv"
#: Above any table of all models, tasks and strengths.
_LARGEST_BYTES = 2**30

#: Columns whose values are hardly ever alike.
_MANY_VALUED = frozenset({*SCORE_RANGES, *DECISION_RANGES})
_FIT = ("model_id", "task_id", "regime", "seed", "C", "probe", "solver")
#: Rows whose text is made at once.
_BLOCK = 8192
#: This release's header, and those of earlier ones: without counts of the task's rows, scores of
#: decision values or ``data``.
_HEADERS = (
    SCORE_COLUMNS,
    RECORD_COLUMNS,
    tuple(name for name in SCORE_COLUMNS if name not in TASK_COUNTS),
    UNCOUNTED_RECORD_COLUMNS,
    (*EARLIER_RECORD_COLUMNS, "data"),
    EARLIER_RECORD_COLUMNS,
)
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "'")

Cell = str | int | float | None
_NUMBERS = frozenset({float, int, bool, type(None)})


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table as CSV text: LF line ends, exact floats, texts safe to open in a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    # Numbers and empty cells the writer itself makes the texts of that _cell gives.
    writer.writerows(
        [value if type(value) in _NUMBERS else _cell(value) for value in row] for row in rows
    )
    return buffer.getvalue()


@lru_cache(maxsize=1024)
def _text_cell(text: str) -> str:
    # A lone carriage return would end the row for a reader, and escape codes drive terminals.
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        return float.__repr__(value)
    if value is None:
        return ""
    return _text_cell(value) if isinstance(value, str) else str(value)


def write_scores_csv(out: Path, rows: Iterable[ScoreRow], *, keep: bool = False) -> Path:
    """Write ``out/scores.csv`` atomically, in the order given.

    Args:
        out: The output folder.
        rows: The rows.
        keep: Whether lines of the file that stands there are copied where they are of the very
            same rows (:mod:`geneb_jax.results.kept_lines`).

    Returns:
        The path of the file.

    Raises:
        ValueError: if two rows are about the same fit.
        OutputError: if the file cannot be written.
    """
    path = out / SCORES_FILE
    header = (",".join(SCORE_COLUMNS) + "\n").encode("utf-8")
    write_lines(path, header, ScoreTable.of(rows), _lines, keep=keep)
    return path


def _lines(table: ScoreTable) -> Iterator[bytes]:
    """What :func:`csv_text` gives for the rows, made a column at a time, in blocks.

    Raises:
        ValueError: see :func:`write_scores_csv`.
    """
    group, first = table.group(*_FIT)
    if len(first) < len(table):
        again = np.flatnonzero(first[group] != np.arange(len(table)))
        raise ValueError(f"two rows for {table[int(again[0])].fit}")
    coded = {name: _cells_of(table, name) for name in SCORE_COLUMNS if name not in _MANY_VALUED}
    for start in range(0, len(table), _BLOCK):
        stop = min(start + _BLOCK, len(table))
        parts = []
        for name in SCORE_COLUMNS:
            if name in coded:
                cells, codes = coded[name]
                parts.append([cells[code] for code in codes[start:stop].tolist()])
            else:
                parts.append(exact_floats(table.columns[name][start:stop]))
        yield ("\n".join(map(",".join, zip(*parts, strict=True))) + "\n").encode("utf-8")


def exact_floats(values: np.ndarray) -> list[str]:
    """The fewest digits that give each float64 back; empty for NaN."""
    # A list writes its floats as they write themselves, without a call for each.
    texts = repr(values.tolist())[1:-1].split(", ")
    return ["" if one == "nan" else one for one in texts] if np.isnan(values).any() else texts


def _cells_of(table: ScoreTable, name: str) -> tuple[list[str], np.ndarray]:
    """The distinct cells of a column as CSV has them, and which one each row has."""
    if name in TEXTS:
        codes, names = table.columns[name], table.names[name]
        cells = [""] * len(names)  # the names are those of a larger table
        for code in np.unique(codes).tolist():
            cells[code] = csv_cell(names[code])
        return cells, codes
    codes, first = table.group(name)
    return [_cell(value) for value in table.values(name, first)], codes


@lru_cache(maxsize=1024)
def csv_cell(text: str) -> str:
    """A text as a cell among others."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_cell(text), ""])
    return buffer.getvalue()[:-2]


def read_scores(source: Path) -> list[ScoreRow]:
    """Read a scores.csv, or the one in a folder.

    Raises:
        DataError: with file and row, if the table is absent, not UTF-8, has other columns, a cell
            that is not exactly what its column holds, or two rows about the same fit.
    """
    path = source / SCORES_FILE if source.is_dir() else source
    try:
        text = read_plain(path, largest_bytes=_LARGEST_BYTES).decode("utf-8")
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=path, hint="name a run's output folder"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 (byte {error.start})", where=path) from error
    except ValueError as error:
        raise DataError(str(error), where=path) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = _numbered(reader, path)
    header = tuple(next(lines, (1, []))[1])
    if header not in _HEADERS:
        raise DataError(
            f"the columns are not {','.join(SCORE_COLUMNS)}",
            where=f"{path}:1",
            cause="another table",
        )
    rows: list[ScoreRow] = []
    seen: dict[FitName, int] = {}
    for number, cells in lines:
        try:
            row = _parse(header, cells)
        except ValueError as error:
            raise DataError(str(error), where=f"{path}:{number}") from error
        first = seen.setdefault(row.fit, number)
        if first != number:
            raise DataError(f"the same fit as row {first}", where=f"{path}:{number}")
        rows.append(row)
    return rows


def _numbered(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers, the header being row 1; a blank line is a row without cells."""
    number = 0
    try:
        for cells in reader:
            number += 1
            yield number, cells
    except csv.Error as error:
        raise DataError(f"not a CSV row ({error})", where=f"{path}:{number + 1}") from error


def _parse(header: Sequence[str], cells: list[str]) -> ScoreRow:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells where {len(header)} belong")
    values: dict[str, Cell] = {}
    for column, cell in zip(header, cells, strict=True):
        if column in FLOATS or column in INTEGERS:
            values[column] = _number(column, cell)
        else:
            values[column] = cell.removeprefix("'")
    return ScoreRow(**values)  # type: ignore[arg-type]


def _number(column: str, cell: str) -> float | int | None:
    if not cell:
        return None
    if column in INTEGERS:
        if not _INTEGER.fullmatch(cell):
            raise ValueError(f"{column} {cell!r:.80} is not a whole number")
        return int(cell)
    if not _FLOAT.fullmatch(cell):
        raise ValueError(f"{column} {cell!r:.80} is not a finite number")
    return float(cell)
