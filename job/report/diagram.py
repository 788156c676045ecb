"""The recipe of a run as a diagram: what happens to a picture, from top to bottom, made with `job.report.svg`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from job.report import svg, text

# Narrow enough for a telephone.
_WIDTH, _TALL, _GAP, _SPACE = 400, 50, 26, 8
_A_ROW = 3


class Box(NamedTuple):
    """A box of the diagram: its title and the line under it."""

    title: str
    note: str


def rows_of(recipe: Mapping[str, Any], categories: int | None = None) -> list[list[Box]]:
    """The boxes of a recipe, as the manifest has it: those of a row work side by side."""
    copies = list(recipe.get("copies") or [])
    rows = [[Box("picture", "background left out" if recipe.get("mask") else "with its background")]]
    if copies:
        rows.append([Box("changed copies", f"{', '.join(copies)}: of training pictures only")])
    blocks = [_block(str(name)) for name in recipe.get("blocks") or []]
    rows += [blocks[start : start + _A_ROW] for start in range(0, len(blocks), _A_ROW)]
    if recipe.get("scaled"):
        rows.append([Box("scaling", "each block to length 1, centred, divided by its deviation")])
    if recipe.get("components"):
        rows.append([Box("principal components", f"{recipe['components']} of them")])
    if recipe.get("classifier"):
        note = f"one of {categories} categories, with probabilities" if categories else "a category, with probabilities"
        rows.append([Box(f"classifier {recipe['classifier']}", note)])
    return rows


def _block(name: str) -> Box:
    descriptor, _, rest = name.partition(":")
    encoding, _, words = rest.partition(":")
    return Box(descriptor, f"{encoding}, {words} words" if words else encoding)


def recipe(rows: Sequence[Sequence[Box]]) -> Markup:
    """The diagram of these boxes."""
    if not rows:
        return Markup("")
    parts = []
    for place, row in enumerate(rows):
        top = 2 + place * (_TALL + _GAP)
        wide = (_WIDTH - 4 - _SPACE * (len(row) - 1)) / len(row)
        font = 12 if len(row) == 1 else 11
        for number, box in enumerate(row):
            left = 2 + number * (wide + _SPACE)
            middle = left + wide / 2
            parts.append(svg.frame(left, top, wide, _TALL))
            parts.append(svg.words(middle, top + 21, text.cell(box.title, round(wide / 8)), "label", "middle", 14))
            note = text.cell(box.note, round(wide / (font * 0.52)))
            parts.append(svg.words(middle, top + 38, note, "note", "middle", font))
            if place:
                parts.append(svg.arrow(middle, top - _GAP + 3, top - 3))
    height = len(rows) * (_TALL + _GAP) - _GAP + 4
    said = "; then ".join(" beside ".join(f"{box.title} ({box.note})" for box in row) for row in rows)
    return svg.svg(_WIDTH, height, f"The recipe: {said}.", parts, natural=False)
