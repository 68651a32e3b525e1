"""Records of a FASTA file as a part of a task: labels from a table, or from their headers."""

from __future__ import annotations

import re

from geneb_jax.data.layouts.fasta import FastaRecords
from geneb_jax.data.layouts.found_tasks import Part
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.row_splits import no_split, splits_of
from geneb_jax.data.layouts.table_rows import LabelTable
from geneb_jax.errors import DataError

__all__ = ["fasta_part", "first_word", "label_in_header"]

_CUT = "headers go on behind the first blank; a label ends there"
_NUMBERS = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")


def fasta_part(
    records: FastaRecords,
    split: str | None,
    labels: LabelTable | None,
    options: ImportOptions,
) -> Part:
    """Records with their labels: from a table, or from headers like ``name|label``.

    Args:
        records: The records.
        split: The part that the file's name says; None where only a table can say it.
        labels: The table; None where the headers hold the labels.
        options: What the user says.

    Raises:
        DataError: if a record has no label, a name stands twice, or nothing says its split.
    """
    if labels is not None:
        return _labelled(records, split, labels, options)
    column = options.columns.get("split")
    if column is not None:
        raise DataError(
            f"there is no column {column!r}, which --columns names as the split",
            where=records.path,
            cause="the labels stand in the headers, and no table of labels lies beside the file",
            hint="name the table with --labels FILE, or leave that option out",
        )
    found: list[str] = []
    for row, header in enumerate(records.headers):
        label = label_in_header(header)
        if label is None:
            raise DataError(
                f"the record {header[:60]!r} has no label",
                where=_where(records, row),
                cause="labels stand behind the name, as in >name|1, or in a table of names and "
                "labels beside the file",
                hint="name the table with --labels FILE",
            )
        found.append(label)
    said = split or no_split(records.path, options)
    cut = sum(first_word(header) != header for header in records.headers)
    notes = {_CUT: cut} if cut else {}
    return Part(records.path, records.sequences, found, said, records.lines, notes=notes)


def label_in_header(header: str) -> str | None:
    """The label behind a record's name, up to the first blank; None where there is none.

    A header with several numbers behind its name (``name|0|1|0``) keeps them all as one label,
    which is then seen to be a list.
    """
    word = first_word(header)
    # A bar in the name decides; only where there is none may the label stand behind blanks.
    fields = (word if "|" in word.rstrip("|") and not word.endswith("|") else header).split("|")
    if len(fields) < 2:
        return None
    behind = [first_word(field) for field in fields[1:]]
    numbers = behind if all(map(_NUMBERS.fullmatch, behind)) else behind[-1:]
    return "|".join(numbers)


def first_word(header: str) -> str:
    """A record's name: its header up to the first blank."""
    return (header.split(maxsplit=1) or [""])[0]


def _labelled(
    records: FastaRecords, split: str | None, labels: LabelTable, options: ImportOptions
) -> Part:
    rows: list[int] = []
    lines: dict[str, int] = {}
    for row, header in enumerate(records.headers):
        name = first_word(header)
        key = name if name in labels.rows else header
        if key not in labels.rows:
            raise DataError(
                f"{labels.table.path} has no label of {name[:80]!r}",
                where=_where(records, row),
                hint="its column of names must hold the first word of each header",
            )
        if lines.setdefault(key, records.lines[row]) != records.lines[row]:
            raise DataError(
                f"the name {key[:80]!r} stands twice",
                where=_where(records, row),
                cause=f"it stands in line {lines[key]} too, and {labels.table.path} cannot say "
                "which of the two it means",
                hint="give every sequence a name of its own",
            )
        rows.append(labels.rows[key])
    table = labels.table
    found = [table.columns[labels.label][row] for row in rows]
    if labels.split is None:
        said: str | list[str] = split or no_split(table.path, options)
    else:
        values = [table.columns[labels.split][row] for row in rows]
        said = splits_of(values, labels.split, split, options, lambda at: table.where(rows[at]))
    return Part(records.path, records.sequences, found, said, records.lines)


def _where(records: FastaRecords, row: int) -> str:
    return f"{records.path}:{records.lines[row]}"
