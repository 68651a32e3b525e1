"""The result of a run in a sentence, for the end of its output on screen."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import Leaderboard, LeaderboardRow
from geneb_jax.report.boards import row_decimals
from geneb_jax.report.svg import short_name
from geneb_jax.report.wording import metric_title

__all__ = ["result_sentence"]


def result_sentence(board: Leaderboard, labels: Sequence[str]) -> str:
    """The result of a run in one sentence: its best trained model, its score, where that stands.

    A baseline of the run that scores as high is named behind it; a run of baselines has their best.

    Args:
        board: The leaderboard that ranks the run's models.
        labels: The models of this very run; those of earlier ones are in the board, too.
    """
    own = [row for row in board.rows if row.model.label in labels]
    scored = [row for row in own if row.macro[board.regime] is not None]
    if not scored:
        return ""
    trained = [row for row in scored if not row.model.baseline]
    best = _highest(board, trained or scored)
    rival = _highest(board, [row for row in scored if row.model.baseline] or [best])
    ranked = [row for row in board.rows if row.rank is not None]
    place = f", rank {best.rank} of {len(ranked)}{_firmness(best)}" if best.rank else ""
    count = best.scored[board.regime]
    compared = len(trained or scored)
    word = "trained models" if 0 < len(trained) < len(scored) else "models"
    among = f" (the best of {compared} {word})" if compared > 1 else ""
    beaten = best is rival or (_of(board, best) > _of(board, rival))
    behind = "" if beaten else f"; the baseline {_name(rival)} has {_macro(board, rival)}"
    return (
        f"result: {_name(best)}{among}: macro {metric_title(board.metric)} {_macro(board, best)}"
        f"{_interval(best)} on {count} {'task' if count == 1 else 'tasks'}, {board.regime}"
        f"{place}{behind}."
    )


def _highest(board: Leaderboard, rows: Sequence[LeaderboardRow]) -> LeaderboardRow:
    return max(rows, key=lambda row: _of(board, row))


def _of(board: Leaderboard, row: LeaderboardRow) -> float:
    return row.macro[board.regime] or 0.0


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
