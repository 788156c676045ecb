"""The page of a benchmark, `benchmark.html`: the tables and figures of what it has found."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from job.benchmark import charts, tables
from job.benchmark.prices import Instance
from job.benchmark.record import Benchmark
from job.benchmark.summary import Size
from job.report import pages, svg

HTML = "benchmark.html"
_COLOURS = 20
# Operations whose lines are drawn: the longest on the fewest executors, and the whole.
_DRAWN = 5


def page(benchmark: Benchmark, found: Sequence[Size], folder: Path, instance: Instance) -> str:
    """The page, complete: no network, no script, no other file."""
    machine = benchmark.machine
    where = [f"backend {benchmark.backend}", f"{benchmark.repeats} repeats"]
    where += [f"{machine['cores']} cores of {machine['cpu']}"] if machine else []
    where += [f"{instance.name} at ${instance.price} an hour"]
    return pages.template("job.benchmark", "benchmark.html.j2").render(
        style=Markup((Path(svg.__file__).with_name("report.css")).read_text(encoding="utf-8")),  # noqa: S704  (ours)
        colours=[svg.colour(number) for number in range(_COLOURS)],
        facts=", ".join(where),
        failures=benchmark.failures,
        arguments=" ".join(benchmark.arguments),
        parts=[_part(size, benchmark, folder) for size in found],
    )


def _part(size: Size, benchmark: Benchmark, folder: Path) -> dict[str, object]:
    by_executors = {count: _by_operation(size, place) for place, count in enumerate(size.executors)}
    names = charts.operations(list(by_executors.values()))
    for cell in size.cells["total", "all"]:
        parts = by_executors[cell.executors]
        parts["other"] = max(0.0, cell.seconds - sum(parts[name] for name in names))
    names = [*names, "other"]
    bars = [(f"{count} executor{'s' if count > 1 else ''}", parts) for count, parts in by_executors.items()]
    longest = sorted(
        ((key, cells) for key, cells in size.cells.items() if key[0] not in ("total", "start_spark")),
        key=lambda item: -item[1][0].seconds,
    )[:_DRAWN]
    drawn = [*longest, (("total", "all"), size.cells["total", "all"])]
    speed_up = {" ".join(key): [(cell.executors, cell.speed_up) for cell in cells] for key, cells in drawn}
    efficiency = {" ".join(key): [(cell.executors, cell.efficiency) for cell in cells] for key, cells in drawn}
    most = max(size.executors[-1] / size.executors[0], *(y for points in speed_up.values() for _, y in points))
    return {
        "title": tables.title(size, benchmark),
        "same": tables.sameness(size, folder / "runs"),
        "names": names,
        "stacked": charts.stacked(bars, names),
        "speed_up": charts.lines(speed_up, most, "Speed-up by number of executors.", diagonal=True),
        "efficiency": charts.lines(
            efficiency,
            max(1.2, *(y for points in efficiency.values() for _, y in points)),
            "Efficiency by number of executors.",
        ),
        "header": tables.header(size, benchmark),
        "rows": tables.rows(size, benchmark),
        "costs": tables.costs(size),
        "limits": tables.limits_of(size, size.executors),
        "timelines": [
            (count, charts.timeline(size.typical(count).tasks, names))
            for count in size.executors
            if size.typical(count).tasks
        ],
    }


def _by_operation(size: Size, place: int) -> dict[str, float]:
    """Median seconds of each operation, its splits together."""
    found: dict[str, float] = {}
    for (operation, _), cells in size.cells.items():
        if operation != "total":
            found[operation] = found.get(operation, 0.0) + cells[place].seconds
    return found
