"""The report's figures as inline SVG: colours come from the page's style sheet, so they follow its dark mode.

Each function returns `Markup`; every name from outside is escaped by `Markup.format`.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from job.report import text

WIDTH = 860
SPLITS = ("train", "test", "all")
# Categories beyond these get hues by the golden angle; markers change too, for those who can't tell hues apart.
_PALETTE = ("#2f7ed8", "#e8833a", "#3a9d5d", "#c8487c", "#8a63d2", "#a88b1f", "#1fa3ad", "#d0483b")
_GOLDEN_ANGLE = 137.508


def category_colour(index: int) -> str:
    """A colour for the category `index`, readable on white and on black."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    return f"hsl({index * _GOLDEN_ANGLE % 360:.0f} {55 + index % 3 * 12}% {46 + index % 2 * 10}%)"


def seconds_bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> Markup:
    """Horizontal bars, one an operation, its splits end to end; `rows` are (operation, seconds by split)."""
    if not rows:
        return Markup("")
    left, right, step = 170, 90, 30
    longest = max(sum(by_split.values()) for _, by_split in rows) or 1.0
    scale = (WIDTH - left - right) / longest
    height = len(rows) * step + 34
    parts = []
    for tick in _ticks(longest):
        parts.append(_line(left + tick * scale, 4, left + tick * scale, height - 24))
        parts.append(_text(left + tick * scale, height - 8, f"{tick:g} s", "axis", "middle"))
    for number, (operation, by_split) in enumerate(rows):
        top = number * step + 8
        parts.append(_text(left - 10, top + 14, operation, "label", "end"))
        x = float(left)
        for split in SPLITS:
            taken = by_split.get(split)
            if taken is None:
                continue
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="18" rx="2"><title>{}</title></rect>'
                ).format(split, x, top, max(taken * scale, 0.8), f"{operation}, {split}: {text.seconds(taken)}")
            )
            x += max(taken * scale, 0.8)
        parts.append(_text(x + 8, top + 14, text.seconds(sum(by_split.values())), "value", "start"))
    return _svg(
        WIDTH, height, "Bar chart: seconds per operation, train and test; the table below has the numbers.", parts
    )


def comparison_dots(rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str]) -> Markup:
    """Seconds of several systems per operation on a logarithmic axis; `rows` are (operation, seconds by `names`)."""
    values = [value for _, series in rows for value in series if value is not None and value > 0]
    if not values:
        return Markup("")
    left, right, step = 170, 30, 34
    low = math.floor(math.log10(max(min(values), 0.001)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    height = len(rows) * step + 36

    def place(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return left + share * (WIDTH - left - right)

    parts = []
    for power in range(low, high + 1):
        x = place(10.0**power)
        parts.append(_line(x, 4, x, height - 26))
        parts.append(_text(x, height - 8, f"{10.0**power:g} s", "axis", "middle"))
    for number, (operation, series) in enumerate(rows):
        y = number * step + 22
        parts.append(_text(left - 10, y + 5, operation, "label", "end"))
        points = [(place(value), value, index) for index, value in enumerate(series) if value is not None]
        if points:
            parts.append(_line(min(points)[0], y, max(points)[0], y, "span"))
        # This run comes first in `names` and is drawn last, on top.
        for x, value, index in reversed(points):
            hint = f"{operation}, {names[index]}: {text.seconds(value)}"
            parts.append(_marker(index, x, y, 7, Markup('class="series{}"').format(index), hint))
    return _svg(
        WIDTH, height, "Dot plot on a logarithmic axis: seconds per operation of " + ", ".join(names) + ".", parts
    )


def series_key(index: int) -> Markup:
    """The marker of `comparison_dots`' series `index`, for a legend."""
    return Markup('<svg class="key" width="16" height="16" aria-hidden="true">{}</svg>').format(
        _marker(index, 8, 8, 6, Markup('class="series{}"').format(index), "")
    )


def category_key(index: int) -> Markup:
    """The marker of `scatter`'s category `index`, for a legend."""
    return Markup('<svg class="key" width="14" height="14" aria-hidden="true">{}</svg>').format(
        _marker(index, 7, 7, 5, Markup('fill="{}"').format(category_colour(index)), "")
    )


def confusion_map(counts: NDArray[np.int64], labels: Sequence[str]) -> Markup:
    """Heat map of a confusion matrix, int of shape (n, n): rows true, columns predicted, shade by share of the row.

    Few categories are drawn large and with their counts; many in small squares whose counts show under the pointer.
    """
    size = len(labels)
    if not size:
        return Markup("")
    side = next((side for most, side in ((4, 84), (8, 60), (14, 46), (30, 30)) if size <= most), 13)
    font = 13 if side >= 30 else 10
    margin = max(130, min(220, 24 + round(max(map(len, labels)) * font * 0.58)))
    top = margin if side < 84 else 50
    width, height = margin + size * side + 20, top + size * side + 12
    totals = counts.sum(axis=1)
    parts = [
        _text(4, 16, "true ↓   predicted →", "axis", "start"),
        Markup('<rect class="paper" x="{}" y="{}" width="{}" height="{}"/>').format(
            margin, top, size * side, size * side
        ),
    ]
    for index, label in enumerate(labels):
        middle = index * side + side / 2
        short = text.cell(label, 34)
        parts.append(_text(margin - 7, top + middle + font * 0.35, short, "label", "end", font))
        if side >= 84:
            parts.append(_text(margin + middle, top - 10, short, "label", "middle", font))
        else:
            turn = Markup('transform="translate({:.1f} {:.1f}) rotate(-90)"').format(
                margin + middle + font * 0.35, top - 7
            )
            parts.append(Markup('<text class="label" font-size="{}" {}>{}</text>').format(font, turn, short))
    for row, column in np.argwhere(counts):
        count = int(counts[row, column])
        share = count / int(totals[row])
        kind = "right" if row == column else "wrong"
        hint = f"{labels[row]} taken for {labels[column]}: {count} of {totals[row]} ({text.percent(share)})"
        x, y = margin + column * side, top + row * side
        # The square root keeps a share of 1 % visible.
        parts.append(
            Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}"><title>{}</title></rect>'
            ).format(kind, x + 0.5, y + 0.5, side - 1, side - 1, 0.12 + 0.88 * math.sqrt(share), hint)
        )
        if side >= 30:
            strong = "count strong" if share > 0.3 else "count"
            parts.append(_text(x + side / 2, y + side / 2 + 5, str(count), strong, "middle", 15 if side >= 60 else 11))
    note = "Confusion matrix as a heat map; rows are true categories, columns predicted ones."
    return _svg(width, height, note, parts, natural=True)


def scatter(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cats: NDArray[np.int64],
    rings: NDArray[np.bool_],
    labels: Sequence[str],
) -> Markup:
    """Points (x, y) of shape (n,), coloured and shaped by category; where `rings` is true, only outlined."""
    if not len(x):
        return Markup("")
    height, edge = 520, 30
    left, bottom = x.min(), y.min()
    wide, tall = (x.max() - left) or 1.0, (y.max() - bottom) or 1.0
    across = edge + (x - left) / wide * (WIDTH - 2 * edge)
    down = height - edge - (y - bottom) / tall * (height - 2 * edge)
    parts = [
        Markup('<rect class="paper" x="1" y="1" width="{}" height="{}" rx="6"/>').format(WIDTH - 2, height - 2),
        _text(WIDTH - 14, height - 10, "component 0 →", "axis", "end"),
        _text(14, 22, "↑ component 1", "axis", "start"),
    ]
    for index, label in enumerate(labels):
        colour = category_colour(index)
        for ring in (False, True):
            chosen = np.flatnonzero((cats == index) & (rings == ring))
            if not len(chosen):
                continue
            style = (
                Markup('fill="none" stroke="{}" stroke-width="1.4"')
                if ring
                else Markup('fill="{}" fill-opacity="0.72"')
            ).format(colour)
            hint = f"{label} ({'test' if ring else 'train'})"
            marks = [_marker(index, float(across[point]), float(down[point]), 4, Markup(""), "") for point in chosen]
            parts.append(Markup("<g {}><title>{}</title>{}</g>").format(style, hint, Markup("").join(marks)))
    note = f"Map of pictures by their first two principal components, coloured by {len(labels)} categories."
    return _svg(WIDTH, height, note, parts)


def _svg(width: float, height: float, note: str, parts: Sequence[Markup], *, natural: bool = False) -> Markup:
    """`natural` figures keep their size and scroll; the others shrink with the page."""
    return Markup(
        '<svg class="figure{}" viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(" natural" if natural else "", width, height, width, height, note, Markup("").join(parts))


def _text(x: float, y: float, words: str, kind: str, anchor: str, font: int = 13) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}">{}</text>').format(
        kind, x, y, anchor, font, text.clean(words)
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _marker(index: int, x: float, y: float, radius: float, style: Markup, hint: str) -> Markup:
    """Circle, square, diamond or triangle, in turn."""
    title = Markup("<title>{}</title>").format(hint) if hint else Markup("")
    shape = index % 4
    if shape == 0:
        return Markup('<circle {} cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>').format(style, x, y, radius, title)
    r = radius
    corners = {
        1: ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
        2: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        3: ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    }[shape]
    points = " ".join(f"{x + dx * r:.1f},{y + dy * r:.1f}" for dx, dy in corners)
    return Markup('<polygon {} points="{}">{}</polygon>').format(style, points, title)


def _ticks(longest: float) -> list[float]:
    """About five round numbers from 0 to `longest`."""
    raw = longest / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [number * step for number in range(int(longest / step) + 1)]
