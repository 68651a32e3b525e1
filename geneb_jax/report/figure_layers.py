"""MCC by layer, a line a category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from geneb_jax.analysis import LayerCurves
from geneb_jax.report.figure_parts import Figure, rounded_range, ticks
from geneb_jax.report.layer_tables import layer_name, layer_table
from geneb_jax.report.svg import DASHES, PALETTE, Canvas, Scale, short_name

__all__ = ["layer_figures"]

_MOST_FIGURES = 4
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 560.0, 24.0, 300.0
_MACRO = "mean of the categories"
_LEGEND_COLUMNS, _LEGEND_WIDTH = 2, 290.0
#: Depths that the axis names at most.
_MOST_NAMES = 14


def layer_figures(
    curves: Sequence[LayerCurves], titles: Mapping[str, str] | None = None
) -> tuple[Figure, ...]:
    """A figure a model: the regime with held-out scores, or its first; none for a single layer.

    Args:
        curves: The curves.
        titles: Label -> name to show.
    """
    chosen: dict[str, LayerCurves] = {}
    for one in curves:
        known = chosen.get(one.model_id)
        if len(one.layers) > 1 and (known is None or (known.chosen is None and one.chosen)):
            chosen[one.model_id] = one
    shown = list(chosen.values())[:_MOST_FIGURES]
    names = titles or {}
    return tuple(
        _figure(at, one, names.get(one.model_id, one.model_id)) for at, one in enumerate(shown)
    )


def _figure(at: int, curves: LayerCurves, name: str) -> Figure:
    pooling = curves.chosen.pooling if curves.chosen else curves.poolings[0]
    scores = [one for one in curves.scores if one.pooling == pooling]
    categories = sorted({name for one in scores for name in one.categories})
    lines = {name: [one.categories.get(name, np.nan) for one in scores] for name in categories}
    held = [np.nan if one.held_out is None else one.held_out for one in scores]
    low, high = rounded_range(
        np.array([v for line in (*lines.values(), held) for v in line if np.isfinite(v)])
    )
    entries = (_MACRO, *categories)
    tall = _BOTTOM + 54 + 20 * -(-len(entries) // _LEGEND_COLUMNS)
    title = f"Score by layer: {name}"
    canvas = Canvas(
        640,
        tall,
        title,
        f"A line a category: MCC on test rows by layer, {pooling} pooling, {curves.regime}; thick: "
        "their mean; dashed black: the mean on held-out training rows.",
    )
    y = Scale(low, high, _BOTTOM, _TOP)
    x = Scale(0, max(len(scores) - 1, 1), _LEFT, _RIGHT)
    for value, words in ticks(low, high, 0.1):
        canvas.line(_LEFT - 8, y(value), _RIGHT + 8, y(value))
        canvas.text(_LEFT - 12, y(value) + 4, words, anchor="end")
    step = -(-len(scores) // _MOST_NAMES)
    for place, one in enumerate(scores):
        if place % step == 0 or place == len(scores) - 1:
            canvas.text(x(place), _BOTTOM + 16, layer_name(one.layer), anchor="middle")
    canvas.text(_RIGHT + 34, _BOTTOM + 16, "layer")
    for k, (name, values) in enumerate(lines.items()):
        colour, dash = (
            PALETTE[k % (len(PALETTE) - 1)],
            DASHES[k // (len(PALETTE) - 1) % len(DASHES)],
        )
        _line(canvas, x, y, values, colour=colour, dash=dash)
        for place, value in enumerate(values):
            if np.isfinite(value):
                tip = f"{name}, layer {layer_name(scores[place].layer)}: {value:.4f}"
                canvas.mark(x(place), y(value), k, fill=colour, size=2.5, tip=tip)
    black = PALETTE[-1]
    _line(canvas, x, y, held, colour=black, dash=DASHES[1])
    _line(canvas, x, y, [one.test for one in scores], colour=black, dash="", width=3.0)
    for place, one in enumerate(scores):
        size = 6.5 if one == curves.chosen else 3.5
        tip = f"{_MACRO}, layer {layer_name(one.layer)}: {one.test:.4f}"
        canvas.mark(x(place), y(one.test), 0, fill=black, size=size, tip=tip)
    for k, name in enumerate(entries):
        left = _LEFT + _LEGEND_WIDTH * (k % _LEGEND_COLUMNS)
        bottom = _BOTTOM + 46 + 20 * (k // _LEGEND_COLUMNS)
        colour = PALETTE[(k - 1) % (len(PALETTE) - 1)] if k else black
        canvas.mark(left, bottom - 4, max(k - 1, 0), fill=colour)
        canvas.text(left + 12, bottom, short_name(name, 29))
    return Figure(
        f"figure-layers-{at + 1}",
        title,
        f"MCC on the test rows by layer ({pooling} pooling, {curves.regime}), a line a category; "
        "black: their mean, dashed on held-out training rows, which choose the layer with the "
        "large mark. 0 is the embeddings.",
        canvas.markup(),
        replace(layer_table([curves]), name=f"layers-{at + 1}"),
    )


def _line(
    canvas: Canvas,
    x: Scale,
    y: Scale,
    values: Sequence[float],
    *,
    colour: str,
    dash: str,
    width: float = 1.5,
) -> None:
    points = [(x(k), y(value)) for k, value in enumerate(values) if np.isfinite(value)]
    if len(points) > 1:
        canvas.path(points, stroke=colour, dash=dash, width=width)
