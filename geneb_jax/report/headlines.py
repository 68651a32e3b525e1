"""The first thing a reader wants to know, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import Leaderboard, LeaderboardRow, Statistics
from geneb_jax.report.boards import row_decimals
from geneb_jax.report.svg import short_name
from geneb_jax.report.wording import metric_title
from geneb_jax.results import listed

__all__ = ["headlines", "result_sentence"]

#: Up to so many parameters a model counts as small.
SMALL = 1e8


def headlines(board: Leaderboard, statistics: Statistics, *, most: int = 6) -> list[str]:
    """One sentence on each of the run's models; on the field where there is no run.

    Args:
        board: The leaderboard that ranks the run's models, if any does.
        statistics: The statistics.
        most: Sentences to give.
    """
    ranked = [row for row in board.rows if row.rank is not None]
    own = [row for row in ranked if row.model.source == "user"]
    if own:
        lines = [_own(board, ranked, row, statistics) for row in own[:most]]
        if rest := [_name(row) for row in own[most:]]:
            lines.append(f"And {len(rest)} more of the run's models, lower: {listed(rest)}.")
        return lines
    return _field(board, ranked, statistics) if len(ranked) > 1 else []


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


def _own(
    board: Leaderboard,
    ranked: Sequence[LeaderboardRow],
    row: LeaderboardRow,
    statistics: Statistics,
) -> str:
    name = row.model.label
    parts = [
        f"{_name(row)}: macro {metric_title(board.metric)} {_macro(board, row)}{_interval(row)} on "
        f"{board.tasks} tasks, rank {row.rank} of {len(ranked)}{_firmness(row)}"
    ]
    tied = [other for other in ranked if other.tie_group == row.tie_group and other is not row]
    if row.tie_group is not None:
        parts.append(f"tie group {row.tie_group}" + (f" with {_names(tied)}" if tied else ""))
    known = {label: value for label, value in row.category.items() if value is not None}
    if len(known) > 1:
        best, worst = (find(known, key=lambda label: known[label]) for find in (max, min))
        parts.append(
            f"strongest in {best} ({_score(known[best])}), weakest in {worst} "
            f"({_score(known[worst])})"
        )
    gains = [b for b in statistics.baselines if b.model_id == name]
    for kind in ("untrained", "composition"):
        found = [b.gain for b in gains if b.kind == kind]
        if found:
            parts.append(f"{min(found):+.4f} against the best {kind} baseline of the run")
    for entry in statistics.leakage_free:
        mine = (entry.model_id, entry.regime) == (name, board.regime)
        if mine and entry.affected and entry.clean_macro is not None:
            parts.append(
                f"{_score(entry.clean_macro)} without the {entry.leaked:,} test rows that "
                "are training rows too"
            )
        if mine and entry.resembling and entry.distinct_macro is not None:
            parts.append(
                f"{_score(entry.distinct_macro)} without the {entry.resembling:,} test rows that "
                "are training rows, their reverse complements or near repeats"
            )
    if chance := statistics.tasks_at_chance.get(name):
        parts.append(f"no better than guessing on {chance} tasks")
    return "; ".join(parts) + "."


def _field(
    board: Leaderboard, ranked: Sequence[LeaderboardRow], statistics: Statistics
) -> list[str]:
    regime, first = board.regime, ranked[0]
    tied = [row for row in ranked[1:] if row.tie_group == first.tie_group]
    lines = [
        f"Best overall: {_name(first)}, macro {metric_title(board.metric)} "
        f"{_macro(board, first)}{_interval(first)}"
        + (f"; in its tie group: {_names(tied)}." if tied else ".")
    ]
    small = [row for row in ranked if (row.model.params or SMALL + 1) <= SMALL]
    if small and small[0] is not first:
        lines.append(
            f"Best up to 100M parameters: {_name(small[0])}, {_macro(board, small[0])} "
            f"(rank {small[0].rank})."
        )
    leaders = {name for names in statistics.category_leaders[regime].values() for name in names}
    if len(leaders) > 1:
        lines.append(
            f"No model is best everywhere: {len(leaders)} different models lead the "
            f"{len(board.categories)} categories; the table under Choosing a model says which."
        )
    means = statistics.mean_macro
    if len(means) > 1:
        shown = ", ".join(f"{name} {_score(value)}" for name, value in means.items())
        lines.append(f"Mean over all models by amount of training data: {shown}.")
    return lines


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


def _names(rows: Sequence[LeaderboardRow]) -> str:
    return listed([_name(row) for row in rows])


def _name(row: LeaderboardRow) -> str:
    return short_name(row.model.title, 60)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
