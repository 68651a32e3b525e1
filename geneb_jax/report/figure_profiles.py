"""Figures 3 and 4: categories as a heatmap and as radar plots."""

from __future__ import annotations

import math

from geneb_jax.analysis import ScoreCube, aggregate
from geneb_jax.report.figure_parts import Figure, by_macro
from geneb_jax.report.svg import DASHES, PALETTE, Canvas, short_name
from geneb_jax.report.tables import Table
from geneb_jax.report.wording import in_metric, metric_title

__all__ = ["heat_colour", "heatmap_figure", "radar_figure"]


def heat_colour(value: float | None) -> tuple[str, str]:
    """Background and ink of a heatmap cell: eleven steps of one blue, darker for higher."""
    if value is None or not math.isfinite(value):
        return "#ffffff", "#1b1f24"
    step = min(max(int(value * 10 + 0.5), 0), 10)
    stops = ((247, 251, 255), (107, 174, 214), (8, 48, 107))
    low, high = stops[:2] if step <= 5 else stops[1:]
    share = (step if step <= 5 else step - 5) / 5
    colour = "#" + "".join(
        f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True)
    )
    return colour, "#ffffff" if step >= 7 else "#1b1f24"


def heatmap_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 3; None without models."""
    if not cube.models:
        return None
    means = aggregate(cube).category[:, cube.regime_index(regime)]
    order = by_macro(cube, regime)
    cell_width, cell_height, left, top = 44.0, 18.0, 200.0, 108.0
    width = left + cell_width * len(cube.categories) + 70
    canvas = Canvas(
        width,
        top + cell_height * len(order) + 12,
        f"{metric_title(cube.metric)} by category, {regime}",
        "A row a model, best macro mean first; a column a category; darker is higher.",
    )
    for k, name in enumerate(cube.categories):
        canvas.text(left + cell_width * (k + 0.6), top - 8, short_name(name, 18), turn=-50, size=11)
    for line, row in enumerate(order):
        y = top + cell_height * line
        model = cube.models[row]
        canvas.text(
            left - 8,
            y + 13,
            short_name(model.title),
            anchor="end",
            size=11,
            bold=model.source == "user",
        )
        for k in range(len(cube.categories)):
            fill, ink = heat_colour(float(means[row, k]))
            canvas.rect(left + cell_width * k, y, cell_width - 1, cell_height - 1, fill=fill)
            middle = left + cell_width * (k + 0.5)
            canvas.text(
                middle, y + 13, f"{means[row, k]:.2f}", anchor="middle", size=10.5, fill=ink
            )
    rows = tuple((cube.model_ids[row], *means[row].tolist()) for row in order)
    return Figure(
        "figure-3-heatmap",
        "Categories",
        in_metric("Mean MCC of each category; models in order of macro MCC.", cube.metric),
        canvas.markup(),
        Table(
            "figure-3-heatmap",
            f"{metric_title(cube.metric)} by category, {regime}",
            ("model_id", *cube.categories),
            rows,
        ),
    )


def radar_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 4; None for fewer than three categories."""
    count = len(cube.categories)
    if not cube.models or count < 3:
        return None
    means = aggregate(cube).category[:, cube.regime_index(regime)]
    order = by_macro(cube, regime)
    groups = [order[k : k + 5] for k in range(0, len(order), 5)]
    columns, wide, tall, radius = 2, 380.0, 400.0, 105.0
    lines = math.ceil(len(groups) / columns)
    canvas = Canvas(
        columns * wide,
        lines * tall,
        f"Category profiles, {regime}",
        "Radar plots of five models each, in order of the macro mean; the rim is a score of 1, the "
        "centre 0.",
    )
    angles = [2 * math.pi * k / count for k in range(count)]

    def spoke(cx: float, cy: float, k: int, share: float) -> tuple[float, float]:
        reach = radius * min(max(share, 0.0), 1.0)
        return cx + reach * math.sin(angles[k]), cy - reach * math.cos(angles[k])

    for number, group in enumerate(groups):
        cx = (number % columns + 0.5) * wide
        cy = (number // columns) * tall + 150
        first = number * 5 + 1
        canvas.text(cx, cy - 134, f"ranks {first} to {first + len(group) - 1}", anchor="middle")
        for share in (0.25, 0.5, 0.75, 1.0):
            ring = [spoke(cx, cy, k, share) for k in range(count)]
            canvas.path(ring, stroke="#c9ced6", width=1, closed=True)
            canvas.text(cx + 3, cy - radius * share + 10, f"{share:g}", size=9, fill="#5b636e")
        for k, name in enumerate(cube.categories):
            canvas.line(cx, cy, *spoke(cx, cy, k, 1.0))
            x = cx + (radius + 8) * math.sin(angles[k])
            y = cy - (radius + 8) * math.cos(angles[k])
            side = math.sin(angles[k])
            anchor = "middle" if abs(side) < 0.2 else ("start" if side > 0 else "end")
            canvas.text(x, y + 4, short_name(name, 14), size=10.5, anchor=anchor)
        for place, row in enumerate(group):
            colour, dash = PALETTE[place], DASHES[place]
            outline = [spoke(cx, cy, k, float(means[row, k])) for k in range(count)]
            canvas.path(outline, stroke=colour, dash=dash, width=1.8, closed=True)
            y = cy + 150 + 16 * place
            canvas.line(cx - 110, y - 4, cx - 80, y - 4, stroke=colour, dash=dash, width=2.4)
            model = cube.models[row]
            canvas.text(cx - 72, y, short_name(model.title), size=11, bold=model.source == "user")
    rows = tuple(
        (rank, cube.model_ids[row], *means[row].tolist()) for rank, row in enumerate(order, 1)
    )
    return Figure(
        "figure-4-radar",
        "Category profiles",
        "Category means of five models at a time, in order of the macro mean. Negative ones sit in "
        "the centre.",
        canvas.markup(),
        Table(
            "figure-4-radar",
            f"Category profiles, {regime}",
            ("place", "model_id", *cube.categories),
            rows,
        ),
    )
