"""Import a published source as a suite, or define a suite over files in their own folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.benchmark import SUITE_FILE
from geneb_jax.data.csv_columns import parse_columns, read_file_bytes
from geneb_jax.data.layouts.imported_suite import ImportedSuite, suite_notes
from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.data.layouts.recognise import FoundSource, read_source
from geneb_jax.data.layouts.sequence_cells import BLANKS
from geneb_jax.data.layouts.source_files import (
    CONVERTED,
    IMPORT_FILE,
    IMPORT_KIND,
    SourceFiles,
    inner_ending,
    inner_stem,
)
from geneb_jax.data.layouts.suite_folder import (
    WrittenTask,
    import_record,
    new_folder,
    prepare,
    task_csv,
    write_suite,
)
from geneb_jax.data.layouts.suite_names import suite_name
from geneb_jax.data.layouts.suite_toml import suite_toml
from geneb_jax.data.tables import SPLITS
from geneb_jax.errors import DataError, OutputError
from geneb_jax.plain_files import is_folder, is_plain_file
from geneb_jax.sealed_files import write_sealed

__all__ = ["import_suite", "init_suite"]

#: Raised whenever the same files would give other rows.
READER_VERSION = 2
_FLAT, _HUB = "table .csv", "GENEB"


def import_suite(
    source: Path,
    target: Path,
    options: ImportOptions,
    *,
    name: str | None = None,
    on_task: Callable[[int, int], None] | None = None,
) -> ImportedSuite:
    """Read a published layout and write it as a suite.

    Args:
        source: A folder or a file.
        target: The suite's folder; it must not be there, or be empty.
        options: What the user says about the source.
        name: The suite's name; the source's own by default.
        on_task: Called with (done, total) while files are read.

    Raises:
        DataError: if the source is not recognised or cannot be used; names the file and the row.
        OutputError: if the folder is not empty or cannot be written; nothing is half-written.
    """
    _require_no_import(source)
    made: list[ImportedSuite] = []

    def fill(folder: Path) -> None:
        files = SourceFiles(source)
        found = _read(files, options, on_task)
        title = name or files.name
        tasks = prepare(found.tasks, title, options, files.name)
        suite = suite_name(title)
        made.append(ImportedSuite(target, suite, tuple(tasks), found.left_out, found.unread, True))
        write_suite(
            folder,
            tasks,
            name=suite,
            title=title,
            notes=suite_notes(files.name, made[0]),
            left_out=found.left_out,
            record=_record(files, options),
        )

    new_folder(target, fill)
    return made[0]


def init_suite(
    folder: Path,
    options: ImportOptions,
    *,
    name: str | None = None,
    on_task: Callable[[int, int], None] | None = None,
) -> ImportedSuite:
    """Write a ``suite.toml`` for the task files that a folder holds.

    Files that are read as they are (CSV with text, label and split, integer labels) stay the
    suite's files. If any is in another form, copies of all go to a folder ``suite-tasks`` below;
    the user's own files are never touched.

    Args:
        folder: The folder.
        options: What the user says about its files.
        name: The suite's name; the folder's own by default.
        on_task: Called with (done, total) while files are read.

    Raises:
        DataError: as :func:`import_suite`.
        OutputError: if there is a suite.toml already, or the folder cannot be written.
    """
    _require_no_suite(folder)
    toml, copies = folder / SUITE_FILE, folder / CONVERTED
    files = SourceFiles(folder)
    found = _read(files, options, on_task)
    title = name or files.name
    tasks = prepare(found.tasks, title, options, files.name)
    converted = not all(_read_as_it_is(task, folder, options) for task in tasks)
    suite = ImportedSuite(
        folder, suite_name(title), tuple(tasks), found.left_out, found.unread, converted
    )
    if converted:
        new_folder(copies, lambda staged: _write_copies(staged, files, suite, options))
    text = suite_toml(
        suite.name,
        title,
        [task.entry for task in tasks],
        suite_notes(files.name, suite),
        files=CONVERTED if converted else None,
    )
    try:
        durable_files.write_text(toml, text)
    except OutputError:
        if converted:
            shutil.rmtree(copies, ignore_errors=True)
        raise
    return suite


def _require_no_import(source: Path) -> None:
    if is_plain_file(source / SUITE_FILE) and is_plain_file(source / IMPORT_FILE):
        raise DataError(
            "the folder is a suite that an import made",
            where=source,
            hint=f"run it as it is: `geneb-jax run --suite {source}`; a copy of the folder is the "
            "same suite",
        )


def _require_no_suite(folder: Path) -> None:
    toml = folder / SUITE_FILE
    if os.path.lexists(folder) and not is_folder(folder):
        raise DataError(
            "a suite is a folder, and this is a file", where=folder, hint=f"give {folder.parent}"
        )
    if os.path.lexists(toml):
        raise OutputError(
            f"the folder has a {SUITE_FILE} already",
            where=folder,
            hint="edit it, or move it away to have one written anew",
        )
    copies = folder / CONVERTED
    if os.path.lexists(copies):
        raise OutputError(
            "the copies of an earlier `suite init` are there",
            where=copies,
            hint="move the folder away to have them made anew",
        )


def _read(
    files: SourceFiles, options: ImportOptions, on_task: Callable[[int, int], None] | None
) -> FoundSource:
    found = read_source(files, options, on_task)
    if not found.tasks:
        first = found.left_out[0]
        more = len(found.left_out) - 1
        raise DataError(
            f"{'/'.join(first.names) or files.name} is no classification task: {first.sentence}",
            where=files.source,
            cause=f"and so are {more} more" if more else None,
            hint="geneb-jax scores tasks of one class a sequence",
        )
    return found


def _read_as_it_is(task: WrittenTask, folder: Path, options: ImportOptions) -> bool:
    """Whether a task's own files are such that the suite can read them: named and numbered."""
    if options != ImportOptions() or task.entry.classes:
        return False
    if BLANKS in task.found.notes:
        return False
    task_id, paths = task.entry.task_id, [part.path for part in task.found.parts]
    if task.found.importer == _FLAT:
        places = {folder / f"{task_id}.csv", folder / f"{task_id}.csv.gz"}
        return (
            len(paths) == 1
            and paths[0] in places
            and _as_a_run_reads_it(paths[0], ("text", "label", "split"), SPLITS)
        )
    if task.found.importer != _HUB:
        return False
    return all(
        path.parent == folder / task_id
        and inner_stem(path) in ("train", "test")
        and inner_ending(path) == ".csv"
        and _as_a_run_reads_it(path, ("text", "label"), (inner_stem(path),))
        for path in paths
    )


def _as_a_run_reads_it(path: Path, needed: Sequence[str], splits: Sequence[str]) -> bool:
    """Whether a run reads the very file, and a column ``split`` holds only these words."""
    try:
        columns = parse_columns(
            read_file_bytes(path).content, path, required=needed, optional=("split",)
        ).columns
    except DataError:
        return False
    return {value.strip() for value in columns.get("split", ())} <= set(splits)


def _write_copies(
    staged: Path, files: SourceFiles, suite: ImportedSuite, options: ImportOptions
) -> None:
    for task in suite.tasks:
        durable_files.write_bytes(staged / f"{task.entry.task_id}.csv", task_csv(task))
    record = import_record(suite.tasks, suite.left_out, _record(files, options))
    write_sealed(staged / IMPORT_FILE, IMPORT_KIND, record)


def _record(files: SourceFiles, options: ImportOptions) -> dict[str, Any]:
    return {
        "reader": READER_VERSION,
        "source": str(files.source.resolve()),
        "options": {
            "columns": dict(options.columns),
            "splits": dict(options.splits),
            "dev": options.dev,
            "genome": None if options.genome is None else str(options.genome.resolve()),
            "labels": None if options.labels is None else str(options.labels.resolve()),
            "test_share": options.test_share,
        },
        "files": [dict(one) for one in files.as_dicts()],
    }
