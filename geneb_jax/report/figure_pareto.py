"""Figure 2: size against score, with the Pareto frontier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from geneb_jax.analysis import ScoreCube, aggregate, pareto_frontier
from geneb_jax.report.figure_parts import Figure, by_macro, rounded_range, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Table
from geneb_jax.report.wording import in_metric, metric_title

__all__ = ["pareto_figure"]

_MINE = "#000000"
_WIDTH, _SIZE = 620.0, 14.5
#: Room that a letter of a label takes at most, and how far a label stays from points and lines.
_LETTER, _APART = 0.62 * _SIZE, 3.0

_Point = tuple[float, float]
_Box = tuple[float, float, float, float]


def pareto_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 2; None where no model has a known size."""
    macro = aggregate(cube).macro[:, cube.regime_index(regime)]
    size = cube.params
    known = np.flatnonzero(np.isfinite(size))
    if not len(known):
        return None
    frontier = pareto_frontier(size, macro)
    unsized = np.flatnonzero(~np.isfinite(size))
    canvas = Canvas(
        _WIDTH,
        500,
        f"Size and macro {metric_title(cube.metric)}, {regime}",
        "Each point is a model; the dashed line joins the models that no smaller model equals.",
    )
    left, right, top, bottom = 44.0, _WIDTH - 8, 40.0, 390.0
    low_power = math.floor(math.log10(size[known].min()))
    high_power = math.ceil(math.log10(size[known].max()) + 1e-9)
    x = Scale(low_power, max(high_power, low_power + 1), left + 12, right - 12)
    low, high = rounded_range(macro)
    y = Scale(low, high, bottom, top)
    powers = range(low_power, int(x.high) + 1)
    canvas.x_axis(
        x,
        [(power, _size_tick(power)) for power in powers],
        top=top,
        bottom=bottom,
        label="parameters",
    )
    canvas.y_axis(
        y,
        ticks(low, high, 0.1),
        left=left,
        right=right,
        label=f"macro {metric_title(cube.metric)}, {regime}",
    )
    canvas.path(
        [(x(math.log10(size[row])), y(macro[row])) for row in frontier.tolist()],
        stroke="#1b1f24",
        dash="6 4",
    )
    looks = _architecture_looks(cube)
    for row in unsized.tolist():
        canvas.line(left, y(macro[row]), right, y(macro[row]), stroke=_MINE, dash="2 3")
    points = []
    for row in known.tolist():
        model = cube.models[row]
        own = model.source == "user"
        shape, colour = (5, _MINE) if own else looks[model.architecture]
        place = x(math.log10(size[row])), y(macro[row])
        points.append(place)
        tip = f"{model.title}: {macro[row]:.4f}, {model.params:,} parameters"
        canvas.mark(*place, shape, fill=colour, size=6.0 if own else 5.0, tip=tip)
    edge = [(x(math.log10(size[row])), y(macro[row])) for row in frontier.tolist()]
    lines = list(pairwise(edge))
    lines += [((left, y(macro[row])), (right, y(macro[row]))) for row in unsized.tolist()]
    labels = _Labels(points, lines, (left, top - 8, right, bottom))
    mine = [k for k in known.tolist() if cube.models[k].source == "user"]
    for row in unsized.tolist():
        words = f"{short_name(cube.models[row].title)} (no size)"
        spot = labels.place(right - 4, y(macro[row]), words, ends=("end",))
        if spot:
            canvas.text(spot[0], spot[1], words, size=_SIZE, anchor=spot[2], bold=True)
    for row in [*mine, *(k for k in reversed(frontier.tolist()) if k not in mine)]:
        words = short_name(cube.models[row].title)
        spot = labels.place(x(math.log10(size[row])), y(macro[row]), words)
        if spot:
            own = cube.models[row].source == "user"
            canvas.text(spot[0], spot[1], words, size=_SIZE, anchor=spot[2], bold=own)
    _legend(canvas, looks, bottom + 62, left, any(m.source == "user" for m in cube.models))
    on = set(frontier.tolist())
    rows = tuple(
        (
            cube.model_ids[row],
            cube.models[row].params,
            cube.models[row].architecture,
            float(macro[row]),
            "yes" if row in on else "no",
        )
        for row in by_macro(cube, regime)
    )
    return Figure(
        "figure-2-pareto",
        "Size and score",
        in_metric("Macro MCC", cube.metric)
        + " against parameters (logarithmic). The dashed line is "
        "the Pareto frontier: "
        "models that no smaller model equals. A model without a size, such as k-mer counts, "
        "is a dotted line.",
        canvas.markup(),
        Table(
            "figure-2-pareto",
            f"Size and macro {metric_title(cube.metric)}",
            ("model_id", "params", "architecture", f"macro_{regime}", "on_frontier"),
            rows,
        ),
    )


def _architecture_looks(cube: ScoreCube) -> dict[str, tuple[int, str]]:
    """Shape and colour of each architecture label, most frequent first; the rest share one."""
    labels = cube.labels("architecture").tolist()
    order = sorted(set(labels), key=lambda label: (-labels.count(label), label))
    return {label: (min(k, 4), PALETTE[min(k, 4)]) for k, label in enumerate(order)}


def _legend(
    canvas: Canvas, looks: dict[str, tuple[int, str]], y: float, left: float, mine: bool
) -> None:
    entries: dict[tuple[int, str], list[str]] = {}
    for label, look in looks.items():
        entries.setdefault(look, []).append(label or "not stated")
    marks = [(look, ", ".join(labels)) for look, labels in entries.items()]
    if mine:
        marks.append(((5, _MINE), "this run"))
    x = left
    for (shape, colour), words in marks:
        shown = words if len(words) <= 52 else "others"
        wide = 34 + 0.6 * _SIZE * len(shown)
        if x + wide > canvas.width + 10 and x > left:
            x, y = left, y + 20
        canvas.mark(x + 6, y - 4, shape, fill=colour)
        canvas.text(x + 16, y, shown, size=_SIZE)
        x += wide


class _Labels:
    """Places words beside points, where they cover no point, no line and no other words."""

    def __init__(
        self, points: Sequence[_Point], lines: Sequence[tuple[_Point, _Point]], within: _Box
    ) -> None:
        self._points, self._lines, self._within = points, lines, within
        self._taken: list[_Box] = []

    def place(
        self, x: float, y: float, words: str, ends: tuple[str, ...] = ("start", "end", "middle")
    ) -> tuple[float, float, str] | None:
        """Start, baseline and anchor of the words; None where there is no room near the point."""
        wide = _LETTER * len(words)
        for rise in (0.0, -15.0, 15.0, -22.0, 22.0, -30.0, 30.0):
            for at, anchor in ((x + 10, "start"), (x - 10, "end"), (x, "middle")):
                if anchor not in ends or (anchor == "middle" and not rise):
                    continue
                base = y + 5 + rise
                first = at - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
                box = (first, base - 12, first + wide, base + 4)
                if self._free(box):
                    self._taken.append(box)
                    return at, base, anchor
        return None

    def _free(self, box: _Box) -> bool:
        left, top, right, bottom = self._within
        if box[0] < left or box[1] < top or box[2] > right or box[3] > bottom:
            return False
        if any(_covers(box, point, 6.0 + _APART) for point in self._points):
            return False
        if any(_crosses(box, *line) for line in self._lines):
            return False
        return not any(
            box[0] < o[2] + 4 and o[0] < box[2] + 4 and box[1] < o[3] and o[1] < box[3]
            for o in self._taken
        )


def _covers(box: _Box, point: _Point, apart: float) -> bool:
    return (
        box[0] - apart <= point[0] <= box[2] + apart
        and box[1] - apart <= point[1] <= box[3] + apart
    )


def _crosses(box: _Box, one: _Point, two: _Point) -> bool:
    """Whether a line from one point to another comes near the box (Liang and Barsky's clipping)."""
    low, high = 0.0, 1.0
    for start, step, first, last in (
        (one[0], two[0] - one[0], box[0] - _APART, box[2] + _APART),
        (one[1], two[1] - one[1], box[1] - _APART, box[3] + _APART),
    ):
        if step == 0:
            if not first <= start <= last:
                return False
            continue
        enter, leave = sorted(((first - start) / step, (last - start) / step))
        low, high = max(low, enter), min(high, leave)
    return low <= high


def _size_tick(power: int) -> str:
    number = 10**power
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number // unit}{letter}"
    return str(number)
