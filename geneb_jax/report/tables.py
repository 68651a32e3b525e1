"""Tables of plain cells, and the four formats they are written in."""

from __future__ import annotations

import io
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geneb_jax import durable_files
from geneb_jax.analysis import Interval
from geneb_jax.errors import OutputError
from geneb_jax.report.wording import MOST_DECIMALS, decimals_of, in_metric
from geneb_jax.results import csv_text

__all__ = [
    "FORMATS",
    "Cell",
    "Table",
    "bounds",
    "latex_text",
    "markdown_text",
    "parquet_bytes",
    "write_table",
]

Cell = str | int | float | None


def bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    """Two cells of an interval: low and high."""
    return (None, None) if interval is None else (interval.low, interval.high)


@dataclass(frozen=True, slots=True)
class Table:
    """A named table; None is an empty cell, which in a column of scores means "withheld".

    Attributes:
        name: File name without suffix, of letters, digits and dashes.
        title: One line above it.
        columns: Titles of the columns.
        rows: Cells, as many a row as there are columns.
        note: What a reader must know, in one or two sentences.
        digits: Decimals that the readable formats show; CSV and Parquet keep every digit.
        spans: (value, low, high): columns of a value and of its interval. The readable formats show
            all three with the decimals that the interval leaves meaning to.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    digits: int = MOST_DECIMALS
    spans: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.name}: a row has not {len(self.columns)} cells")

    def without_empty_columns(self) -> Table:
        """The table without columns that have no value in any row."""
        keep = [k for k in range(len(self.columns)) if any(row[k] is not None for row in self.rows)]
        return replace(
            self,
            columns=tuple(self.columns[k] for k in keep),
            rows=tuple(tuple(row[k] for k in keep) for row in self.rows),
        )

    def shown_row(self, row: Sequence[Cell]) -> list[str]:
        """A row as people read it: digits follow the interval where the row has one."""
        decimals = dict.fromkeys(self.columns, self.digits)
        place = {name: k for k, name in enumerate(self.columns)}
        for names in self.spans:
            if all(name in place for name in names):
                low, high = (row[place[name]] for name in names[1:])
                if isinstance(low, float) and isinstance(high, float):
                    for name in names:
                        decimals[name] = min(decimals_of(low, high), MOST_DECIMALS)
        return [
            self.shown(cell, name, digits=decimals[name])
            for cell, name in zip(row, self.columns, strict=True)
        ]

    def for_metric(self, metric: str) -> Table:
        """The table of another metric's scores: title, note and columns call it by its name."""
        if metric == "mcc":
            return self
        return replace(
            self,
            title=in_metric(self.title, metric),
            note=in_metric(self.note, metric),
            columns=tuple(re.sub(r"^mcc(?=$|_)", metric, name) for name in self.columns),
            spans=tuple(
                (re.sub(r"^mcc(?=$|_)", metric, one), two, three) for one, two, three in self.spans
            ),
        )

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers and empty cells only."""
        return all(not isinstance(row[column], str) for row in self.rows)

    @property
    def numbers(self) -> tuple[bool, ...]:
        """:meth:`numeric` of every column; every cell is looked at, so ask once a table."""
        return tuple(self.numeric(column) for column in range(len(self.columns)))

    def shown(self, cell: Cell, column: str = "", *, digits: int | None = None) -> str:
        """A cell as people read it; small p values (columns named p...) in powers of ten.

        Args:
            cell: The cell.
            column: Its column's title.
            digits: Decimals of a float; the table's by default.
        """
        digits = self.digits if digits is None else digits
        if cell is None:
            return ""
        if isinstance(cell, float):
            if not math.isfinite(cell):
                return ""
            small = column.split("_")[0] == "p" and 0 < abs(cell) < 0.1**digits
            return f"{cell:.1e}" if small else f"{cell:.{digits}f}"
        return str(cell)


def _table_csv(table: Table) -> bytes:
    return csv_text(table.columns, table.rows).encode("utf-8")


def parquet_bytes(table: Table) -> bytes:
    """The table as Parquet: text columns as strings, numeric ones as int64 or float64.

    Raises:
        OutputError: where pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise OutputError(
            "Parquet needs pyarrow, which is not installed",
            where=table.name,
            hint="pip install 'geneb-jax[export]', or take another --format",
        ) from error

    columns = {}
    for place, title in enumerate(table.columns):
        values = [row[place] for row in table.rows]
        if not table.numeric(place):
            columns[title] = pyarrow.array(
                [None if v is None else str(v) for v in values], pyarrow.string()
            )
        elif any(isinstance(v, float) for v in values):
            columns[title] = pyarrow.array(
                [None if v is None else float(v) for v in values], pyarrow.float64()
            )
        else:
            columns[title] = pyarrow.array(values, pyarrow.int64())
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def markdown_text(table: Table) -> str:
    """The table in GitHub's Markdown, its title as a heading and its note below."""
    right = [table.numeric(place) for place in range(len(table.columns))]
    lines = [
        _markdown_row(table.columns),
        _markdown_row(["---:" if number else "---" for number in right], escape=False),
        *(_markdown_row(_shown(table, row)) for row in table.rows),
    ]
    note = f"\n{_markdown(table.note)}\n" if table.note else ""
    return f"## {_markdown(table.title)}\n\n" + "\n".join(lines) + "\n" + note


def _shown(table: Table, row: Sequence[Cell]) -> list[str]:
    return table.shown_row(row)


def _markdown_row(cells: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_markdown(cell) if escape else cell for cell in cells) + " |"


def _markdown(text: str) -> str:
    """Text that neither Markdown, nor HTML within it, nor a terminal takes for anything else."""
    escaped = "".join("\\" + c if c in "\\`*_{}[]()#+!|~" else c for c in _plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def latex_text(table: Table) -> str:
    """The table as a LaTeX ``table`` with booktabs rules."""
    kinds = "".join("r" if table.numeric(place) else "l" for place in range(len(table.columns)))
    body = [_latex_row(table.columns), r"\midrule"]
    body += [_latex_row(_shown(table, row)) for row in table.rows]
    caption = _latex(f"{table.title}. {table.note}".rstrip())
    return "\n".join(
        [
            "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
            r"\begin{table}",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _plain(text))


def _plain(text: str) -> str:
    """One line without control characters."""
    return "".join(
        " "
        if character in "\n\t\r"
        else "\ufffd"
        if unicodedata.category(character)[0] == "C"
        else character
        for character in text
    )


#: Suffix -> writer.
FORMATS: Mapping[str, Callable[[Table], bytes]] = {
    "csv": _table_csv,
    "parquet": parquet_bytes,
    "md": lambda table: markdown_text(table).encode("utf-8"),
    "tex": lambda table: latex_text(table).encode("utf-8"),
}


def write_table(folder: Path, table: Table, suffix: str) -> Path:
    """Write ``folder/<name>.<suffix>`` atomically.

    Raises:
        OutputError: for an unknown suffix, or if the file cannot be written.
    """
    if suffix not in FORMATS:
        raise OutputError(f"unknown table format {suffix!r}", hint=f"one of {', '.join(FORMATS)}")
    path = folder / f"{table.name}.{suffix}"
    durable_files.write_bytes(path, FORMATS[suffix](table))
    return path
