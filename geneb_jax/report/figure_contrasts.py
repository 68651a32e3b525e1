"""Figure 6, high-variance tasks, and the forest plot of controlled pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geneb_jax.analysis import PairDifference, ScoreCube, end_bands, task_spread
from geneb_jax.report.figure_parts import Figure, ticks
from geneb_jax.report.svg import PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Cell, Table

__all__ = ["high_variance_figure", "pairs_figure"]


def high_variance_figure(cube: ScoreCube, regime: str, threshold: float = 0.12) -> Figure | None:
    """Figure 6; None where no task is above the threshold, or fewer than six models."""
    tasks = [task for task in task_spread(cube, regime) if task.sd > threshold]
    if not tasks or len(cube.models) < 6:
        return None
    bands = end_bands(cube, regime, "corpus", threshold=threshold)
    labels = sorted(
        set(bands.top) | set(bands.bottom),
        key=lambda name: (-bands.top.get(name, 0), bands.bottom.get(name, 0), name),
    )
    tall, left, right, top = 22.0, 236.0, 606.0, 44.0
    second = top + tall * len(tasks) + 70
    canvas = Canvas(
        620,
        second + 60 + 22 * len(labels) + 20,
        f"High-variance tasks, {regime}",
        "Above: tasks on which models differ most. Below: pretraining corpora of the first and "
        "last three models on them.",
    )
    highest = max(task.sd for task in tasks)
    x = Scale(0.0, math.ceil(highest * 20) / 20, left, right)
    canvas.text(8, 20, f"A  standard deviation over models, above {threshold:g}", bold=True)
    canvas.x_axis(x, ticks(0.0, x.high, 0.05), top=top, bottom=second - 62, label="")
    for line, task in enumerate(tasks):
        y = top + tall * line
        canvas.text(left - 6, y + 16, short_name(task.label, 27), anchor="end")
        canvas.rect(left, y + 3, x(task.sd) - left, tall - 6, fill=PALETTE[0], tip=task.task_id)
        canvas.text(x(task.sd) - 4, y + 16, f"{task.sd:.3f}", anchor="end", fill="#fffffe")
    canvas.text(8, second, f"B  corpora among the first and last three ({bands.slots} places each)",
                bold=True)  # fmt: skip
    middle, most = 426.0, max([*bands.top.values(), *bands.bottom.values()])
    unit = 150.0 / most
    canvas.text(middle - 8, second + 26, "last three", anchor="end")
    canvas.text(middle + 8, second + 26, "first three")
    for line, label in enumerate(labels):
        y = second + 36 + 22 * line
        canvas.text(left - 6, y + 16, short_name(label or "not stated", 27), anchor="end")
        up, down = bands.top.get(label, 0), bands.bottom.get(label, 0)
        canvas.rect(middle, y + 2, unit * up, 16, fill=PALETTE[2])
        canvas.rect(middle - unit * down, y + 2, unit * down, 16, fill=PALETTE[1])
        canvas.text(middle + unit * up + 4, y + 16, str(up))
        canvas.text(middle - unit * down - 4, y + 16, str(down), anchor="end")
    canvas.line(middle, second + 32, middle, second + 40 + 22 * len(labels), stroke="#1b1f24")
    data: list[tuple[Cell, ...]] = [
        ("task", task.task_id, task.category, task.mean, task.sd, None, None) for task in tasks
    ]
    data += [
        ("corpus", label, "", None, None, bands.top.get(label, 0), bands.bottom.get(label, 0))
        for label in labels
    ]
    return Figure(
        "figure-6-high-variance",
        "Where the choice of model matters most",
        "A: tasks whose standard deviation over models exceeds the threshold. B: pretraining "
        "corpora of the three best and three worst models on each of them.",
        canvas.markup(),
        Table(
            "figure-6-high-variance",
            "High-variance tasks",
            ("part", "name", "category", "mean", "sd", "first_three", "last_three"),
            tuple(data),
        ),
    )


def pairs_figure(cube: ScoreCube, pairs: Sequence[PairDifference]) -> Figure | None:
    """A forest plot of paired differences; None without pairs."""
    if not pairs:
        return None
    tall, head, left, right, top = 38.0, 30.0, 30.0, 600.0, 26.0
    ordered = sorted(pairs, key=lambda entry: (entry.pair.factor, -entry.macro))
    factors = list(dict.fromkeys(entry.pair.factor for entry in ordered))
    bounds = [
        abs(value)
        for entry in ordered
        for value in (
            (entry.interval.low, entry.interval.high) if entry.interval else (entry.macro,)
        )
    ]
    most = math.ceil(max(bounds) * 20) / 20 or 0.05
    canvas = Canvas(
        620,
        top + tall * len(ordered) + head * len(factors) + 50,
        "Controlled pairs",
        "Under the names of a pair of models the difference of their macro MCC with its 95% "
        "interval.",
    )
    x = Scale(-most, most, left, right)
    bottom = top + tall * len(ordered) + head * len(factors)
    step = 0.05 if most <= 0.2 else 0.1
    canvas.x_axis(x, ticks(-most, most, step), top=top, bottom=bottom, label="first minus second")
    canvas.line(x(0), top, x(0), bottom, stroke="#1b1f24")
    y = top
    for factor in factors:
        canvas.text(8, y + 20, short_name(factor), bold=True)
        y += head
        for entry in (pair for pair in ordered if pair.pair.factor == factor):
            words = " \u2212 ".join(
                short_name(cube.models[cube.model_index(name)].title, 26)
                for name in (entry.pair.model_a, entry.pair.model_b)
            )
            canvas.text(left, y + 15, words, halo=True)
            clear = entry.interval is not None and entry.interval.excludes_zero
            if entry.interval is not None:
                low, high = x(entry.interval.low), x(entry.interval.high)
                canvas.line(low, y + 26, high, y + 26, stroke="#1b1f24", width=1.5)
            colour = PALETTE[0] if clear else "#ffffff"
            canvas.mark(x(entry.macro), y + 26, 0, fill=colour, ring="#1b1f24", size=4,
                        tip=f"{entry.macro:+.4f}")  # fmt: skip
            y += tall
    rows = tuple(
        (
            entry.pair.model_a,
            entry.pair.model_b,
            entry.pair.factor,
            entry.macro,
            entry.interval.low if entry.interval else None,
            entry.interval.high if entry.interval else None,
            entry.pair.stated,
        )
        for entry in ordered
    )
    return Figure(
        "figure-7-pairs",
        "Controlled pairs",
        "Differences of macro MCC between models alike in all but one choice, with 95% bootstrap "
        "intervals over tasks; filled points are clear of zero.",
        canvas.markup(),
        Table(
            "figure-7-pairs",
            "Controlled pairs",
            ("model_a", "model_b", "factor", "delta", "low", "high", "stated"),
            rows,
        ),
    )
