"""The result of a run in a sentence, for the end of its output on screen."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import Leaderboard, LeaderboardRow
from geneb_jax.report.boards import row_decimals
from geneb_jax.report.svg import short_name
from geneb_jax.report.wording import metric_title

__all__ = ["result_sentence"]


def result_sentence(board: Leaderboard, labels: Sequence[str]) -> str:
    """The result of a run in one sentence: its best model, its score, and where that stands.

    Args:
        board: The leaderboard that ranks the run's models.
        labels: The models of this very run; those of earlier ones are in the board, too.
    """
    own = [row for row in board.rows if row.model.label in labels]
    scored = [row for row in own if row.macro[board.regime] is not None]
    if not scored:
        return ""
    best = max(scored, key=lambda row: row.macro[board.regime] or 0.0)
    ranked = [row for row in board.rows if row.rank is not None]
    place = f", rank {best.rank} of {len(ranked)}{_firmness(best)}" if best.rank else ""
    count = best.scored[board.regime]
    among = f" (the best of {len(scored)} models)" if len(scored) > 1 else ""
    return (
        f"result: {_name(best)}{among}: macro {metric_title(board.metric)} {_macro(board, best)}"
        f"{_interval(best)} on {count} {'task' if count == 1 else 'tasks'}, {board.regime}{place}."
    )


def _firmness(row: LeaderboardRow) -> str:
    span = row.rank_range
    return f" (by what can be told apart, {span.low} to {span.high})" if span else ""


def _interval(row: LeaderboardRow) -> str:
    if row.interval is None:
        return ""
    low, high = (f"{bound:.{row_decimals(row)}f}" for bound in row.interval)
    return f" (95% interval over {row.interval_over} {low} to {high})"


def _macro(board: Leaderboard, row: LeaderboardRow) -> str:
    value = row.macro[board.regime]
    return "-" if value is None else f"{value:.{row_decimals(row)}f}"


def _name(row: LeaderboardRow) -> str:
    return short_name(row.model.title, 60)
