"""Curves of a run's report, made with `job.report.svg`: how far probabilities can be believed, and what more pictures
would give."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from job.report import svg, text

_SIDE, _LEFT, _BELOW = 300, 52, 46


class Bin(NamedTuple):
    """Predictions that are about equally sure: their mean probability, how many are right, and how many they are."""

    sure: float
    right: float
    predictions: int


class Step(NamedTuple):
    """A point of the learning curve: pictures of a category, pictures, accuracy and its interval."""

    each: int
    pictures: int
    accuracy: float
    low: float
    high: float


def bins(sure: NDArray[np.float64], right: NDArray[np.bool_], count: int = 10) -> list[Bin]:
    """Predictions (n,) in `count` bins of equal width by their probability; bins without predictions are left out."""
    places = np.minimum((sure * count).astype(np.intp), count - 1)
    found = []
    for place in np.unique(places).tolist():
        own = places == place
        found.append(Bin(float(sure[own].mean()), float(right[own].mean()), int(own.sum())))
    return found


def reliability(found: Sequence[Bin]) -> Markup:
    """How often predictions are right, by how sure they are; the larger a point, the more predictions it is of."""
    if not found:
        return Markup("")
    most = max(one.predictions for one in found)

    def place(sure: float, right: float) -> tuple[float, float]:
        return _LEFT + sure * _SIDE, 12 + (1 - right) * _SIDE

    parts = [svg.frame(_LEFT, 12, _SIDE, _SIDE)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(tick, tick)
        parts += [svg.line(x, 12, x, 12 + _SIDE), svg.line(_LEFT, y, _LEFT + _SIDE, y)]
        parts.append(svg.words(x, _SIDE + 30, f"{tick:.0%}", "axis", "middle", 12))
        parts.append(svg.words(_LEFT - 6, y + 4, f"{tick:.0%}", "axis", "end", 12))
    parts.append(svg.path([place(0, 0), place(1, 1)], "ideal"))
    parts.append(svg.path([place(one.sure, one.right) for one in found], "curve"))
    for one in found:
        hint = (
            f"{text.number(one.predictions)} predictions of {text.percent(one.sure)} on average: "
            f"{text.percent(one.right)} are right"
        )
        radius = 3 + 6 * math.sqrt(one.predictions / most)
        parts.append(svg.marker(0, *place(one.sure, one.right), radius, Markup('class="series0"'), hint))
    parts.append(svg.words(_LEFT + _SIDE / 2, _SIDE + _BELOW + 4, "probability that was given", "axis", "middle", 12))
    note = "Reliability curve: share of right predictions by their probability; on the broken line both are the same."
    return svg.svg(_LEFT + _SIDE + 18, _SIDE + _BELOW + 12, note, parts)


def learning(found: Sequence[Step]) -> Markup:
    """Accuracy by pictures of a category, on a logarithmic axis, with intervals."""
    if not found:
        return Markup("")
    width, height, left = 420, 240, 52
    lowest = math.floor(10 * min(one.low for one in found)) / 10
    widest = math.log(found[-1].each / found[0].each) or 1.0

    def across(each: int) -> float:
        return left + 14 + math.log(each / found[0].each) / widest * (width - left - 50)

    def down(accuracy: float) -> float:
        return 12 + (1 - accuracy) / max(1 - lowest, 0.1) * (height - 12)

    parts = []
    for tick in np.arange(round(10 * lowest), 11, 2 if lowest < 0.5 else 1).tolist():
        parts.append(svg.line(left, down(tick / 10), width - 18, down(tick / 10)))
        parts.append(svg.words(left - 6, down(tick / 10) + 4, f"{10 * tick} %", "axis", "end", 12))
    parts.append(svg.path([(across(one.each), down(one.accuracy)) for one in found], "curve"))
    last = -math.inf
    for one in found:
        x = across(one.each)
        parts.append(svg.line(x, down(one.low), x, down(one.high), "span"))
        hint = (
            f"{one.each} pictures of a category: {text.percent(one.accuracy)} "
            f"({text.percent(one.low)} to {text.percent(one.high)})"
        )
        parts.append(svg.marker(0, x, down(one.accuracy), 5, Markup('class="series0"'), hint))
        if x - last > 30:
            parts.append(svg.words(x, height + 20, text.number(one.each), "axis", "middle", 12))
            last = x
    parts.append(svg.words((left + width) / 2, height + 40, "pictures of a category", "axis", "middle", 12))
    note = "Learning curve: accuracy by pictures of a category; the table below has the numbers."
    return svg.svg(width, height + 50, note, parts)
