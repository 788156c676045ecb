"""The page of `fruits tune`: one HTML file that needs no network, no script and no other file, from `tune.json`."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from job.report import pages, svg, text
from job.secrets import redact

_STATUS = {"done": "", "dropped": "dropped early", "failed": "failed", "unfinished": "not finished"}
# Where the rank of a mark may stand: to the right of its middle and below it, in pixels.
_AROUND = tuple(
    (right, down)
    for far in (0, 6, 14)
    for right, down in (
        (9 + far, -5 - far),
        (9 + far, 15 + far),
        (-9 - far, -5 - far),
        (-9 - far, 15 + far),
        (10 + far, 5),
        (-10 - far, 5),
        (0, 20 + far),
        (0, -11 - far),
    )
)
# Rows of the table of categories that are shown without being asked for.
CATEGORIES_OPEN = 30


def render(content: Mapping[str, Any]) -> str:
    """The page, complete."""
    rows = content["candidates"]
    return pages.template("job.report", "tune.html.j2", points=points, breakable=breakable).render(
        content=content,
        rows=rows,
        status=_STATUS,
        winner=next(row for row in rows if row["winner"]),
        pareto=pareto(rows),
        bars=bars(rows),
        effects=_effects(content["effects"]),
        categories=_categories(content),
        categories_open=CATEGORIES_OPEN,
        settings=[
            (name, text.clean(text.plain(redact(name, value))))
            for name, value in {**content["settings"], **content["arguments"]}.items()
            if value is not None
        ],
        versions=[(name, text.clean(text.plain(value))) for name, value in content["versions"].items()],
    )


def points(value: float | None) -> str:
    """A difference of shares in points: `+1.3`; `-` where there is none."""
    return "-" if value is None else f"{100 * value:+.1f}"


def breakable(name: str) -> Markup:
    """A candidate's name, which a line may break behind `+`, `/` and `:` and so need not break within a word."""
    return Markup("<wbr>").join(re.split(r"(?<=[+/:])(?=.)", text.clean(name)))


def _effects(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Values by setting, in their order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["setting"], []).append(row)
    return list(found.items())


def _categories(content: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy by category of the winner, the default and the histogram of colours, the winner's worst first."""
    rows = content["candidates"]
    shown = {row["candidate"]: row["by_category"] for row in rows if row["winner"] or row["default"] or row["hsv"]}
    columns = [(name, values) for name, values in shown.items() if values]
    first = next(row["candidate"] for row in rows if row["winner"])
    columns.sort(key=lambda column: column[0] != first)
    table = [
        (text.clean(name), [values[place] for _, values in columns]) for place, name in enumerate(content["categories"])
    ]
    table.sort(key=lambda row: (row[1][0] is None, row[1][0] or 0.0, row[0]))
    return {"names": [name for name, _ in columns], "rows": table}


def pareto(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy against milliseconds a picture, on a logarithmic axis; numbers are the ranks of the table.

    The line joins the candidates than which none is both better and cheaper. Filled ones have seen all pictures.
    """
    known = [row for row in rows if row["accuracy"] is not None and row["ms_per_picture"]]
    if not known:
        return Markup("")
    width, height, left, right, top, bottom = 860, 460, 62, 28, 30, 54
    times = [row["ms_per_picture"] for row in known]
    low, high = math.log10(min(times)) - 0.08, math.log10(max(times)) + 0.08
    least = max(0.0, min(row["low"] for row in known) - 0.02)

    def at(row: Mapping[str, Any], value: float) -> tuple[float, float]:
        share = (math.log10(row["ms_per_picture"]) - low) / (high - low)
        return left + share * (width - left - right), top + (1 - value) / (1 - least or 1) * (height - top - bottom)

    parts = []
    for tick in _ticks(least):
        y = at(known[0], tick)[1]
        parts.append(svg.line(left, y, width - right, y))
        parts.append(svg.words(left - 8, y + 5, f"{tick:.0%}", "axis", "end"))
    for value in _times(10**low, 10**high):
        x = left + (math.log10(value) - low) / (high - low) * (width - left - right)
        parts.append(svg.line(x, top, x, height - bottom))
        parts.append(svg.words(x, height - bottom + 20, f"{value:g}", "axis", "middle"))
    parts.append(svg.words((left + width) / 2, height - 8, "milliseconds of one core a picture", "axis", "middle"))
    front = sorted((row for row in known if row["pareto"]), key=lambda row: row["ms_per_picture"])
    parts.append(svg.path([at(row, row["accuracy"]) for row in front], "front"))
    for row in known:
        x = at(row, row["accuracy"])[0]
        parts.append(svg.line(x, at(row, row["low"])[1], x, at(row, row["high"])[1], "span"))
    for row in reversed(known):  # the best is drawn last, on top
        x, y = at(row, row["accuracy"])
        kind = "chosen" if row["winner"] else ("series1" if row["hsv"] else ("series2" if row["default"] else "other"))
        faint = "" if row["status"] == "done" else " faint"
        hint = f"{row['rank']}. {row['candidate']}: {row['accuracy']:.1%}, {row['ms_per_picture']:.2f} ms"
        shape = 2 if row["winner"] else 0
        parts.append(svg.marker(shape, x, y, 6, Markup('class="{}{}"').format(kind, faint), text.clean(hint)))
    parts.extend(_ranks([(*at(row, row["accuracy"]), row["rank"]) for row in known], height - bottom))
    note = "Accuracy of each candidate against the time that a picture takes; the table has the numbers."
    return svg.svg(width, height, note, parts, natural=True)


def _ranks(marks: Sequence[tuple[float, float, int]], lowest: float) -> list[Markup]:
    """The rank of each mark (x, y, rank) beside it, the first ones' first, where there is neither a mark nor another
    rank; a rank for which there is no such place is left to what shows under the pointer."""
    taken: list[tuple[float, float]] = []
    parts = []
    for x, y, rank in marks:
        wide = 7.5 * len(str(rank))
        for right, down in _AROUND:
            left, base = x + right - (wide if right < 0 else wide / 2 if right == 0 else 0), y + down
            middle, centre = left + wide / 2, base - 4.5
            free = all(abs(middle - mark) > wide / 2 + 6 or abs(centre - level) > 10 for mark, level, _ in marks)
            free &= all(abs(middle - other) > 17 or abs(centre - level) > 11 for other, level in taken)
            if free and 11 <= base <= lowest:
                taken.append((middle, centre))
                parts.append(svg.words(left, base, str(rank), "value rank", "start", 12))
                break
    return parts


def _ticks(least: float) -> list[float]:
    """About five round shares from `least` to 1."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - least) / step <= 6)
    return [1 - number * step for number in range(int((1 - least) / step + 1e-9) + 1)]


def _times(low: float, high: float) -> list[float]:
    """Round milliseconds on a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in found if low <= value <= high]


def bars(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy of each candidate with its interval, in the order of the table: `rows` of (candidate, low, high and mean
    in percent of the axis, its kind), and `least`, where the axis begins."""
    known = [row for row in rows if row["accuracy"] is not None]
    least = min(0.95, math.floor(20 * min((row["low"] for row in known), default=0.0)) / 20)
    width = 1 - least
    found = []
    for row in known:
        kind = next((name for name in ("winner", "hsv", "default") if row[name]), "other")
        places = [round(100 * (row[name] - least) / width, 2) for name in ("low", "high", "accuracy")]
        found.append((row, *places, kind if row["status"] == "done" else f"{kind} early"))
    return {"rows": found, "least": least}
