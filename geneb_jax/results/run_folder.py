"""Read a run's output folder back: its scores, its run.json, and the suite they belong to."""

from __future__ import annotations

from pathlib import Path

from geneb_jax.benchmark import Suite, builtin_suites, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results.run_record import RUN_FILE, read_run_record
from geneb_jax.results.run_scores import RunScores
from geneb_jax.results.score_tables import read_scores

__all__ = ["read_run_folder"]

#: The suite of a scores.csv without a run.json beside it.
_DEFAULT_SUITE = "geneb"


def read_run_folder(folder: Path, suite: str | Path | None = None) -> RunScores:
    """Read ``scores.csv`` and ``run.json`` of a folder.

    Args:
        folder: A run's output folder.
        suite: The suite, by name or folder; by default the built-in one that run.json names, and
            ``geneb`` where there is no run.json.

    Raises:
        DataError: if the folder has no scores, run.json is damaged, or they are of a suite that is
            not built in.
        SelectionError: if there is no such suite.
    """
    scores = read_scores(folder)
    record = read_run_record(folder) if (folder / RUN_FILE).is_file() else None
    recorded = record.suite.name if record else None
    return RunScores(_suite(folder, suite, recorded), scores, record, folder)


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
