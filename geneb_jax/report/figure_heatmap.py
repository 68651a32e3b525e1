"""Figure 3: scores by category as a heatmap."""

from __future__ import annotations

import math

from geneb_jax.analysis import ScoreCube, aggregate
from geneb_jax.report.figure_parts import Figure, by_macro
from geneb_jax.report.svg import Canvas, short_name
from geneb_jax.report.tables import Table
from geneb_jax.report.wording import in_metric, metric_title

__all__ = ["heat_colour", "heatmap_figure"]

_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP, _SIZE = 31.0, 20.0, 206.0, 122.0, 14.5
_LONGEST = 24
#: Ink on a light cell: a shade of its own, which a dark page must leave as it is.
_ON_LIGHT, _ON_DARK = "#0b0f14", "#fffffe"


def heat_colour(value: float | None) -> tuple[str, str]:
    """Background and ink of a cell: eleven steps of one blue, darker for higher.

    Every pair has a contrast of at least 4.5.
    """
    if value is None or not math.isfinite(value):
        return "#fdfdfd", _ON_LIGHT
    step = min(max(int(value * 10 + 0.5), 0), 10)
    stops = ((247, 251, 255), (125, 184, 220), (8, 48, 107))
    low, high = stops[:2] if step <= 5 else stops[1:]
    share = (step if step <= 5 else step - 5) / 5
    rgb = [round(a + (b - a) * share) for a, b in zip(low, high, strict=True)]
    colour = "#" + "".join(f"{part:02x}" for part in rgb)
    return colour, max((_ON_LIGHT, _ON_DARK), key=lambda ink: _contrast(ink, colour))


def _contrast(one: str, two: str) -> float:
    """Contrast of two colours as the web's accessibility rules define it."""

    def luminance(colour: str) -> float:
        parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(two)))
    return (lighter + 0.05) / (darker + 0.05)


def heatmap_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 3; None without models."""
    if not cube.models:
        return None
    means = aggregate(cube).category[:, cube.regime_index(regime)]
    order = by_macro(cube, regime)
    canvas = Canvas(
        _LEFT + _CELL_WIDTH * len(cube.categories) + 4,
        _TOP + _CELL_HEIGHT * len(order) + 8,
        f"{metric_title(cube.metric)} by category, {regime}",
        "A row a model, best macro mean first; a column a category; darker is higher.",
    )
    for k, name in enumerate(cube.categories):
        x = _LEFT + _CELL_WIDTH * (k + 0.5) + 4
        canvas.text(x, _TOP - 7, short_name(name, 15), turn=-90, size=_SIZE)
    for line, row in enumerate(order):
        y = _TOP + _CELL_HEIGHT * line
        model = cube.models[row]
        canvas.text(_LEFT - 8, y + 15, short_name(model.title, _LONGEST), anchor="end", size=_SIZE,
                    bold=model.source == "user")  # fmt: skip
        for k, name in enumerate(cube.categories):
            value = float(means[row, k])
            fill, ink = heat_colour(value)
            left = _LEFT + _CELL_WIDTH * k
            tip = f"{model.title}, {name}: {value:.4f}"
            canvas.rect(left, y, _CELL_WIDTH - 1, _CELL_HEIGHT - 1, fill=fill, tip=tip)
            middle = left + _CELL_WIDTH / 2 - 0.5
            canvas.text(middle, y + 14.5, _short(value), anchor="middle", size=_SIZE, fill=ink)
    rows = tuple((cube.model_ids[row], *means[row].tolist()) for row in order)
    return Figure(
        "figure-3-heatmap",
        "Categories",
        in_metric(
            "Mean MCC of each category in hundredths after the point (.62 is 0.62); models in "
            "order of macro MCC, darker is higher.",
            cube.metric,
        ),
        canvas.markup(),
        Table(
            "figure-3-heatmap",
            f"{metric_title(cube.metric)} by category, {regime}",
            ("model_id", *cube.categories),
            rows,
        ),
    )


def _short(value: float) -> str:
    """Two decimals without the leading zero."""
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1).replace("-", "\u2212")
