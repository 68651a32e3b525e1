"""Rows of a table as parts of tasks: by its columns of sequence, label, split and task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, Part
from geneb_jax.data.layouts.options import ImportOptions, column_roles, require_roles
from geneb_jax.data.layouts.row_splits import no_split, obeys_column, splits_of
from geneb_jax.data.layouts.tables import Table
from geneb_jax.errors import DataError

__all__ = [
    "Candidate",
    "LabelTable",
    "label_table",
    "merged",
    "table_parts",
    "table_splits",
    "unusable_labels",
]

#: Columns like ``label_3`` are one task of many labels.
_NUMBERED = re.compile(r"(label|target|class|y|task)[_. -]?[0-9]+", re.IGNORECASE)
_OF_LABELS = ("name", "label", "split")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Files that look like one task or several, before anything but names and heads is read.

    Attributes:
        names: As for :class:`FoundTask`.
        importer: The layout.
        paths: The files, by part where the layout has files a part.
    """

    names: tuple[str, ...]
    importer: str
    paths: tuple[tuple[str, Path], ...]


def unusable_labels(table: Table, names: tuple[str, ...]) -> LeftOut | None:
    """Whether the table's very columns say that it is no classification task."""
    folded = {column.casefold(): column for column in table.columns}
    numbered = [column for column in table.columns if _NUMBERED.fullmatch(column)]
    if "label" not in folded and len(numbered) > 1:
        return LeftOut(names, "multi-label", f"{table.path} has the columns {numbered[0]}, ...")
    if {"ref", "alt"} <= set(folded) or {"allele1", "allele2"} <= set(folded):
        return LeftOut(names, "pairs of sequences", f"{table.path} has two alleles a row")
    if {"mut", "ratio"} <= set(folded):
        return LeftOut(names, "a label a base", f"{table.path} has the columns mut and ratio")
    if "reactivity" in folded:
        return LeftOut(names, "regression", f"{table.path} has the column reactivity")
    return None


def table_parts(
    table: Table,
    split: str | None,
    options: ImportOptions,
    sequences: Sequence[str] | None = None,
) -> dict[str, Part]:
    """Parts of a table, by the value of its task column (empty without one).

    Args:
        table: The table.
        split: The part that the file's name says; None where only a column can say it.
        options: What the user says.
        sequences: The texts, where the table has only their places.

    Raises:
        DataError: if a role has no column, or a split is unknown; names the file and the row.
    """
    columns = tuple(table.columns)
    roles = column_roles(columns, options, table.path)
    wanted = ["label"] if sequences is not None else ["sequence", "label"]
    require_roles(roles, wanted, columns, table.path)
    texts = table.columns[roles["sequence"]] if sequences is None else sequences
    labels = table.columns[roles["label"]]
    _require_one_line(table, texts, "sequence")
    _require_one_line(table, labels, "label")
    splits = table_splits(table, roles, split, options)
    names = table.class_names.get(roles["label"], ())
    notes = _unknown_splits(table, roles, split, options)
    whole = Part(table.path, texts, labels, splits, table.lines, names, notes)
    if "task" not in roles:
        return {"": whole}
    rows: dict[str, list[int]] = {}
    for row, task in enumerate(table.columns[roles["task"]]):
        rows.setdefault(task.strip(), []).append(row)
    # Names are those of the labels of all tasks together.
    named = whole if len(rows) == 1 else replace(whole, class_names=())
    return {task: named.rows(chosen) for task, chosen in rows.items()}


def _require_one_line(table: Table, texts: Sequence[str], what: str) -> None:
    for row, text in enumerate(texts):
        if "\n" in text or "\r" in text or "\0" in text:
            raise DataError(
                f"the {what} runs over more than one line",
                where=table.where(row),
                cause="a quote is opened and not closed",
            )


def _unknown_splits(
    table: Table, roles: Mapping[str, str], said: str | None, options: ImportOptions
) -> dict[str, int]:
    """A note on rows whose column of splits says no part, so that the file's name decided."""
    column = roles.get("split")
    if said is None or column is None or obeys_column(options):
        return {}
    count = sum(bool(text.strip()) and not options.split(text) for text in table.columns[column])
    what = f"rows have a {column!r} that is no part; names of files say which are train and test"
    return {what: count} if count else {}


def table_splits(
    table: Table, roles: Mapping[str, str], said: str | None, options: ImportOptions
) -> str | list[str]:
    """The part of all rows of a table, or of each.

    Raises:
        DataError: naming the row, as :func:`splits_of`; or if nothing says the part.
    """
    column = roles.get("split")
    if column is None:
        return said or no_split(table.path, options, tuple(table.columns))
    return splits_of(table.columns[column], column, said, options, table.where)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """Labels (and perhaps splits) of named sequences.

    Attributes:
        table: The table.
        rows: Name -> row.
        label: Its column of labels.
        split: Its column of splits; None without one.
    """

    table: Table
    rows: Mapping[str, int]
    label: str
    split: str | None


def label_table(table: Table, options: ImportOptions) -> LabelTable:
    """A table of names and labels.

    Raises:
        DataError: if it lacks one of them, or a name stands twice with two labels or two splits.
    """
    columns = tuple(table.columns)
    # What is said of other roles is said of the table of sequences or of places.
    said = {role: name for role, name in options.columns.items() if role in _OF_LABELS}
    roles = column_roles(columns, replace(options, columns=said), table.path)
    require_roles(roles, ["name", "label"], columns, table.path)
    kinds = [role for role in ("label", "split") if role in roles]
    rows: dict[str, int] = {}
    for row, name in enumerate(table.columns[roles["name"]]):
        first = rows.setdefault(name.strip(), row)
        for role in kinds if first != row else ():
            values = table.columns[roles[role]]
            if values[first].strip() != values[row].strip():
                raise DataError(
                    f"the name {name.strip()[:80]!r} has two {role}s",
                    where=table.where(row),
                    cause=f"{values[first].strip()[:40]!r} in line {table.lines[first]}, "
                    f"{values[row].strip()[:40]!r} here",
                    hint="give every sequence a name of its own, and one row",
                )
    return LabelTable(table, rows, roles["label"], roles.get("split"))


def merged(found: Sequence[tuple[tuple[str, ...], Part]], importer: str) -> list[FoundTask]:
    """Parts of equal names as one task each, in the order of their first part."""
    parts: dict[tuple[str, ...], list[Part]] = {}
    for names, part in found:
        parts.setdefault(names, []).append(part)
    return [FoundTask(names, importer, tuple(those)) for names, those in parts.items()]
