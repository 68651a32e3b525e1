"""Read a run's output folder back: its scores, its run.json, and the suite they belong to.

The folder of a run has records, and they are what is read: a table that somebody edited changes no
report, comparison or submission, and a run.json that was cut only costs what it alone says. A
scores.csv without records is read as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geneb_jax.benchmark import Suite, builtin_suites, data_standing, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results.folder_contents import read_contents
from geneb_jax.results.records import Records
from geneb_jax.results.run_record import RUN_FILE, RunRecord, read_run_record
from geneb_jax.results.run_scores import RunScores
from geneb_jax.results.score_rows import ScoreRow
from geneb_jax.results.score_tables import read_scores
from geneb_jax.results.suite_record import (
    SuiteRecord,
    changes_of_suite,
    read_suite_record,
    suite_record,
)
from geneb_jax_probes import CODE_VERSION

__all__ = ["read_run_folder"]

#: The suite of a scores.csv with neither records nor run.json beside it.
_DEFAULT_SUITE = "geneb"


def read_run_folder(folder: Path, suite: str | Path | None = None) -> RunScores:
    """Read the results of a folder.

    Args:
        folder: A run's output folder, or one with a scores.csv.
        suite: The suite, by name or folder; by default the one that the folder's records are of,
            and ``geneb`` for a table without records.

    Raises:
        ConfigError: if the record of the folder's suite is damaged.
        DataError: if the folder has no scores, or they are of another suite than the one named, or
            of that one as it was before.
        SelectionError: if there is no such suite.
    """
    held = read_suite_record(folder)
    kept = held is not None or Records(folder).task_facts_folder.is_dir()
    record, lost = _record(folder, kept)
    if held is not None:
        chosen = _recorded_suite(folder, held, suite)
    else:
        chosen = _suite_of_table(folder, suite, record)
        if not kept:
            return RunScores(chosen, _by_size(read_scores(folder), chosen), record, folder, lost)
    contents = read_contents(folder, chosen, code=CODE_VERSION)
    return RunScores(
        chosen,
        contents.rows,
        record,
        folder,
        (*lost, *contents.left_out),
        models=contents.models,
        tasks=contents.tasks,
    )


def _record(folder: Path, has_records: bool) -> tuple[RunRecord | None, tuple[str, ...]]:
    """run.json; where it cannot be read, None and a sentence on what is missing without it."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None, ()
    try:
        return read_run_record(folder), ()
    except DataError as error:
        kept = (
            "scores and models are read from the records; versions and times are missing"
            if has_records
            else "scores are read from scores.csv; what was known of its models is missing"
        )
        return None, (
            f"{path}: not used ({error.what}): {kept}. Running again into the folder rewrites it.",
        )


def _by_size(rows: Sequence[ScoreRow], suite: Suite) -> tuple[ScoreRow, ...]:
    """Rows of a table without records: anybody may have written ``verified`` into it."""
    tasks = {task.task_id: task for task in suite.tasks}
    return tuple(
        replace(row, data=data_standing(suite, tasks[row.task_id], test_rows=row.n_test).value)
        if row.task_id in tasks
        else row
        for row in rows
    )


def _recorded_suite(folder: Path, held: SuiteRecord, named: str | Path | None) -> Suite:
    """The suite of a folder that records it; one that is named must be the very same."""
    if named is None:
        built_in = load_suite(held.name) if held.name in builtin_suites() else None
        same = built_in is not None and not changes_of_suite(held, suite_record(built_in))
        return built_in if built_in is not None and same else held.suite()
    suite = load_suite(named)
    _require_name(folder, suite, held.name)
    changes = changes_of_suite(held, suite_record(suite))
    if changes:
        raise DataError(
            f"the suite {suite.name!r} is no longer what it was when this folder was written: "
            + "; ".join(changes),
            where=folder,
            hint="leave --suite out to see the scores as they were recorded, or take the folder "
            "over to the suite as it is now: the same run with --update-suite",
        )
    return suite


def _suite_of_table(folder: Path, named: str | Path | None, record: RunRecord | None) -> Suite:
    """The suite of a folder that records none."""
    recorded = record.suite.name if record else None
    if named is not None:
        suite = load_suite(named)
        if recorded is not None:
            _require_name(folder, suite, recorded)
    else:
        name = recorded or _DEFAULT_SUITE
        if name not in builtin_suites():
            raise DataError(
                f"the run is of the suite {name!r}, which is not built in",
                where=folder / RUN_FILE,
                hint="name its folder with --suite",
            )
        suite = load_suite(name)
    written = record.suite.digest if record else ""
    if written and written != suite_record(suite).digest:
        raise DataError(
            f"the suite {suite.name!r} is no longer what it was when run.json was written, and "
            "the folder's own record of it is gone",
            where=folder,
            hint="run the same models into the folder again, which writes the record anew",
        )
    return suite


def _require_name(folder: Path, suite: Suite, recorded: str) -> None:
    if suite.name != recorded:
        raise DataError(
            f"the run is of the suite {recorded!r}, not {suite.name!r}",
            where=folder,
            hint="name the suite it was run with, or leave --suite out",
        )
