"""Figure 1: where models stand. Dots and intervals on one axis, ties in brackets."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import Leaderboard, LeaderboardRow
from geneb_jax.report.boards import row_decimals, size_text
from geneb_jax.report.figure_parts import Figure, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Cell, Table
from geneb_jax.report.wording import metric_title

__all__ = ["board_table", "standing_drawing", "standing_figure"]

_LEFT, _RIGHT, _VALUE, _TIES = 232.0, 478.0, 526.0, 538.0
_WIDTH, _TALL, _TOP = 560.0, 21.0, 36.0
_SIZE, _MINE = 13.5, "#000000"
_LONGEST = 25


def standing_figure(board: Leaderboard) -> Figure | None:
    """Every ranked model of a leaderboard, with its data; None where nobody is ranked."""
    ranked = [row for row in board.rows if row.rank is not None]
    if not ranked:
        return None
    return Figure(
        "figure-1-leaderboard",
        "Where models stand",
        f"Macro {metric_title(board.metric)} with its 95% interval, {board.regime}. Brackets join "
        "models of one tie group: none of them can be told from another.",
        standing_drawing(board, most=len(ranked)).markup(),
        board_table(board),
    )


def standing_drawing(board: Leaderboard, *, most: int = 16) -> Canvas:
    """The leaders, the run's models and their neighbours: at most ``most`` lines."""
    ranked = [row for row in board.rows if row.rank is not None]
    count = min(most, len(ranked))
    lines = _lines(ranked, count)
    while len(lines) > most and count > 1:
        count -= 1
        lines = _lines(ranked, count)
    bottom = _TOP + _TALL * len(lines)
    title = metric_title(board.metric)
    canvas = Canvas(
        _WIDTH,
        bottom + 40,
        f"Macro {title}, {board.regime}",
        "A row a model, best first: its macro mean as a point, its 95% interval as a line; a "
        "bracket on the right joins models that cannot be told apart.",
    )
    shown = [one for one in lines if not isinstance(one, int)]
    x, step = _axis(board, shown)
    # The bands lie under the grid.
    for place, entry in enumerate(lines):
        if not isinstance(entry, int) and entry.model.source == "user":
            canvas.rect(0, _TOP + _TALL * place, _WIDTH, _TALL, fill="#fff3c4")
    for value, words in ticks(x.low, x.high, step):
        canvas.line(x(value), _TOP - 4, x(value), bottom)
        canvas.text(x(value), bottom + 15, words, anchor="middle", size=_SIZE)
    label = f"macro {title}, {board.regime}"
    canvas.text((_LEFT + _RIGHT) / 2, bottom + 33, label, anchor="middle", size=_SIZE)
    canvas.text(_WIDTH - 2, _TOP - 14, "score, tie group", anchor="end", size=_SIZE)
    for place, entry in enumerate(lines):
        y = _TOP + _TALL * (place + 0.5)
        if isinstance(entry, int):
            words = f"{entry} more {'model' if entry == 1 else 'models'}"
            canvas.text(_LEFT - 8, y + 5, words, anchor="end", size=_SIZE, fill="#454c55")
            canvas.line(_LEFT, y, _RIGHT, y, dash="1 4", stroke="#8a929c")
        else:
            _row(canvas, board, entry, x, y)
    _brackets(canvas, lines)
    return canvas


def board_table(board: Leaderboard) -> Table:
    """A leaderboard as data."""
    rows: list[tuple[Cell, ...]] = []
    for row in board.rows:
        model, span = row.model, row.rank_range
        rows.append(
            (
                row.rank,
                row.tie_group,
                *((span.low, span.high) if span else (None, None)),
                model.label,
                model.title,
                *(row.macro[name] for name in board.regimes),
                *(row.interval or (None, None)),
                *(row.micro[name] for name in board.regimes),
                model.params,
                model.architecture,
                model.tokenization,
                model.corpus,
                model.source,
                *(row.scored[name] for name in board.regimes),
            )
        )
    return Table(
        "figure-1-leaderboard",
        board.title,
        (
            "rank",
            "tie_group",
            "rank_low",
            "rank_high",
            "model_id",
            "display",
            *(f"macro_{name}" for name in board.regimes),
            "macro_low",
            "macro_high",
            *(f"micro_{name}" for name in board.regimes),
            "params",
            "architecture",
            "tokenization",
            "corpus",
            "source",
            *(f"tasks_{name}" for name in board.regimes),
        ),
        tuple(rows),
        f"macro_low and macro_high: 95% interval of macro_{board.regime}.",
    )


def _lines(ranked: Sequence[LeaderboardRow], count: int) -> list[LeaderboardRow | int]:
    """``count`` models, and between them how many are left out."""
    lines: list[LeaderboardRow | int] = []
    before = -1
    for place in _kept(ranked, count):
        if place > before + 1:
            lines.append(place - before - 1)
        lines.append(ranked[place])
        before = place
    if before < len(ranked) - 1:
        lines.append(len(ranked) - 1 - before)
    return lines


def _kept(ranked: Sequence[LeaderboardRow], most: int) -> list[int]:
    """Places to draw: three leaders, the run's models, their neighbours, then from the top."""
    own = [k for k, row in enumerate(ranked) if row.model.source == "user"]
    near = [k + step for k in own for step in (-1, 1)]
    wanted = [*range(3), *own, *near, *range(len(ranked))]
    wanted = [place for place in dict.fromkeys(wanted) if 0 <= place < len(ranked)]
    return sorted(wanted[:most])


def _axis(board: Leaderboard, rows: Sequence[LeaderboardRow]) -> tuple[Scale, float]:
    values = [row.macro[board.regime] or 0.0 for row in rows]
    values += [bound for row in rows if row.interval for bound in row.interval]
    step = 0.1 if max(values) - min(values) <= 0.55 else 0.2
    low = (min(values) - 0.01) // step * step
    high = -((-max(values) - 0.01) // step) * step
    return Scale(low, high, _LEFT, _RIGHT), step


def _row(canvas: Canvas, board: Leaderboard, row: LeaderboardRow, x: Scale, y: float) -> None:
    model, value = row.model, row.macro[board.regime] or 0.0
    mine = model.source == "user"
    digits = row_decimals(row)
    name = f"{row.rank}. {short_name(model.title, _LONGEST)}"
    canvas.text(_LEFT - 8, y + 5, name, anchor="end", size=_SIZE, bold=mine)
    tip = f"{model.title}: {value:.{digits}f}"
    if row.interval:
        low, high = row.interval
        canvas.line(x(low), y, x(high), y, stroke=_MINE if mine else "#5b636e", width=2.0)
        tip += f" ({low:.{digits}f} to {high:.{digits}f})"
    if model.params:
        tip += f", {size_text(model.params)} parameters"
    fill = "#ffffff" if model.untrained else _MINE if mine else PALETTE[0]
    canvas.mark(x(value), y, 3 if mine else 0, fill=fill, size=5, tip=tip,
                ring=_MINE if model.untrained else "#ffffff")  # fmt: skip
    shown = f"{value:.{min(digits, 3)}f}".replace("-", "\u2212")
    canvas.text(_VALUE, y + 5, shown, anchor="end", size=_SIZE, bold=mine)


def _brackets(canvas: Canvas, lines: Sequence[LeaderboardRow | int]) -> None:
    """A bracket over the rows of each tie group; a group's number once."""
    at: dict[int, list[int]] = {}
    for place, entry in enumerate(lines):
        if not isinstance(entry, int) and entry.tie_group is not None:
            at.setdefault(entry.tie_group, []).append(place)
    for group, places in at.items():
        top, end = _TOP + _TALL * places[0], _TOP + _TALL * (places[-1] + 1)
        if len(places) > 1:
            canvas.path([(_TIES - 5, top + 4), (_TIES, top + 4), (_TIES, end - 4),
                         (_TIES - 5, end - 4)], stroke="#5b636e")  # fmt: skip
        canvas.text(_WIDTH - 2, (top + end) / 2 + 5, str(group), anchor="end", size=_SIZE)
