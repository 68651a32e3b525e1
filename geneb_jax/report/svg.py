"""Draw SVG by hand: a canvas with a pixel grid, axes, and the marks the figures need.

Hand-drawn rather than plotted, because a report must be the same bytes for the same scores, be
small, scale with the page, print, and treat every name as text. Colours are Okabe and Ito's, which
people of all colour vision can tell apart; whatever colour says is also said by shape, dash, order
or a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

__all__ = ["DASHES", "PALETTE", "Canvas", "Scale", "short_name"]

#: Okabe and Ito (2008), darkest last; yellow is left out, which fades on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3")

_FONT = "font-family:system-ui,'DejaVu Sans',Arial,sans-serif"
_SHAPES = ("circle", "square", "triangle", "diamond", "cross", "star")


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to pixels; either end may be the larger."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        share = 0.5 if span == 0 else (value - self.low) / span
        return self.start + share * (self.end - self.start)


@dataclass(eq=False)
class Canvas:
    """An SVG in the making; :meth:`markup` gives the whole of it.

    Args:
        width: Width in CSS pixels.
        height: Height in CSS pixels.
        title: What a screen reader says first.
        description: What the picture shows, for those who do not see it.
    """

    width: float
    height: float
    title: str
    description: str
    _parts: list[Markup] = field(default_factory=list)

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        stroke: str = "#c9ced6",
        width: float = 1.0,
        dash: str = "",
    ) -> None:
        """A straight line."""
        self._add(
            "<line x1='{}' y1='{}' x2='{}' y2='{}' stroke='{}' stroke-width='{}'{}/>",
            *map(_px, (x1, y1, x2, y2)),
            stroke,
            _px(width),
            _dashed(dash),
        )

    def path(
        self,
        points: Sequence[tuple[float, float]],
        *,
        stroke: str,
        width: float = 1.5,
        dash: str = "",
        fill: str = "none",
        closed: bool = False,
    ) -> None:
        """A line through points, closed on demand."""
        steps = "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
        self._add(
            "<path d='M{}{}' stroke='{}' stroke-width='{}' fill='{}' stroke-linejoin='round'{}/>",
            steps,
            "Z" if closed else "",
            stroke,
            _px(width),
            fill,
            _dashed(dash),
        )

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str, tip: str = ""
    ) -> None:
        """A filled rectangle."""
        self._add(
            "<rect x='{}' y='{}' width='{}' height='{}' fill='{}'{}",
            *map(_px, (x, y, width, height)),
            fill,
            _tip(tip, "rect"),
        )

    def mark(
        self,
        x: float,
        y: float,
        shape: int,
        *,
        fill: str,
        size: float = 4.5,
        ring: str = "#ffffff",
        tip: str = "",
    ) -> None:
        """A point as one of six shapes, centred, with its name as a tooltip."""
        name = _SHAPES[shape % len(_SHAPES)]
        if name == "circle":
            self._add(
                "<circle cx='{}' cy='{}' r='{}' fill='{}' stroke='{}'{}",
                _px(x),
                _px(y),
                _px(size),
                fill,
                ring,
                _tip(tip, "circle"),
            )
            return
        corners = {
            "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            "triangle": [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            "diamond": [(0, -1.3), (1.1, 0), (0, 1.3), (-1.1, 0)],
            "cross": [
                (-0.4, -1.2),
                (0.4, -1.2),
                (0.4, -0.4),
                (1.2, -0.4),
                (1.2, 0.4),
                (0.4, 0.4),
                (0.4, 1.2),
                (-0.4, 1.2),
                (-0.4, 0.4),
                (-1.2, 0.4),
                (-1.2, -0.4),
                (-0.4, -0.4),
            ],
            "star": [
                (0, -1.7),
                (0.45, -0.55),
                (1.6, -0.5),
                (0.7, 0.25),
                (1.0, 1.4),
                (0, 0.75),
                (-1.0, 1.4),
                (-0.7, 0.25),
                (-1.6, -0.5),
                (-0.45, -0.55),
            ],
        }[name]
        steps = "L".join(f"{_px(x + size * dx)} {_px(y + size * dy)}" for dx, dy in corners)
        self._add("<path d='M{}Z' fill='{}' stroke='{}'{}", steps, fill, ring, _tip(tip, "path"))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 14.5,
        anchor: str = "start",
        fill: str = "#1b1f24",
        bold: bool = False,
        turn: float = 0.0,
        halo: bool = False,
    ) -> None:
        """Words with their baseline at ``y``.

        ``turn`` is in degrees, around the same point; ``halo`` keeps them legible over lines.
        """
        self._add(
            "<text x='{}' y='{}' font-size='{}' text-anchor='{}' fill='{}'{}{}{}>{}</text>",
            _px(x),
            _px(y),
            _px(size),
            anchor,
            fill,
            Markup(" font-weight='700'") if bold else "",
            Markup(" transform='rotate({} {} {})'").format(_px(turn), _px(x), _px(y))
            if turn
            else "",
            Markup(" stroke='#ffffff' stroke-width='3' paint-order='stroke'") if halo else "",
            words,
        )

    def x_axis(
        self,
        scale: Scale,
        ticks: Sequence[tuple[float, str]],
        *,
        top: float,
        bottom: float,
        label: str,
    ) -> None:
        """Vertical grid lines, their labels under ``bottom``, and the axis's name under them."""
        for value, words in ticks:
            self.line(scale(value), top, scale(value), bottom)
            self.text(scale(value), bottom + 17, words, anchor="middle")
        middle = (scale.start + scale.end) / 2
        self.text(middle, bottom + 36, label, anchor="middle")

    def y_axis(
        self,
        scale: Scale,
        ticks: Sequence[tuple[float, str]],
        *,
        left: float,
        right: float,
        label: str,
    ) -> None:
        """Horizontal grid lines with their labels left of ``left``, and the axis's name above."""
        for value, words in ticks:
            self.line(left, scale(value), right, scale(value))
            self.text(left - 6, scale(value) + 5, words, anchor="end")
        self.text(left - 6, min(scale.start, scale.end) - 10, label, anchor="start", bold=True)

    def markup(self) -> Markup:
        """The SVG element, complete and self-contained."""
        head = Markup(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {}' width='{}' height='{}' "
            "role='img' style=\"{}\"><title>{}</title><desc>{}</desc>"
            "<rect width='100%' height='100%' fill='#ffffff'/>"
        ).format(
            _px(self.width),
            _px(self.height),
            _px(self.width),
            _px(self.height),
            Markup(_FONT),  # noqa: S704 (a constant)
            self.title,
            self.description,
        )
        return head + Markup("").join(self._parts) + Markup("</svg>")

    def _add(self, template: str, *values: object) -> None:
        # The template is ours; Markup.format escapes every value that is not Markup itself.
        self._parts.append(Markup(template).format(*values))  # noqa: S704


def short_name(name: str, longest: int = 28) -> str:
    """A name cut to ``longest`` characters, the cut shown by an ellipsis."""
    return name if len(name) <= longest else name[: longest - 1] + "\u2026"


def _px(value: float) -> str:
    """A coordinate with at most one decimal, which is enough for the eye and keeps files small."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _dashed(dash: str) -> Markup:
    return Markup(" stroke-dasharray='{}'").format(dash) if dash else Markup("")


def _tip(tip: str, element: str) -> Markup:
    if not tip:
        return Markup("/>")
    return Markup("><title>{}</title></{}>").format(escape(tip), element)
