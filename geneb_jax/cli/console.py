"""Where words go: results on stdout, everything for people on stderr, escape codes nowhere."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "complain",
    "counted",
    "link_to",
    "note",
    "plain",
    "print_json",
    "print_table",
    "stderr",
]


def stderr() -> Console:
    """A console on stderr; rich itself drops colour and motion when it is not a terminal."""
    return Console(stderr=True, highlight=False)


def plain(text: object) -> str:
    """Text without control characters, so that a name cannot drive the terminal."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in str(text)
    )


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 task``, ``2 tasks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def note(text: str) -> None:
    """One line for people, on stderr."""
    click.echo(plain(text), err=True)


def complain(text: str) -> None:
    """What is wrong, in the one form that all messages have; a line on stderr."""
    click.echo(f"geneb-jax: {plain(text)}", err=True)


def link_to(path: Path) -> str:
    """A file as something to click: a hyperlink on a terminal that draws them, else its URL."""
    url = path.resolve().as_uri()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return url
    # OSC 8 (https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda): terminals that do
    # not know it show the text alone.
    return f"\x1b]8;;{url}\x1b\\{plain(url)}\x1b]8;;\x1b\\"


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
) -> None:
    """Print a table on stdout: aligned for a terminal, tab-separated for a pipe.

    Args:
        columns: Column titles.
        rows: Cells; ``None`` shows as an empty cell.
        title: A line above the table, on a terminal only.
        right: Titles of the columns aligned to the right.
    """
    cells = [["" if cell is None else plain(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in [list(columns), *cells]:
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*[Text(cell) for cell in row])
    console.print(table)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; NaN is not JSON and is refused."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
