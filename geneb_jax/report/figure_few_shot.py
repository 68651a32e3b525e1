"""Figure 5: what is lost with few labelled rows."""

from __future__ import annotations

import math

import numpy as np

from geneb_jax.analysis import ScoreCube, aggregate, few_shot_degradation
from geneb_jax.report.figure_parts import Figure, by_macro, finite, rounded_range, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Table

__all__ = ["few_shot_figure"]


def few_shot_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 5; None without a full and a few-shot regime."""
    if "full" not in cube.regimes or len(cube.regimes) < 2:
        return None
    macro = aggregate(cube).macro
    base = cube.regime_index("full")
    rows = [k for k in by_macro(cube, "full") if np.isfinite(macro[k, base])]
    losses = few_shot_degradation(cube)
    first = next(name for name in cube.regimes if name != "full")
    relative = {loss.model_id: loss.relative for loss in losses[first]}
    if not rows or not relative:
        return None
    tall, left, right, top = 17.0, 200.0, 640.0, 56.0
    canvas = Canvas(
        760,
        top + tall * len(rows) + 48,
        "Few-shot degradation",
        "A row a model: macro MCC with all training rows and with few; on the right the loss.",
    )
    values = macro[rows]
    low, high = rounded_range(values[np.isfinite(values)])
    low = min(low, 0.0)
    x = Scale(low, high, left + 8, right)
    bottom = top + tall * len(rows)
    canvas.x_axis(x, ticks(low, high, 0.1), top=top - 6, bottom=bottom, label="macro MCC")
    names = [("full", base), *((n, cube.regime_index(n)) for n in cube.regimes if n != "full")]
    for k, (name, _) in enumerate(names):
        at = left + 8 + 110 * k
        canvas.mark(at, 20, k, fill=PALETTE[k])
        canvas.text(at + 10, 24, name)
    canvas.text(752, top - 10, f"lost at {first}", anchor="end", size=11)
    for line, row in enumerate(rows):
        y = top + tall * (line + 0.5)
        model = cube.models[row]
        mine = model.source == "user"
        canvas.text(left - 6, y + 4, short_name(model.title), anchor="end", size=11, bold=mine)
        known = [float(macro[row, k]) for _, k in names if np.isfinite(macro[row, k])]
        canvas.line(x(min(known)), y, x(max(known)), y, stroke="#8a929c")
        for k, (name, place) in enumerate(names):
            value = float(macro[row, place])
            if math.isfinite(value):
                tip = f"{model.title}, {name}: {value:.4f}"
                canvas.mark(x(value), y, k, fill=PALETTE[k], tip=tip)
        share = relative.get(model.label)
        if share is not None:
            canvas.text(752, y + 4, f"{share:.0%}", anchor="end", size=11)
    data = tuple(
        (
            cube.model_ids[row],
            *(finite(macro[row, k]) for _, k in names),
            *(
                next((x.relative for x in losses[n] if x.model_id == cube.model_ids[row]), None)
                for n, _ in names[1:]
            ),
        )
        for row in rows
    )
    return Figure(
        "figure-5-few-shot",
        "Few-shot degradation",
        "Macro MCC with all training rows and with few per class, and the share of the full score "
        f"that is lost at {first}. A weak model loses little because it has little to lose.",
        canvas.markup(),
        Table(
            "figure-5-few-shot",
            "Few-shot degradation",
            (
                "model_id",
                *(f"macro_{name}" for name, _ in names),
                *(f"relative_drop_{name}" for name, _ in names[1:]),
            ),
            data,
        ),
    )
