"""The one kit of which figures are made: pieces of inline SVG, in pixels.

Colours come from the page's style sheet by class names, so that they follow its dark mode. Each function returns
`Markup`; every text from outside is escaped by `Markup.format`. Figures of a run are in `job.report.figures`, those of
a benchmark in `job.benchmark.charts`.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from job.report import text

WIDTH = 860
"""Width of a figure that fills the page."""

# Wider ones are half as large on a phone of 390 pixels.
_BROAD = 640
# Numbers beyond these get hues by the golden angle; markers change too, for those who can't tell hues apart.
_PALETTE = ("#2f7ed8", "#e8833a", "#3a9d5d", "#c8487c", "#8a63d2", "#a88b1f", "#1fa3ad", "#d0483b")
_GOLDEN_ANGLE = 137.508


def colour(index: int) -> str:
    """A colour for the number `index`, readable on white and on black."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    return f"hsl({index * _GOLDEN_ANGLE % 360:.0f} {55 + index % 3 * 12}% {46 + index % 2 * 10}%)"


def svg(width: float, height: float, note: str, parts: Sequence[Markup], *, natural: bool = False) -> Markup:
    """A whole figure; `note` says what it shows to those who can't see it.

    `natural` figures keep their size and scroll; the others shrink with the page, but broad ones not to that of a
    phone, on which their words could not be read.
    """
    kind = " natural" if natural else " broad" if width > _BROAD else ""
    return Markup(
        '<svg class="figure{}" viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(kind, width, height, width, height, note, Markup("").join(parts))


def words(x: float, y: float, said: str, kind: str = "axis", anchor: str = "start", font: int = 13) -> Markup:
    """A line of text of the class `kind`, whose start, middle or end (`anchor`) is at (x, y)."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}">{}</text>').format(
        kind, x, y, anchor, font, text.clean(said)
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> Markup:
    """A straight line of the class `kind`."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def path(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Straight lines through the points, of the class `kind`."""
    return Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in points))


def bar(x: float, y: float, width: float, height: float, kind: str, hint: str = "") -> Markup:
    """A rectangle of the class `kind`, with what shows under the pointer."""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.2f}" height="{:.0f}" rx="2">{}</rect>').format(
        kind, x, y, width, height, title(hint)
    )


def frame(x: float, y: float, width: float, height: float) -> Markup:
    """A rectangle in the colour of panels, with an edge."""
    return Markup('<rect class="paper" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="6"/>').format(
        x, y, width, height
    )


def arrow(x: float, top: float, bottom: float) -> Markup:
    """An arrow that points down."""
    head = f"{x - 5:.1f},{bottom - 7:.1f} {x + 5:.1f},{bottom - 7:.1f} {x:.1f},{bottom:.1f}"
    return line(x, top, x, bottom - 7, "flow") + Markup('<polygon class="flow" points="{}"/>').format(head)


def title(hint: str) -> Markup:
    """What shows under the pointer; nothing for an empty text."""
    return Markup("<title>{}</title>").format(hint) if hint else Markup("")


def marker(index: int, x: float, y: float, radius: float, style: Markup, hint: str = "") -> Markup:
    """Circle, square, diamond or triangle, in turn by `index`; `style` are attributes."""
    shape = index % 4
    if shape == 0:
        return Markup('<circle {} cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>').format(
            style, x, y, radius, title(hint)
        )
    corners = {
        1: ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
        2: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        3: ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    }[shape]
    points = " ".join(f"{x + dx * radius:.1f},{y + dy * radius:.1f}" for dx, dy in corners)
    return Markup('<polygon {} points="{}">{}</polygon>').format(style, points, title(hint))


def ticks(longest: float) -> list[float]:
    """About five round numbers from 0 to `longest`, which is more than 0."""
    raw = longest / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [number * step for number in range(int(longest / step) + 1)]
