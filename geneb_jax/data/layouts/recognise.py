"""Which layouts a source is in, and the tasks that it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.data.layouts import (
    dnalongbench,
    flat,
    genomic_benchmarks,
    intervals,
    split_files,
)
from geneb_jax.data.layouts.fasta import FASTA_ENDINGS, Genome, find_genome, open_genome
from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut
from geneb_jax.data.layouts.label_files import is_label_table
from geneb_jax.data.layouts.labels import kind_left_out
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.sequence_cells import with_plain_sequences
from geneb_jax.data.layouts.source_files import SourceFiles, inner_ending, inner_stem
from geneb_jax.data.layouts.table_rows import Candidate
from geneb_jax.data.layouts.used_options import require_used
from geneb_jax.errors import DataError

__all__ = ["OF_A_GENOME", "FoundSource", "candidates", "read_source"]

#: Layouts whose sequences are stretches of a genome.
OF_A_GENOME = (dnalongbench.IMPORTER, intervals.BEND, intervals.INTERVAL_LISTS)
#: Endings of what others keep arrays and tables in, and what to do with them.
_UNREADABLE = {
    ".xlsx": "a spreadsheet; save the sheet as CSV",
    ".xls": "a spreadsheet; save the sheet as CSV",
    ".h5": "HDF5, whose labels are one a base or bin",
    ".hdf5": "HDF5, whose labels are one a base or bin",
    ".pkl": "a pickle, which can run code and is never read; save it as CSV or parquet",
    ".pickle": "a pickle, which can run code and is never read; save it as CSV or parquet",
    ".pt": "a torch file; save it as CSV or parquet",
    ".arrow": "an Arrow file; save it as parquet",
    ".zip": "an archive; unpack it",
    ".tar": "an archive; unpack it",
    ".tgz": "an archive; unpack it",
    ".tfrecord": "TFRecords; give the tables that they were made from",
}


#: Names of a table that holds all parts.
_WHOLE = ("all", "combined", "complete", "everything", "full", "merged", "total", "whole")


@dataclass(frozen=True, slots=True, eq=False)
class FoundSource:
    """What a source holds.

    Attributes:
        tasks: Classification tasks, in the order of their names.
        left_out: Tasks of other kinds.
        unread: Files that no layout has, and hidden folders, below the source.
    """

    tasks: tuple[FoundTask, ...]
    left_out: tuple[LeftOut, ...]
    unread: tuple[str, ...]


def candidates(
    files: SourceFiles, options: ImportOptions, *, asked: bool = True
) -> tuple[tuple[Candidate, ...], tuple[Path, ...]]:
    """What looks like tasks, from names and first lines, and the files that do not.

    The most particular layout takes its files first.

    Args:
        files: The source.
        options: What the user says.
        asked: Whether a table of unknown columns counts, so that its message can name them.
    """
    found: list[Candidate] = []
    left = [path for path in files.paths if path != options.genome and path != options.labels]
    finders: tuple[Callable[[Sequence[Path]], list[Candidate]], ...] = (
        lambda paths: dnalongbench.find(files, paths),
        # Beside DNALongBench's table a BED file says what is masked.
        lambda paths: [] if found else intervals.find(files, paths, options),
        lambda paths: genomic_benchmarks.find(files, paths),
        lambda paths: split_files.find(files, paths, options),
        # A table of unknown columns beside known tasks is somebody's notes.
        lambda paths: flat.find(
            files, _without_genome(found, paths), options, asked=asked and not found
        ),
    )
    for find in finders:
        these = find(left)
        found += these
        taken = {path for candidate in these for _, path in candidate.paths}
        left = [path for path in left if path not in taken and path.parent not in taken]
    found.sort(key=lambda candidate: candidate.names)
    return tuple(found), tuple(left)


def _without_genome(found: Sequence[Candidate], paths: Sequence[Path]) -> list[Path]:
    """Beside stretches of a genome a FASTA file is the genome, not a task."""
    if not any(candidate.importer in OF_A_GENOME for candidate in found):
        return list(paths)
    return [path for path in paths if inner_ending(path) not in FASTA_ENDINGS]


def read_source(
    files: SourceFiles,
    options: ImportOptions,
    on_task: Callable[[int, int], None] | None = None,
) -> FoundSource:
    """Read every task of a source.

    Args:
        files: The source.
        options: What the user says.
        on_task: Called with (done, total) after each group of files.

    Raises:
        DataError: if nothing is recognised, or a file cannot be used; names the file and the row.
    """
    chosen, left = candidates(files, options)
    if not chosen:
        raise _nothing_found(files, left, options)
    split_files.require_whole(files, chosen)
    _require_unlike(files, chosen)
    tasks: list[FoundTask] = []
    left_out: list[LeftOut] = []
    with ExitStack() as stack:
        genome: Genome | None = None
        if any(candidate.importer in OF_A_GENOME for candidate in chosen):
            genome = stack.enter_context(open_genome(files, find_genome(files, options.genome)))
        for done, candidate in enumerate(chosen, 1):
            for found in _read(files, candidate, options, genome):
                _sort_in(found, tasks, left_out)
            if on_task is not None:
                on_task(done, len(chosen))
    require_used(files, tasks, options)
    read = {one.path for one in files.reads}
    unread = [
        path
        for path in left
        if files.relative(path) not in read and not is_label_table(files, path, options)
    ]
    return FoundSource(
        tuple(tasks),
        tuple(left_out),
        (
            *(files.relative(path) for path in unread),
            *(f"{files.relative(path)}/" for path in (*files.hidden, *files.copies)),
        ),
    )


def _require_unlike(files: SourceFiles, chosen: Sequence[Candidate]) -> None:
    """Refuse one task in two forms, whose rows would be scored twice."""
    known: dict[tuple[str, ...], Path] = {}
    for candidate in chosen:
        path = candidate.paths[0][1]
        other = known.setdefault(candidate.names, path)
        if other != path:
            raise DataError(
                f"{files.relative(other)} and {files.relative(path)} are one task by their names",
                where=files.source,
                cause="the same rows in two forms, or two tasks of one name",
                hint="keep the one you mean and move the other away; or give the tasks two names",
            )
    _require_no_whole_beside_parts(files, chosen)


def _require_no_whole_beside_parts(files: SourceFiles, chosen: Sequence[Candidate]) -> None:
    """Refuse ``all.csv`` beside ``train.csv`` and ``test.csv``: their rows would count twice."""
    parts: dict[Path, list[str]] = {}
    for candidate in chosen:
        for split, path in candidate.paths:
            if split:
                parts.setdefault(path.parent, []).append(path.name)
    for candidate in chosen:
        split, path = candidate.paths[0]
        if not split and path.parent in parts and inner_stem(path).casefold() in _WHOLE:
            raise DataError(
                f"{files.relative(path)} lies beside {' and '.join(sorted(parts[path.parent])[:3])}"
                " and by its name holds their rows once more",
                where=files.source,
                cause="it would be a second task, of rows that are scored already",
                hint="move it away; or, if it is a task of its own, give it another name",
            )


def _sort_in(found: FoundTask | LeftOut, tasks: list[FoundTask], left_out: list[LeftOut]) -> None:
    other = found if isinstance(found, LeftOut) else kind_left_out(found)
    if other is not None:
        left_out.append(other)
    elif isinstance(found, FoundTask):
        found.require_rows()
        tasks.append(with_plain_sequences(found))


def _read(
    files: SourceFiles, candidate: Candidate, options: ImportOptions, genome: Genome | None
) -> Sequence[FoundTask | LeftOut]:
    if genome is not None and candidate.importer == dnalongbench.IMPORTER:
        return dnalongbench.read(files, candidate, options, genome)
    if genome is not None and candidate.importer in OF_A_GENOME:
        return intervals.read(files, candidate, options, genome)
    if candidate.importer == genomic_benchmarks.IMPORTER:
        return [genomic_benchmarks.read(files, candidate)]
    if any(split for split, _ in candidate.paths):
        return split_files.read(files, candidate, options)
    return flat.read(files, candidate, options)


def _nothing_found(files: SourceFiles, left: Sequence[Path], options: ImportOptions) -> DataError:
    known = [path for path in left if inner_ending(path) in _UNREADABLE]
    cause = "the folder is empty"
    if known:
        path = known[0]
        cause = f"{files.relative(path)} is {_UNREADABLE[inner_ending(path)]}"
    elif any(is_label_table(files, path, options) for path in left):
        cause = "there is a table of names and labels, and no FASTA file of its sequences"
    elif left:
        shown = ", ".join(files.relative(path) for path in left[:3])
        cause = f"it holds {shown}" + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    elif files.copies:
        cause = f"it holds {files.relative(files.copies[0])}/, which an import made: a suite itself"
    elif files.hidden:
        cause = f"it holds {files.relative(files.hidden[0])}/, whose name starts with a dot"
    return DataError(
        "no file here is a task in a layout that is known",
        where=files.source,
        cause=cause,
        hint="docs/your-own-tasks.md has the layouts; a table needs columns of sequence, label and "
        "split, whatever they are called (--columns sequence=...,label=...,split=...)",
    )
