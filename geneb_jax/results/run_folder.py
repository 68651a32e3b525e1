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
from geneb_jax.results.run_record import RUN_FILE, RunRecord, read_run_record
from geneb_jax.results.run_scores import RunScores
from geneb_jax.results.score_rows import ScoreRow
from geneb_jax.results.score_tables import read_scores
from geneb_jax.results.suite_record import read_suite_record
from geneb_jax_probes import CODE_VERSION

__all__ = ["read_run_folder"]

#: The suite of a scores.csv without a run.json beside it.
_DEFAULT_SUITE = "geneb"


def read_run_folder(folder: Path, suite: str | Path | None = None) -> RunScores:
    """Read the results of a folder.

    Args:
        folder: A run's output folder, or one with a scores.csv.
        suite: The suite, by name or folder; by default the built-in one that the records or
            run.json name, and ``geneb`` where there are neither.

    Raises:
        ConfigError: if the record of the folder's suite is damaged.
        DataError: if the folder has no scores, or they are of a suite that is not built in.
        SelectionError: if there is no such suite.
    """
    held = read_suite_record(folder)
    record, lost = _record(folder, held is not None)
    if held is None:
        recorded = record.suite.name if record else None
        chosen = _suite(folder, suite, recorded)
        return RunScores(chosen, _by_size(read_scores(folder), chosen), record, folder, lost)
    chosen = _suite(folder, suite, held.name)
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


def _suite(folder: Path, named: str | Path | None, recorded: str | None) -> Suite:
    if named is not None:
        suite = load_suite(named)
        if recorded is not None and suite.name != recorded:
            raise DataError(
                f"the run is of the suite {recorded!r}, not {suite.name!r}",
                where=folder / RUN_FILE,
                hint="name the suite it was run with",
            )
        return suite
    name = recorded or _DEFAULT_SUITE
    if name not in builtin_suites():
        raise DataError(
            f"the run is of the suite {name!r}, which is not built in",
            where=folder / RUN_FILE,
            hint="name its folder with --suite",
        )
    return load_suite(name)
