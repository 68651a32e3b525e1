"""Rows of a table as parts of tasks: by its columns of sequence, label, split and task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geneb_jax.data.layouts.fasta import FastaRecords
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, Part
from geneb_jax.data.layouts.options import ImportOptions, column_roles, require_roles
from geneb_jax.data.layouts.tables import Table
from geneb_jax.errors import DataError

__all__ = [
    "Candidate",
    "LabelTable",
    "fasta_part",
    "label_table",
    "merged",
    "table_parts",
    "unusable_labels",
]

#: Columns like ``label_3`` are one task of many labels.
_NUMBERED = re.compile(r"(label|target|class|y|task)[_. -]?[0-9]+", re.IGNORECASE)
_OF_LABELS = ("name", "label", "split")
_NUMBERS = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")


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
        split: The part that the file's name says; None where a column says it.
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
    _require_one_line(table, texts)
    splits: str | list[str] = split or _splits(table, roles, options)
    names = table.class_names.get(roles["label"], ())
    whole = Part(table.path, texts, labels, splits, table.lines, names)
    if "task" not in roles:
        return {"": whole}
    rows: dict[str, list[int]] = {}
    for row, task in enumerate(table.columns[roles["task"]]):
        rows.setdefault(task.strip(), []).append(row)
    # Names are those of the labels of all tasks together.
    named = whole if len(rows) == 1 else replace(whole, class_names=())
    return {task: named.rows(chosen) for task, chosen in rows.items()}


def _require_one_line(table: Table, texts: Sequence[str]) -> None:
    for row, text in enumerate(texts):
        if "\n" in text or "\r" in text or "\0" in text:
            raise DataError(
                "the sequence runs over more than one line",
                where=table.where(row),
                cause="a quote is opened and not closed",
            )


def _splits(table: Table, roles: Mapping[str, str], options: ImportOptions) -> str | list[str]:
    if "split" not in roles:
        if options.test_share is not None:
            return "unknown"
        raise DataError(
            "nothing says which rows are train and which are test",
            where=table.path,
            cause=f"no column of {', '.join(repr(name) for name in list(table.columns)[:8])} is "
            "known to be the split",
            hint="name it: --columns split=COLUMN; or give two files, train and test; or let "
            "--test-share 0.2 set a fifth of the sequences aside",
        )
    found: list[str] = []
    known: dict[str, str] = {}
    for row, value in enumerate(table.columns[roles["split"]]):
        split = known.get(value) or options.split(value)
        if split is None:
            raise DataError(
                f"the column {roles['split']!r} has {value[:40]!r}, which is neither train, test "
                "nor dev",
                where=table.where(row),
                hint="say what its values mean: --splits 0=train,1=dev,2=test",
            )
        known[value] = split
        found.append(split)
    return found


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
        DataError: if it lacks one of them, or a name stands twice with two labels.
    """
    columns = tuple(table.columns)
    # What is said of other roles is said of the table of sequences or of places.
    said = {role: name for role, name in options.columns.items() if role in _OF_LABELS}
    roles = column_roles(columns, replace(options, columns=said), table.path)
    require_roles(roles, ["name", "label"], columns, table.path)
    labels = table.columns[roles["label"]]
    rows: dict[str, int] = {}
    for row, name in enumerate(table.columns[roles["name"]]):
        first = rows.setdefault(name.strip(), row)
        if labels[first] != labels[row]:
            raise DataError(
                f"the name {name.strip()[:80]!r} has two labels", where=table.where(row)
            )
    return LabelTable(table, rows, roles["label"], roles.get("split"))


def fasta_part(
    records: FastaRecords,
    split: str | None,
    labels: LabelTable | None,
    options: ImportOptions,
) -> Part:
    """Records with their labels: from a table, or from headers like ``name|label``.

    A header with several numbers behind its name (``name|0|1|0``) keeps them all as one label,
    which is then seen to be a list.

    Raises:
        DataError: if a record has no label, or nothing says its split.
    """
    found: list[str] = []
    splits: list[str] = []
    for row, header in enumerate(records.headers):
        where = f"{records.path}:{records.lines[row]}"
        if labels is not None:
            name = header.split()[0] if header.split() else ""
            at = labels.rows.get(name, labels.rows.get(header))
            if at is None:
                raise DataError(
                    f"{labels.table.path} has no label of {name[:80]!r}",
                    where=where,
                    hint="its column of names must hold the first word of each header",
                )
            found.append(labels.table.columns[labels.label][at])
            splits.append(split or _label_split(labels, at, options))
            continue
        fields = header.split("|")
        if len(fields) < 2:
            raise DataError(
                f"the record {header[:60]!r} has no label",
                where=where,
                cause="labels stand behind the name, as in >name|1, or in a table of names and "
                "labels beside the file",
                hint="name the table with --labels FILE",
            )
        numbers = fields[1:] if all(map(_NUMBERS.fullmatch, fields[1:])) else fields[-1:]
        found.append("|".join(numbers).strip())
        splits.append(split or _no_split(records.path, options))
    return Part(records.path, records.sequences, found, splits, records.lines)


def _label_split(labels: LabelTable, row: int, options: ImportOptions) -> str:
    if labels.split is None:
        return _no_split(labels.table.path, options)
    value = labels.table.columns[labels.split][row]
    split = options.split(value)
    if split is None:
        raise DataError(
            f"the split {value[:40]!r} is neither train, test nor dev",
            where=labels.table.where(row),
            hint="say what its values mean: --splits 0=train,1=dev,2=test",
        )
    return split


def _no_split(path: Path, options: ImportOptions) -> str:
    if options.test_share is not None:
        return "unknown"
    raise DataError(
        "nothing says which records are train and which are test",
        where=path,
        hint="give two files, train and test, or a column split in the table of labels; or let "
        "--test-share 0.2 set a fifth of the sequences aside",
    )


def merged(found: Sequence[tuple[tuple[str, ...], Part]], importer: str) -> list[FoundTask]:
    """Parts of equal names as one task each, in the order of their first part."""
    parts: dict[tuple[str, ...], list[Part]] = {}
    for names, part in found:
        parts.setdefault(names, []).append(part)
    return [FoundTask(names, importer, tuple(those)) for names, those in parts.items()]
