"""One file a task: a table with a column of splits, or FASTA with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geneb_jax.data.layouts.fasta import FASTA_ENDINGS, read_fasta
from geneb_jax.data.layouts.fasta_rows import fasta_part
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut
from geneb_jax.data.layouts.label_files import is_label_table, labels_beside
from geneb_jax.data.layouts.options import ImportOptions, column_roles
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import (
    Candidate,
    merged,
    table_parts,
    unusable_labels,
)
from geneb_jax.data.layouts.tables import TABLE_ENDINGS, read_table, table_columns

__all__ = ["find", "read"]


def find(
    files: SourceFiles, paths: Sequence[Path], options: ImportOptions, *, asked: bool
) -> list[Candidate]:
    """Files that are a task each.

    Args:
        files: The source.
        paths: Its files that no other layout has.
        options: What the user says.
        asked: Whether a table counts whatever its columns are called where nothing is a task, so
            that the message about them can say what is missing.
    """
    found: list[Candidate] = []
    unclear: list[Candidate] = []
    for path in paths:
        ending = inner_ending(path)
        names = (*path.relative_to(files.root).parts[:-1], inner_stem(path))
        if ending in FASTA_ENDINGS:
            found.append(Candidate(names, "FASTA and labels", (("", path),)))
        elif ending == ".bed":
            continue
        elif ending in TABLE_ENDINGS and not is_label_table(files, path, options):
            columns = table_columns(files, path)
            roles = column_roles(columns, options, path, strict=False)
            if {"sequence", "label"} <= set(roles):
                found.append(Candidate(names, f"table {ending}", (("", path),)))
            elif asked and columns:
                unclear.append(Candidate(names, f"table {ending}", (("", path),)))
    # A table of unknown columns beside known tasks is somebody's notes.
    return found or unclear


def read(
    files: SourceFiles, candidate: Candidate, options: ImportOptions
) -> list[FoundTask | LeftOut]:
    """The tasks of one file.

    Raises:
        DataError: naming file and row.
    """
    path = candidate.paths[0][1]
    if inner_ending(path) in FASTA_ENDINGS:
        records = read_fasta(files, path)
        labels = labels_beside(files, records, options)
        part = fasta_part(records, None, labels, options)
        found = FoundTask(candidate.names, candidate.importer, (part,))
        without = 0 if labels is None else len(labels.rows) - len(records.headers)
        if labels is not None and without and _is_alone(files, path):
            table_name = labels.table.path.name
            found.notes[f"names of {table_name} have no record in {path.name}"] = without
        return [found]
    table = read_table(files, path)
    left_out = unusable_labels(table, candidate.names)
    if left_out is not None:
        return [left_out]
    parts = table_parts(table, None, options)
    return list(
        merged(
            [
                ((*candidate.names, *((task,) if task else ())), part)
                for task, part in parts.items()
            ],
            candidate.importer,
        )
    )


def _is_alone(files: SourceFiles, fasta: Path) -> bool:
    """Whether no other FASTA file lies beside it, whose labels a table could hold as well."""
    return not any(
        path != fasta and path.parent == fasta.parent and inner_ending(path) in FASTA_ENDINGS
        for path in files.paths
    )
