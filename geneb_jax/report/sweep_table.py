"""The sweep's answer: models by C, the chosen one marked, and the curve of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.analysis import SweepLine
from geneb_jax.report.figure_parts import Figure, rounded_range, ticks
from geneb_jax.report.svg import DASHES, PALETTE, Canvas, Scale, short_name
from geneb_jax.report.tables import Table

__all__ = ["console_sweep", "sweep_figure", "sweep_sentences", "sweep_table"]

#: The mark of the C that held-out training rows chose.
MARK = "*"
_MOST_LINES = 6
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 560.0, 24.0, 260.0


def console_sweep(lines: Sequence[SweepLine]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for a terminal: a row a model and regime, a column a C."""
    strengths = _strengths(lines)
    rows = [
        (
            line.model_id,
            line.regime,
            *(_cell(line, C) for C in strengths),
            "" if line.chosen is None else f"{line.chosen:g}",
        )
        for line in lines
    ]
    return ("model", "regime", *(f"C = {C:g}" for C in strengths), "chosen C"), rows


def _cell(line: SweepLine, C: float) -> str:
    if C not in line.test:
        return "-"
    return f"{line.test[C]:.4f}" + (MARK if C == line.chosen else "")


def sweep_sentences(lines: Sequence[SweepLine]) -> list[str]:
    """What the sweep says, a sentence a model whose C could be chosen."""
    said = []
    for line in lines:
        if line.chosen is None:
            continue
        best = max(line.test, key=lambda C: (line.test[C], -C))
        edge = line.chosen in (min(line.test), max(line.test))
        said.append(
            f"{line.model_id}: C = {line.chosen:g} by held-out training rows (MCC "
            f"{line.held_out[line.chosen]:.4f} there, {line.test[line.chosen]:.4f} on the test "
            f"rows; best on the test rows: {line.test[best]:.4f} at C = {best:g})"
            + (", the end of the range: widen --C" if edge else "")
        )
    return said


def sweep_table(lines: Sequence[SweepLine]) -> Table:
    """The same for the report and its CSV, with the held-out scores."""
    return Table(
        "sweep",
        "Score by C",
        ("model_id", "regime", "C", "mcc", "held_out", "chosen", "tasks"),
        tuple(
            (
                line.model_id,
                line.regime,
                f"{C:g}",
                value,
                line.held_out.get(C),
                MARK if C == line.chosen else None,
                line.tasks,
            )
            for line in lines
            for C, value in line.test.items()
        ),
        "mcc: mean of the category means on the test rows, over the tasks that the model has at "
        "every C. held_out: the same on thirds of the training rows that the probe did not see. "
        f"{MARK}: the C that these choose; a C chosen by its test score would flatter itself.",
    ).without_empty_columns()


def sweep_figure(
    lines: Sequence[SweepLine], titles: Mapping[str, str] | None = None
) -> Figure | None:
    """MCC by C: test rows as a line, held-out training rows dashed; None without a sweep.

    Args:
        lines: The sweep.
        titles: Label -> name to show.
    """
    names = titles or {}
    shown = [line for line in lines if line.held_out][:_MOST_LINES]
    if not shown:
        return None
    strengths = _strengths(shown)
    values = np.array([v for line in shown for m in (line.test, line.held_out) for v in m.values()])
    low, high = rounded_range(values)
    tall = _BOTTOM + 48 + 20 * len(shown)
    canvas = Canvas(
        640, tall, "Score by C", "A line a model: macro MCC on test rows; dashed: on held-out rows."
    )
    y = Scale(low, high, _BOTTOM, _TOP)
    x = Scale(0, max(len(strengths) - 1, 1), _LEFT, _RIGHT)
    for value, words in ticks(low, high, 0.1):
        canvas.line(_LEFT - 8, y(value), _RIGHT + 8, y(value))
        canvas.text(_LEFT - 12, y(value) + 4, words, anchor="end")
    for place, C in enumerate(strengths):
        canvas.text(x(place), _BOTTOM + 16, f"{C:g}", anchor="middle")
    canvas.text(_RIGHT + 34, _BOTTOM + 16, "C")
    for k, line in enumerate(shown):
        colour = PALETTE[k % len(PALETTE)]
        name = names.get(line.model_id, line.model_id)
        for found, dash in ((line.held_out, DASHES[1]), (line.test, "")):
            points = [(x(strengths.index(C)), y(value)) for C, value in found.items()]
            canvas.path(points, stroke=colour, dash=dash)
        for C, value in line.test.items():
            tip = f"{name}, C = {C:g}: {value:.4f}"
            size = 6.5 if C == line.chosen else 3.5
            canvas.mark(x(strengths.index(C)), y(value), k, fill=colour, size=size, tip=tip)
        bottom = _BOTTOM + 44 + 20 * k
        canvas.mark(_LEFT, bottom - 4, k, fill=colour)
        canvas.text(_LEFT + 12, bottom, short_name(name, 60))
    return Figure(
        "figure-sweep",
        "Score by C",
        "Macro MCC at each C, all training rows: on the test rows, and dashed on held-out training "
        "rows, which choose the C with the large mark.",
        canvas.markup(),
        sweep_table(shown),
    )


def _strengths(lines: Sequence[SweepLine]) -> list[float]:
    return sorted({C for line in lines for C in line.test})
