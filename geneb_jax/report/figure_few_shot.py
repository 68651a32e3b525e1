"""Figure 5: what is lost with few labelled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.analysis import ScoreCube, aggregate, few_shot_degradation
from geneb_jax.report.figure_parts import Figure, by_macro, finite, rounded_range, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Table
from geneb_jax.report.wording import in_metric, metric_title

__all__ = ["few_shot_figure"]


#: Where the drawing lies, in pixels: height of a line, left and right end of the scale, its top.
_TALL, _LEFT, _RIGHT, _TOP = 20.0, 212.0, 536.0, 60.0
_EDGE = 614  # right end of the losses
#: Regime names with their places in the cube, full data first.
_Regimes = list[tuple[str, int]]


def few_shot_figure(cube: ScoreCube, regime: str) -> Figure | None:
    """Figure 5; None without a full and a few-shot regime."""
    few = [name for name in cube.regimes if name != "full"]
    if "full" not in cube.regimes or not few:
        return None
    macro = aggregate(cube).macro
    regimes: _Regimes = [(name, cube.regime_index(name)) for name in ("full", *few)]
    rows = [k for k in by_macro(cube, "full") if np.isfinite(macro[k, regimes[0][1]])]
    lost = {
        name: {loss.model_id: loss.relative for loss in losses}
        for name, losses in few_shot_degradation(cube).items()
    }
    if not rows or not lost[few[0]]:
        return None
    return Figure(
        "figure-5-few-shot",
        "Few-shot degradation",
        in_metric("Macro MCC", cube.metric)
        + " with all training rows and with few per class, and the share of the full score that is "
        f"lost at {few[0]}. A weak model loses little because it has little to lose.",
        _drawing(cube, macro, rows, regimes, lost[few[0]]).markup(),
        Table(
            "figure-5-few-shot",
            "Few-shot degradation",
            (
                "model_id",
                *(f"macro_{name}" for name, _ in regimes),
                *(f"relative_drop_{name}" for name in few),
            ),
            tuple(
                (
                    cube.model_ids[row],
                    *(finite(macro[row, place]) for _, place in regimes),
                    *(lost[name].get(cube.model_ids[row]) for name in few),
                )
                for row in rows
            ),
        ),
    )


def _drawing(
    cube: ScoreCube,
    macro: np.ndarray,
    rows: Sequence[int],
    regimes: _Regimes,
    lost: Mapping[str, float | None],
) -> Canvas:
    """A line a model: a mark a regime, and the loss in the first few-shot one."""
    bottom = _TOP + _TALL * len(rows)
    canvas = Canvas(
        620,
        bottom + 48,
        "Few-shot degradation",
        "A row a model: the macro mean with all training rows and with few; on the right the loss.",
    )
    values = macro[rows]
    low, high = rounded_range(values[np.isfinite(values)])
    low = min(low, 0.0)
    x = Scale(low, high, _LEFT + 8, _RIGHT)
    canvas.x_axis(
        x,
        ticks(low, high, 0.1),
        top=_TOP - 6,
        bottom=bottom,
        label=f"macro {metric_title(cube.metric)}",
    )
    for k, (name, _) in enumerate(regimes):
        at = _LEFT + 8 + 104 * k
        canvas.mark(at, 20, k, fill=PALETTE[k])
        canvas.text(at + 10, 24, name)
    canvas.text(_EDGE, _TOP - 10, f"lost at {regimes[1][0]}", anchor="end")
    for line, row in enumerate(rows):
        y = _TOP + _TALL * (line + 0.5)
        model = cube.models[row]
        mine = model.source == "user"
        canvas.text(_LEFT - 6, y + 5, short_name(model.title, 24), anchor="end", bold=mine)
        known = [
            (k, name, float(macro[row, place]))
            for k, (name, place) in enumerate(regimes)
            if np.isfinite(macro[row, place])
        ]
        scores = [value for *_, value in known]
        canvas.line(x(min(scores)), y, x(max(scores)), y, stroke="#8a929c")
        for k, name, value in known:
            tip = f"{model.title}, {name}: {value:.4f}"
            canvas.mark(x(value), y, k, fill=PALETTE[k], tip=tip)
        share = lost.get(model.label)
        if share is not None:
            canvas.text(_EDGE, y + 5, f"{share:.0%}", anchor="end")
    return canvas
