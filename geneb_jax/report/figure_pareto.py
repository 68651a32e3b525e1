"""Figure 2: size against score, with the Pareto frontier."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from geneb_jax.analysis import ScoreCube, aggregate, pareto_frontier
from geneb_jax.report.figure_parts import Figure, by_macro, rounded_range, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Table
from geneb_jax.report.wording import in_metric, metric_title

__all__ = ["pareto_figure"]

_MINE = "#000000"


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
        760,
        520,
        f"Size and macro {metric_title(cube.metric)}, {regime}",
        "Each point is a model; the dashed line joins the models that no smaller model equals.",
    )
    left, right, top, bottom = 56.0, 740.0, 40.0, 420.0
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
    mine = [k for k in known.tolist() if cube.models[k].source == "user"]
    wanted = [*mine, *(k for k in frontier.tolist() if k not in mine)]
    taken: list[tuple[float, float, float, float]] = []
    for row in unsized.tolist():
        words = short_name(cube.models[row].title) + " (no size)"
        spot = _free_spot(right - 8, y(macro[row]) - 8, words, points, taken, ends=("end",))
        if spot:
            canvas.text(spot[0], spot[1], words, size=11, anchor=spot[2], bold=True, halo=True)
    for row in wanted:
        words = short_name(cube.models[row].title)
        place = x(math.log10(size[row])), y(macro[row])
        spot = _free_spot(*place, words, points, taken)
        if spot:
            own = cube.models[row].source == "user"
            canvas.text(spot[0], spot[1], words, size=11, anchor=spot[2], bold=own, halo=True)
    _legend(canvas, looks, bottom + 58, left, any(m.source == "user" for m in cube.models))
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
        shown = words if len(words) <= 60 else "others"
        wide = 34 + 7.4 * len(shown)
        if x + wide > canvas.width and x > left:
            x, y = left, y + 20
        canvas.mark(x + 6, y - 4, shape, fill=colour)
        canvas.text(x + 16, y, shown)
        x += wide


def _free_spot(
    x: float,
    y: float,
    words: str,
    points: Sequence[tuple[float, float]],
    taken: list[tuple[float, float, float, float]],
    ends: tuple[str, ...] = ("start", "end", "middle"),
) -> tuple[float, float, str] | None:
    """Where words beside a point cover neither a point nor other words; None if nowhere."""
    wide = 6.1 * len(words)
    spots = [
        (x + 9, y + 4, "start"),
        (x - 9, y + 4, "end"),
        (x, y - 10, "middle"),
        (x, y + 19, "middle"),
        (x + 7, y - 9, "start"),
        (x - 7, y - 9, "end"),
        (x + 7, y + 17, "start"),
        (x - 7, y + 17, "end"),
    ]
    for at, base, anchor in spots:
        if anchor not in ends:
            continue
        first = at - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        box = (first, base - 10, first + wide, base + 3)
        inside = box[0] >= 50 and box[2] <= 760 and box[1] >= 30
        hits_point = any(
            box[0] - 3 <= px <= box[2] + 3 and box[1] - 3 <= py <= box[3] + 3 for px, py in points
        )
        hits_words = any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in taken
        )
        if inside and not hits_point and not hits_words:
            taken.append(box)
            return at, base, anchor
    return None


def _size_tick(power: int) -> str:
    number = 10**power
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number // unit}{letter}"
    return str(number)
