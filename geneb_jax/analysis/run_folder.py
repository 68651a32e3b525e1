"""Read a run's output folder back: its scores, its run.json, and the suite they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geneb_jax.analysis.run_scores import RunScores
from geneb_jax.benchmark import Suite, builtin_suites, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import RUN_FILE, read_run_json, read_scores

__all__ = ["read_run_folder"]


def read_run_folder(folder: Path, suite: str | Path | None = None) -> RunScores:
    """Read ``scores.csv`` and ``run.json`` of a folder.

    Args:
        folder: A run's output folder.
        suite: The suite, by name or folder; by default the built-in one that run.json names, and
            ``geneb`` where there is no run.json.

    Raises:
        DataError: if the folder has no scores, or they are of a suite that is not built in.
        SelectionError: if there is no such suite.
    """
    scores = read_scores(folder)
    run: Mapping[str, Any] = read_run_json(folder) if (folder / RUN_FILE).is_file() else {}
    return RunScores(_suite(folder, suite, run), scores, run, folder)


def _suite(folder: Path, named: str | Path | None, run: Mapping[str, Any]) -> Suite:
    recorded = run.get("suite", "geneb")
    if named is not None:
        suite = load_suite(named)
        if run and suite.name != recorded:
            raise DataError(
                f"the run is of the suite {recorded!r}, not {suite.name!r}",
                where=folder / RUN_FILE,
                hint="name the suite it was run with",
            )
        return suite
    if recorded not in builtin_suites():
        raise DataError(
            f"the run is of the suite {recorded!r}, which is not built in",
            where=folder / RUN_FILE,
            hint="name its folder with --suite",
        )
    return load_suite(recorded)
