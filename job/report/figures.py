"""The figures of a run's report, as inline SVG made with `job.report.svg`."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from job.report import svg, text
from job.report.svg import WIDTH

# Splits that have a colour of their own in the style sheet.
_KINDS = ("train", "test", "all")


def seconds_bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> Markup:
    """Horizontal bars, one an operation, its splits end to end; `rows` are (operation, seconds by split)."""
    if not rows:
        return Markup("")
    left, right, step = 170, 90, 30
    longest = max(sum(by_split.values()) for _, by_split in rows) or 1.0
    scale = (WIDTH - left - right) / longest
    height = len(rows) * step + 34
    parts = []
    for tick in svg.ticks(longest):
        parts.append(svg.line(left + tick * scale, 4, left + tick * scale, height - 24))
        parts.append(svg.words(left + tick * scale, height - 8, f"{tick:g} s", "axis", "middle"))
    for number, (operation, by_split) in enumerate(rows):
        top = number * step + 8
        parts.append(svg.words(left - 10, top + 14, operation, "label", "end"))
        x = float(left)
        for split, taken in by_split.items():
            width = max(taken * scale, 0.8)
            kind = split if split in _KINDS else "all"
            parts.append(svg.bar(x, top, width, 18, kind, f"{operation}, {split}: {text.seconds(taken)}"))
            x += width
        parts.append(svg.words(x + 8, top + 14, text.seconds(sum(by_split.values())), "value", "start"))
    return svg.svg(
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
        parts.append(svg.line(x, 4, x, height - 26))
        parts.append(svg.words(x, height - 8, f"{10.0**power:g} s", "axis", "middle"))
    for number, (operation, series) in enumerate(rows):
        y = number * step + 22
        parts.append(svg.words(left - 10, y + 5, operation, "label", "end"))
        points = [(place(value), value, index) for index, value in enumerate(series) if value is not None]
        if points:
            parts.append(svg.line(min(points)[0], y, max(points)[0], y, "span"))
        # This run comes first in `names` and is drawn last, on top.
        for x, value, index in reversed(points):
            hint = f"{operation}, {names[index]}: {text.seconds(value)}"
            parts.append(svg.marker(index, x, y, 7, Markup('class="series{}"').format(index), hint))
    return svg.svg(
        WIDTH, height, "Dot plot on a logarithmic axis: seconds per operation of " + ", ".join(names) + ".", parts
    )


def series_key(index: int) -> Markup:
    """The marker of `comparison_dots`' series `index`, for a legend."""
    return Markup('<svg class="key" width="16" height="16" aria-hidden="true">{}</svg>').format(
        svg.marker(index, 8, 8, 6, Markup('class="series{}"').format(index), "")
    )


def category_key(index: int) -> Markup:
    """The marker of `scatter`'s category `index`, for a legend."""
    return Markup('<svg class="key" width="14" height="14" aria-hidden="true">{}</svg>').format(
        svg.marker(index, 7, 7, 5, Markup('fill="{}"').format(svg.colour(index)), "")
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
        svg.words(4, 16, "true ↓   predicted →", "axis", "start"),
        Markup('<rect class="paper" x="{}" y="{}" width="{}" height="{}"/>').format(
            margin, top, size * side, size * side
        ),
    ]
    for index, label in enumerate(labels):
        middle = index * side + side / 2
        short = text.cell(label, 34)
        parts.append(svg.words(margin - 7, top + middle + font * 0.35, short, "label", "end", font))
        if side >= 84:
            parts.append(svg.words(margin + middle, top - 10, short, "label", "middle", font))
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
            parts.append(
                svg.words(x + side / 2, y + side / 2 + 5, str(count), strong, "middle", 15 if side >= 60 else 11)
            )
    note = "Confusion matrix as a heat map; rows are true categories, columns predicted ones."
    return svg.svg(width, height, note, parts, natural=True)


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
        svg.words(WIDTH - 14, height - 10, "component 0 →", "axis", "end"),
        svg.words(14, 22, "↑ component 1", "axis", "start"),
    ]
    for index, label in enumerate(labels):
        colour = svg.colour(index)
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
            marks = [svg.marker(index, float(across[point]), float(down[point]), 4, Markup(""), "") for point in chosen]
            parts.append(Markup("<g {}><title>{}</title>{}</g>").format(style, hint, Markup("").join(marks)))
    note = f"Map of pictures by their first two principal components, coloured by {len(labels)} categories."
    return svg.svg(WIDTH, height, note, parts)


def colour_strips(rows: Sequence[tuple[str, NDArray[np.float64]]], palette: NDArray[np.uint8]) -> Markup:
    """A strip for each row, (label, shares (width,)), of the colours of `palette`, uint8 (width, 3), red first.

    Colours of less than a two-hundredth are left out, and the others fill the strip.
    """
    if not rows:
        return Markup("")
    left, step = 190, 26
    parts = []
    for number, (label, values) in enumerate(rows):
        top, x = number * step + 4, float(left)
        parts.append(svg.words(left - 10, top + 14, text.cell(label, 26), "label", "end"))
        shares = np.asarray(values, np.float64) / (values.sum() or 1.0)
        kept = np.flatnonzero(shares >= 0.005)
        shares = shares / (shares[kept].sum() or 1.0)
        for place in kept:
            width = float(shares[place]) * (WIDTH - left - 10)
            red, green, blue = (int(part) for part in palette[place])
            parts.append(
                Markup(
                    '<rect x="{:.1f}" y="{}" width="{:.2f}" height="{}" fill="#{:02x}{:02x}{:02x}">{}</rect>'
                ).format(x, top, width, step - 6, red, green, blue, svg.title(f"{label}: {shares[place]:.1%}"))
            )
            x += width
    note = f"Strips of the colours of {len(rows)} categories."
    return svg.svg(WIDTH, len(rows) * step + 8, note, parts)


def profiles(rows: Sequence[tuple[str, NDArray[np.float64]]]) -> Markup:
    """Bars of the values of each row, (label, values of shape (width,)); the same value has one scale in all rows."""
    if not rows:
        return Markup("")
    left, step, tall = 190, 44, 36
    table = np.array([values for _, values in rows], np.float64)
    heights = table / np.maximum(table.max(axis=0), 1e-12) * tall
    width = (WIDTH - left - 10) / table.shape[1]
    parts = []
    for number, (label, values) in enumerate(rows):
        bottom = number * step + tall + 4
        parts.append(svg.words(left - 10, bottom - 12, text.cell(label, 26), "label", "end"))
        parts.append(svg.line(left, bottom, WIDTH - 10, bottom))
        for place, height in enumerate(heights[number]):
            hint = f"{label}, value {place}: {values[place]:.4g}"
            parts.append(svg.bar(left + place * width, bottom - height, max(width - 1.5, 0.5), height, "train", hint))
    note = f"Bars of the {table.shape[1]} values of a descriptor for {len(rows)} categories."
    return svg.svg(WIDTH, len(rows) * step + 8, note, parts)


def intervals(rows: Sequence[tuple[str, Sequence[tuple[str, float, float, float] | None]]], models: int) -> Markup:
    """Accuracies with their intervals: `rows` are (label, one for each of `models` in a fixed order: name, mean, low,
    high)."""
    if not rows:
        return Markup("")
    left, right, gap = 220, 30, 13
    step = models * gap + 14
    height = len(rows) * step + 34

    def place(value: float) -> float:
        return left + value * (WIDTH - left - right)

    parts = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(svg.line(place(tick), 4, place(tick), height - 26))
        parts.append(svg.words(place(tick), height - 8, f"{tick:.0%}", "axis", "middle"))
    for number, (label, found) in enumerate(rows):
        top = number * step + 14
        parts.append(svg.words(left - 12, top + (models - 1) * gap / 2 + 5, text.cell(label, 30), "label", "end"))
        for series, one in enumerate(found):
            if one is None:
                continue
            name, mean, low, high = one
            y = top + series * gap
            parts.append(svg.line(place(low), y, place(high), y, "span"))
            hint = f"{name}, {label}: {mean:.1%} ({low:.1%} to {high:.1%})"
            style = Markup('class="series{}"').format(series)
            parts.append(svg.marker(series, place(mean), y, 5, style, hint))
    note = "Accuracy of each model with its interval; the table below has the numbers."
    return svg.svg(WIDTH, height, note, parts)
