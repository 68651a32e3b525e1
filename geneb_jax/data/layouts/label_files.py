"""The table of labels that lies beside a FASTA file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geneb_jax.data.layouts.fasta import FastaRecords
from geneb_jax.data.layouts.fasta_rows import first_word, label_in_header
from geneb_jax.data.layouts.options import ImportOptions, column_roles
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import LabelTable, label_table
from geneb_jax.data.layouts.tables import TABLE_ENDINGS, read_table, table_columns
from geneb_jax.errors import DataError

__all__ = ["is_label_table", "labels_beside"]


def is_label_table(files: SourceFiles, path: Path, options: ImportOptions) -> bool:
    """Whether a table has names and labels, and no sequences; judged by its first line."""
    if inner_ending(path) not in TABLE_ENDINGS:
        return False
    columns = table_columns(files, path)
    roles = column_roles(columns, options, path, strict=False)
    return "name" in roles and "label" in roles and "sequence" not in roles


def labels_beside(
    files: SourceFiles, records: FastaRecords, options: ImportOptions
) -> LabelTable | None:
    """The table of a FASTA file's labels: the one that was given, or the one beside it.

    Of several tables in its folder, one that is named after the file wins (``a.tsv``,
    ``a_labels.csv`` for ``a.fa``), then one that is named ``labels``. A table wins over headers
    like ``>name|label``, which many names look like. None where only the headers have labels.

    Raises:
        DataError: if there are none, or it is not clear where they are.
    """
    if options.labels is not None:
        return label_table(read_table(files, options.labels), options)
    fasta = records.path
    beside = [
        path
        for path in files.paths
        if path.parent == fasta.parent and is_label_table(files, path, options)
    ]
    named = _named_after(beside, inner_stem(fasta).casefold())
    in_headers = "|" in records.headers[0]
    if named is not None:
        labels = label_table(read_table(files, named), options)
        if in_headers:
            _require_names(labels, records)
        return labels
    if in_headers:
        return None
    shown = ", ".join(path.name for path in beside[:3])
    raise DataError(
        "the records have no labels",
        where=fasta,
        cause=f"more than one table of names and labels lies beside it: {shown}"
        if beside
        else "their headers are not like >name|label, and no table of names and labels (columns "
        "name and label) lies beside the file",
        hint="name the table with --labels FILE",
    )


def _require_names(labels: LabelTable, records: FastaRecords) -> None:
    """Refuse a table that knows none of the records, whose headers could be the labels as well."""
    header = records.headers[0]
    if any(first_word(one) in labels.rows or one in labels.rows for one in records.headers):
        return
    raise DataError(
        f"the label of {first_word(header)[:60]!r} could stand in two places",
        where=f"{records.path}:{records.lines[0]}",
        cause=f"the header says {(label_in_header(header) or '')[:40]!r}, and {labels.table.path} "
        "is a table of labels that has none of these names",
        hint="move the table away if the headers are right; otherwise let its column of names hold "
        "the first word of each header",
    )


def _named_after(tables: Sequence[Path], stem: str) -> Path | None:
    for wanted in ({stem, f"{stem}_labels", f"{stem}.labels", f"{stem}-labels"}, {"labels"}):
        named = [path for path in tables if inner_stem(path).casefold() in wanted]
        if len(named) == 1:
            return named[0]
    return tables[0] if len(tables) == 1 else None
