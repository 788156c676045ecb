"""The figures of a benchmark's page, as inline SVG made with `job.report.svg`."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from job.benchmark.events import Task
from job.report import svg, text
from job.report.svg import WIDTH

_LEFT, _RIGHT = 110, 90
# Operations that take less than this share of the longest run are drawn together.
_SMALL = 0.01


def stacked(bars: Sequence[tuple[str, Mapping[str, float]]], names: Sequence[str]) -> Markup:
    """A bar for each (label, seconds by operation), its operations end to end in the colours of `names`."""
    longest = max(sum(parts.values()) for _, parts in bars) or 1.0
    scale = (WIDTH - _LEFT - _RIGHT) / longest
    drawn = []
    for row, (label, parts) in enumerate(bars):
        top, x = row * 34 + 6, float(_LEFT)
        drawn.append(svg.words(_LEFT - 8, top + 16, label, "axis", "end"))
        for name in names:
            width = parts.get(name, 0.0) * scale
            if width > 0:
                hint = f"{label}, {name}: {text.seconds(parts[name])}"
                drawn.append(svg.bar(x, top, width, 22, f"c{names.index(name)}", hint))
                x += width
        drawn.append(svg.words(x + 6, top + 16, text.seconds(sum(parts.values())), "axis", "start"))
    return svg.svg(WIDTH, len(bars) * 34 + 10, "Seconds of a run by operation, for each number of executors.", drawn)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], most: float, note: str, *, diagonal: bool = False
) -> Markup:
    """Lines through points (executors, value), 0 to `most`; with `diagonal` the ideal where the value grows as they
    do, else where it stays 1."""
    height, bottom = 300, 260
    places = sorted({x for points in series.values() for x, _ in points})
    first, last = places[0], places[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        share = (x - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (WIDTH - _LEFT - 220), bottom - min(y / most, 1.0) * (bottom - 20)

    drawn = []
    for tick in range(5):
        value = most * tick / 4
        y = at(first, value)[1]
        drawn.append(svg.line(_LEFT, y, WIDTH - 220, y))
        drawn.append(svg.words(_LEFT - 8, y + 4, f"{value:.3g}", "axis", "end"))
    drawn += [svg.words(at(x, 0)[0], bottom + 20, f"{x:g}", "axis", "middle") for x in places]
    ideal = [(x, x / first if diagonal else 1.0) for x in places]
    drawn.append(svg.path([at(*point) for point in ideal], "ideal"))
    for number, (name, points) in enumerate(series.items()):
        found = [at(*point) for point in points]
        style = Markup('class="c{}"').format(number)
        drawn.append(svg.path(found, f"l{number}"))
        drawn += [
            svg.marker(number, x, y, 4.5, style, f"{name}, {point[0]:g} executors: {point[1]:.2f}")
            for (x, y), point in zip(found, points, strict=True)
        ]
        drawn.append(svg.marker(number, WIDTH - 199, 26 + number * 20, 6, style))
        drawn.append(svg.words(WIDTH - 188, 30 + number * 20, name, "axis", "start"))
    return svg.svg(WIDTH, height, note, drawn)


def timeline(tasks: Sequence[Task], names: Sequence[str]) -> Markup:
    """Who worked when: a row for each executor, a bar for each task in the colour of its operation, its start-up
    paler."""
    executors = sorted({task.executor for task in tasks}, key=lambda name: (len(name), name))
    begin, end = min(task.launched for task in tasks), max(task.ended for task in tasks)
    scale = (WIDTH - _LEFT - 20) / ((end - begin) or 1.0)
    drawn, top = [], 4
    for executor in executors:
        lanes: list[float] = []
        for task in [task for task in tasks if task.executor == executor]:
            lane = next((number for number, free in enumerate(lanes) if free <= task.launched + 1e-3), len(lanes))
            lanes[lane : lane + 1] = [task.ended]
            x, y = _LEFT + (task.launched - begin) * scale, top + lane * 16
            late = (task.ended - task.launched - task.worked) * scale
            hint = (
                f"executor {executor}, {task.operation} {task.split}: {task.ended - task.launched:.2f} s, of which "
                f"{task.worked:.2f} s of work"
            )
            number = names.index(task.operation) if task.operation in names else len(names)
            drawn.append(
                Markup('<g class="c{}">{}{}{}</g>').format(
                    number,
                    svg.title(hint),
                    svg.bar(x, y, max(late, 0.4), 13, "pale"),
                    svg.bar(x + late, y, max(task.worked * scale, 0.4), 13, ""),
                )
            )
        drawn.append(svg.words(_LEFT - 8, top + 12, f"executor {executor}", "axis", "end"))
        top += max(1, len(lanes)) * 16 + 8
    for part in range(5):
        x = _LEFT + (end - begin) * scale * part / 4
        drawn.append(svg.words(x, top + 14, f"{begin + (end - begin) * part / 4:.1f} s", "axis", "middle"))
    return svg.svg(WIDTH, top + 22, "Tasks of each executor along time.", drawn)


def operations(seconds: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of the operations that are worth a colour, in the order of a run; the others go under 'other'."""
    whole = max(sum(parts.values()) for parts in seconds)
    return [name for name in seconds[0] if max(parts.get(name, 0.0) for parts in seconds) >= _SMALL * whole]
