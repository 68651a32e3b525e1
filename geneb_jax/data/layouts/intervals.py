"""Tables of stretches of a genome: BEND's BED files, and Genomic Benchmarks' interval lists.

BEND: tab-separated, with the header chromosome, start, end, split and mostly label, strand where it
matters (frederikkemarin/BEND). Genomic Benchmarks: ``TASK/train/CLASS.csv.gz`` with the header id,
region, start, end, strand; the file's name is the class. Both count from 0 and leave ``end`` out; a
strand ``-`` is the other strand. Plain BED without a header takes its labels from a table of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geneb_jax.data.layouts.fasta import Genome
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, Part, split_of
from geneb_jax.data.layouts.options import ImportOptions, column_roles, require_roles
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import (
    Candidate,
    LabelTable,
    label_table,
    merged,
    table_parts,
    table_splits,
    unusable_labels,
)
from geneb_jax.data.layouts.tables import TABLE_ENDINGS, Table, read_table, table_columns
from geneb_jax.errors import DataError

__all__ = ["BEND", "INTERVAL_LISTS", "find", "read"]

BEND = "BED and genome"
INTERVAL_LISTS = "Genomic Benchmarks interval lists"
_BED_COLUMNS = ("chromosome", "start", "end", "name", "score", "strand")
_PLACE = ["chromosome", "start", "end"]


def find(files: SourceFiles, paths: Sequence[Path], options: ImportOptions) -> list[Candidate]:
    """Tables of stretches: BED files by their ending, others by their columns."""
    found: list[Candidate] = []
    lists: dict[tuple[str, ...], list[tuple[str, Path]]] = {}
    for path in paths:
        ending = inner_ending(path)
        above = path.relative_to(files.root).parts[:-1]
        if ending not in TABLE_ENDINGS:
            continue
        if ending == ".bed":
            found.append(Candidate((*above, inner_stem(path)), BEND, (("", path),)))
            continue
        columns = table_columns(files, path)
        roles = column_roles(columns, options, path, strict=False)
        if "sequence" in roles or not set(_PLACE) <= set(roles):
            continue
        split = split_of(above[-1]) if above else None
        if split and "label" not in roles:
            lists.setdefault(above[:-1], []).append((split, path))
        elif "label" in roles:
            found.append(Candidate((*above, inner_stem(path)), BEND, (("", path),)))
    return found + [
        Candidate(names, INTERVAL_LISTS, tuple(those)) for names, those in lists.items()
    ]


def read(
    files: SourceFiles, candidate: Candidate, options: ImportOptions, genome: Genome
) -> list[FoundTask | LeftOut]:
    """The tasks of a table, or of the interval lists of one task.

    Raises:
        DataError: naming file and row.
    """
    notes = {"stretches cut at the end of their sequence": 0}
    if candidate.importer == INTERVAL_LISTS:
        lists: list[Part] = []
        for split, path in candidate.paths:
            table = read_table(files, path)
            texts = _letters(table, options, genome, notes)
            roles = column_roles(tuple(table.columns), options, path, strict=False)
            splits = table_splits(table, roles, split, options)
            lists.append(Part(path, texts, [inner_stem(path)] * len(texts), splits, table.lines))
        return [FoundTask(candidate.names, INTERVAL_LISTS, tuple(lists), _counted(notes))]
    path = candidate.paths[0][1]
    table = _with_header(files, path)
    left_out = unusable_labels(table, candidate.names) or _labels_elsewhere(
        files, table, candidate.names, options
    )
    if left_out is not None:
        return [left_out]
    texts = _letters(table, options, genome, notes)
    table = _with_labels(files, table, options)
    parts = table_parts(table, None, options, texts)
    tasks = [((*candidate.names, *((task,) if task else ())), part) for task, part in parts.items()]
    return [replace(task, notes=_counted(notes)) for task in merged(tasks, candidate.importer)]


def _counted(notes: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in notes.items() if count}


def _with_header(files: SourceFiles, path: Path) -> Table:
    """A table; the columns of BED without a header get the names that the format gives them."""
    table = read_table(files, path)
    first = tuple(table.columns)
    if inner_ending(path) != ".bed" or len(first) < 3 or not (first[1] + first[2]).isdigit():
        return table
    if len(first) > len(_BED_COLUMNS):
        raise DataError(
            f"the BED file has {len(first)} columns and no header that says which is the label",
            where=f"{path}:1",
            hint="put a first line above it, such as chromosome, start, end, split, label",
        )
    names = _BED_COLUMNS[: len(first)]
    columns = {
        name: [value, *table.columns[value]] for name, value in zip(names, first, strict=True)
    }
    return Table(path, columns, [1, *table.lines], {})


def _labels_elsewhere(
    files: SourceFiles, table: Table, names: tuple[str, ...], options: ImportOptions
) -> LeftOut | None:
    """BEND keeps labels a base in an HDF5 file of the table's name."""
    roles = column_roles(tuple(table.columns), options, table.path, strict=False)
    if "label" in roles or _label_file(files, table.path, options) is not None:
        return None
    beside = [
        path
        for path in files.paths
        if path.suffix.lower() in (".hdf5", ".h5") and path.stem == inner_stem(table.path)
    ]
    if not beside:
        return None
    return LeftOut(names, "a label a base", f"its labels are in {files.relative(beside[0])}")


def _label_file(files: SourceFiles, path: Path, options: ImportOptions) -> Path | None:
    """The table that was given, or one beside that is called after the BED file, or labels."""
    if options.labels is not None:
        return options.labels
    stem = inner_stem(path)
    for wanted in (stem, f"{stem}_labels", "labels"):
        for other in files.paths:
            if other.parent == path.parent and other != path and inner_stem(other) == wanted:
                roles = column_roles(table_columns(files, other), options, other, strict=False)
                if "label" in roles and "chromosome" not in roles:
                    return other
    return None


def _with_labels(files: SourceFiles, table: Table, options: ImportOptions) -> Table:
    """The table with labels (and splits) from another: by name, or row by row without names.

    Raises:
        DataError: if they do not fit.
    """
    roles = column_roles(tuple(table.columns), options, table.path, strict=False)
    path = None if "label" in roles else _label_file(files, table.path, options)
    if path is None:
        return table
    other = read_table(files, path)
    theirs = column_roles(tuple(other.columns), options, path, strict=False)
    if "name" in roles and "name" in theirs:
        labels = label_table(other, options)
        rows = [
            _label_row(labels, name.strip(), table.where(row))
            for row, name in enumerate(table.columns[roles["name"]])
        ]
    elif len(other.lines) == len(table.lines):
        rows = list(range(len(table.lines)))
    else:
        raise DataError(
            f"it has {len(other.lines)} rows, and {table.path} has {len(table.lines)}",
            where=path,
            cause="labels without names are taken row by row",
            hint="give both a column of names, or as many rows",
        )
    require_roles(theirs, ["label"], tuple(other.columns), path)
    columns = dict(table.columns)
    for role in ("label", "split"):
        if role in theirs and role not in roles:
            columns[role] = [other.columns[theirs[role]][row] for row in rows]
    return replace(table, columns=columns)


def _label_row(labels: LabelTable, name: str, where: str) -> int:
    row = labels.rows.get(name)
    if row is None:
        raise DataError(f"{labels.table.path} has no label of {name[:80]!r}", where=where)
    return row


def _letters(
    table: Table, options: ImportOptions, genome: Genome, notes: dict[str, int]
) -> list[str]:
    columns = tuple(table.columns)
    roles = column_roles(columns, options, table.path, strict=False)
    require_roles(roles, _PLACE, columns, table.path)
    regions, starts, ends = (table.columns[roles[role]] for role in _PLACE)
    strands = table.columns[roles["strand"]] if "strand" in roles else None
    texts = []
    for row, region in enumerate(regions):
        where = table.where(row)
        start, end = _place(starts[row], where), _place(ends[row], where)
        strand = strands[row].strip() if strands is not None else "+"
        if strand not in ("+", "-", "", "."):
            raise DataError(f"the strand is {strand[:20]!r}, neither + nor -", where=where)
        texts.append(genome.fetch(region.strip(), start, end, strand, where))
        notes["stretches cut at the end of their sequence"] += len(texts[-1]) < end - start
    return texts


def _place(text: str, where: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise DataError(
            f"the place {text.strip()[:40]!r} is no whole number from 0",
            where=where,
            cause="start and end are counted in bases, as in BED",
        )
    return int(digits)
