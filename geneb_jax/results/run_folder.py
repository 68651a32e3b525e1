"""Read a run's output folder back: its scores, its run.json, and the suite they belong to.

The folder of a run has records, and they are what is read: a table that somebody edited changes no
report, comparison or submission. A scores.csv without records is read as it stands.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from geneb_jax.benchmark import Suite, builtin_suites, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results.folder_contents import read_contents
from geneb_jax.results.run_record import RUN_FILE, read_run_record
from geneb_jax.results.run_scores import RunScores
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
        DataError: if the folder has no scores, run.json is damaged, or they are of a suite that is
            not built in.
        SelectionError: if there is no such suite.
    """
    held = read_suite_record(folder)
    record = read_run_record(folder) if (folder / RUN_FILE).is_file() else None
    if held is None:
        scores = read_scores(folder)
        recorded = record.suite.name if record else None
        return RunScores(_suite(folder, suite, recorded), scores, record, folder)
    chosen = _suite(folder, suite, held.name)
    contents = read_contents(folder, chosen, code=CODE_VERSION)
    if record is not None:
        record = replace(record, models=contents.models, tasks=contents.tasks)
    return RunScores(chosen, contents.rows, record, folder, contents.left_out)


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
