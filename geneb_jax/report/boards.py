"""Which leaderboards a report shows, and the same as plain rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geneb_jax.analysis import (
    Leaderboard,
    LeaderboardRow,
    Panel,
    ScoreCube,
    build_panel,
    leaderboard,
)
from geneb_jax.benchmark import Suite
from geneb_jax.report.wording import decimals_of, metric_title
from geneb_jax.results import RunRecord, RunScores, ScoreRow

__all__ = [
    "boards_of",
    "console_columns",
    "console_rows",
    "leaderboard_rows",
    "row_decimals",
    "size_text",
]


def boards_of(panel: Panel) -> tuple[Leaderboard, ...]:
    """The leaderboard that ranks the run's models; then the whole suite's, if it does not.

    Scores on data unlike the benchmark's have one of their own, last.
    """
    suite = panel.suite
    tasks = len(suite.tasks)
    said = ["simulated data"] if suite.simulated else []
    said += _unlike_words(panel)
    said += [f"by {metric_title(panel.cube.metric)}"] if panel.cube.metric != "mcc" else []
    marks = "".join(f"{word}; " for word in said)
    not_score = f"not the {suite.title} score"

    def board(cube: ScoreCube, title: str, notes: tuple[str, ...] = ()) -> Leaderboard:
        return leaderboard(
            cube,
            title=title,
            regime=_regime(cube),
            predictions=panel.predictions,
            notes=notes,
        )

    found = []
    if panel.common is not None:
        count = len(panel.common.tasks)
        title = f"The {count} tasks of this run ({marks}{not_score})"
        found.append(board(panel.common, title, panel.left_out))
    notes = () if panel.common is not None else panel.left_out
    found.append(board(panel.cube, f"{suite.title} ({marks}{tasks} tasks)", notes))
    if panel.unlike is not None:
        count = len(panel.unlike.tasks)
        title = f"The {count} tasks on data unlike the benchmark's: your models alone ({not_score})"
        found.append(board(panel.unlike, title))
    return tuple(found)


def _unlike_words(panel: Panel) -> list[str]:
    """What a title says of the data, where published scores are not beside."""
    if panel.own_data:
        return ["data unlike the benchmark's"]
    scored = np.isfinite(panel.cube.mcc).any(axis=1)
    return ["some data unlike the benchmark's"] if (panel.cube.unlike & scored).any() else []


def _regime(cube: ScoreCube) -> str:
    """The first regime that ranks one of the run's models (or any model), else the first."""
    own = np.array([model.source == "user" for model in cube.models], dtype=bool)
    for regime in cube.regimes:
        whole = cube.complete(regime)
        if (whole & own).any() if own.any() else whole.any():
            return regime
    return cube.regimes[0]


def leaderboard_rows(
    suite: Suite,
    scores: Sequence[ScoreRow],
    run: RunRecord | None = None,
    folder: Path | None = None,
    *,
    published: bool = True,
) -> Leaderboard:
    """The leaderboard a finished run should print: ranked where the run allows it.

    With every task of the suite scored that is the suite's own ranking. Otherwise it is the
    ranking over the tasks of the run, for all models alike, and its title says so.

    Args:
        suite: The suite of the run (whole, or restricted to the chosen tasks).
        scores: Rows of scores.csv.
        run: run.json.
        folder: The output folder, where predictions are kept.
        published: Whether to show the published models beside the run's, where that is fair.
    """
    panel = build_panel([RunScores(suite, scores, run, folder)], published=published)
    return boards_of(panel)[0]


def console_columns(board: Leaderboard) -> tuple[str, ...]:
    """Titles for :func:`console_rows`."""
    return ("rank", "tie", "model", "params", *(f"macro {r}" for r in board.regimes), "tasks")


def console_rows(board: Leaderboard, *, neighbours: int = 3) -> list[tuple[str, ...]]:
    """A leaderboard as short texts: the leaders, the user's models and those around them.

    Args:
        board: The leaderboard.
        neighbours: How many models to keep before and after each of the user's, and at the top.

    Returns:
        Rows in the order of :func:`console_columns`; a row of ellipses stands for what is left out.
    """
    keep: set[int] = set(range(min(neighbours, len(board.rows))))
    for place, row in enumerate(board.rows):
        if row.model.source == "user":
            keep |= set(range(place - neighbours, place + neighbours + 1))
    lines: list[tuple[str, ...]] = []
    width = len(console_columns(board))
    for place, row in enumerate(board.rows):
        if place in keep:
            lines.append(_line(board, row))
        elif not lines or lines[-1][0] != "...":
            lines.append(("...",) + ("",) * (width - 1))
    return lines


def _line(board: Leaderboard, row: LeaderboardRow) -> tuple[str, ...]:
    mark = "> " if row.model.source == "user" else "  "
    macro = [_score(row.macro[name], row_decimals(row)) for name in board.regimes]
    own = [one for one in board.rows if one.model.source == "user"] or board.rows
    run = [name for name in board.regimes if any(one.scored[name] for one in own)]
    fewest = min(row.scored[name] for name in run or board.regimes)
    return (
        "" if row.rank is None else str(row.rank),
        "" if row.tie_group is None else str(row.tie_group),
        mark + row.model.title,
        size_text(row.model.params),
        *macro,
        f"{fewest}/{board.tasks}",
    )


def row_decimals(row: LeaderboardRow) -> int:
    """Decimals of a row's scores: those that its interval leaves meaning to."""
    return decimals_of(*(row.interval or (None, None)))


def _score(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def size_text(params: int | None) -> str:
    """A number of parameters in three figures: 7.73M, 110M, 2.5B; empty where unknown."""
    if params is None:
        return ""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if params >= unit:
            return f"{params / unit:.3g}{letter}"
    return str(params)
