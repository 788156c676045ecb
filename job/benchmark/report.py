"""The result of a benchmark: a table for the terminal and a page."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from job import storage
from job.benchmark import charts, record, summary
from job.benchmark.prices import Instance
from job.benchmark.record import Benchmark
from job.benchmark.summary import Size
from job.errors import UserError
from job.report import figures, reference, text

HTML = "benchmark.html"
_COLOURS = 20
# Operations whose lines are drawn: the longest on the fewest executors, and the whole.
_DRAWN = 5


def finish(benchmark: Benchmark, folder: Path, instance: Instance) -> int:
    """Prints the tables and writes the page; the command's exit code. Raises UserError where no run was made."""
    if not benchmark.measured():
        reason = benchmark.failures[0].sentence if benchmark.failures else "there was none to make"
        raise UserError(f"No run of the benchmark ended well: {reason}")
    found = summary.sizes(benchmark, instance)
    for size in found:
        show(size, benchmark, instance, sameness(size, folder / "runs"))
    record.write(benchmark, folder)
    storage.write_bytes(str(folder / HTML), page(benchmark, found, folder, instance).encode())
    print(f"Results: {folder / record.JSON}, {record.CSV}, {HTML}")  # noqa: T201  (the command's answer)
    if not benchmark.failures:
        return 0
    raise UserError(
        f"{len(benchmark.failures)} of the runs failed, the first ({benchmark.failures[0].point}): "
        f"{benchmark.failures[0].sentence.rstrip('.')}; --resume makes them again."
    )


def sameness(size: Size, runs: Path) -> str:
    """A sentence: whether all runs found the same."""
    number = sum(map(len, size.runs.values()))
    differing = summary.disagreement(size, runs)
    return (
        f"The results differ: {differing}."
        if differing
        else f"The results of all {number} runs are the same (to {summary.TOLERANCE:g})."
    )


def header(size: Size, benchmark: Benchmark) -> list[str]:
    """Names of the columns of `rows`."""
    names = ["operation", "split"]
    for count in size.executors:
        names += [f"{count} ex. s", "±", *(["x", "eff."] if count != size.executors[0] else [])]
    return [*names, *(_reference_names() if same_work(size, benchmark) else [])]


def rows(size: Size, benchmark: Benchmark) -> list[list[str]]:
    """A row for each operation and split: median and half the range of its seconds, speed-up and efficiency for each
    number of executors; the prototype's seconds where the work is the same."""
    beside = {(row.operation, row.split): row[2:] for row in reference.EMR} if same_work(size, benchmark) else {}
    found = []
    for (operation, split), cells in size.cells.items():
        line = [operation, split]
        for cell in cells:
            line += [_seconds(cell.seconds), _seconds((cell.longest - cell.shortest) / 2)]
            if cell.executors != size.executors[0]:
                line += [f"{cell.speed_up:.2f}", f"{cell.efficiency:.2f}"]
        if beside:
            line += [_seconds(value) for value in beside.get((operation, split), ())] or [""] * len(_reference_names())
        found.append(line)
    return found


def same_work(size: Size, benchmark: Benchmark) -> bool:
    """Whether the prototype's seconds are of the same work."""
    return (
        size.images == {"train": reference.TRAIN_IMAGES, "test": reference.TEST_IMAGES}
        and benchmark.settings.get("words") == reference.WORDS
    )


def show(size: Size, benchmark: Benchmark, instance: Instance, same: str) -> None:
    """Prints the tables of one number of pictures."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Console(highlight=False)
    if not out.is_terminal or out.width < 150:
        out = Console(highlight=False, width=150)
    out.print(Text(f"\n{title(size, benchmark)}. {same}", style="bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for place, name in enumerate(header(size, benchmark)):
        table.add_column(name, justify="right" if place > 1 else "left", no_wrap=True)
    for row in rows(size, benchmark):
        table.add_row(*row, style="bold" if row[0] == "total" else "")
    out.print(table)
    for executors, seconds, cost, thousand in costs(size):
        out.print(
            f"{executors:>4} executors: {seconds} s, ${cost} a run, ${thousand} for 1,000 pictures "
            f"({instance.name} at ${instance.price}/h)"
        )
    out.print()
    for operation, split, executors, limit in limits_of(size, size.executors[-1:]):
        out.print(Text(f"{operation} {split} on {executors}: {limit}"))


def title(size: Size, benchmark: Benchmark) -> str:
    """`876 training and 292 test pictures, 50 words, executors of 1 core`."""
    split = " and ".join(
        f"{text.number(count)} {'training' if name == 'train' else name}" for name, count in size.images.items()
    )
    cpus = f"{benchmark.cpus:g} core" + ("" if benchmark.cpus == 1 else "s")
    return f"{split} pictures, {benchmark.settings.get('words')} words, executors of {cpus}"


def costs(size: Size) -> list[tuple[int, str, str, str]]:
    """Executors, seconds, dollars of a run and for 1,000 pictures."""
    return [
        (cell.executors, _seconds(cell.seconds), f"{cell.cost:.5f}", f"{cell.cost / size.pictures * 1000:.5f}")
        for cell in size.cells["total", "all"]
    ]


def limits_of(size: Size, executors: Sequence[int]) -> list[tuple[str, str, int, str]]:
    """Operation, split, executors and what limits it, for the operations that take a hundredth of the run or more."""
    total = {cell.executors: cell.seconds for cell in size.cells["total", "all"]}
    return [
        (*key, cell.executors, cell.limit)
        for count in executors
        for key, cells in size.cells.items()
        for cell in cells
        if cell.executors == count and cell.limit and cell.seconds >= 0.01 * total[count]
    ]


def page(benchmark: Benchmark, found: Sequence[Size], folder: Path, instance: Instance) -> str:
    """The page, complete: no network, no script, no other file."""
    environment = Environment(
        loader=PackageLoader("job", "benchmark"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    machine = benchmark.machine
    where = [f"backend {benchmark.backend}", f"{benchmark.repeats} repeats"]
    where += [f"{machine['cores']} cores of {machine['cpu']}"] if machine else []
    where += [f"{instance.name} at ${instance.price} an hour"]
    return environment.get_template("benchmark.html.j2").render(
        style=Markup((Path(figures.__file__).with_name("report.css")).read_text(encoding="utf-8")),  # noqa: S704  (ours)
        colours=[figures.category_colour(number) for number in range(_COLOURS)],
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
        "title": title(size, benchmark),
        "same": sameness(size, folder / "runs"),
        "names": names,
        "stacked": charts.stacked(bars, names),
        "speed_up": charts.lines(speed_up, most, "Speed-up by number of executors.", diagonal=True),
        "efficiency": charts.lines(
            efficiency,
            max(1.2, *(y for points in efficiency.values() for _, y in points)),
            "Efficiency by number of executors.",
        ),
        "header": header(size, benchmark),
        "rows": rows(size, benchmark),
        "costs": costs(size),
        "limits": limits_of(size, size.executors),
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


def _reference_names() -> list[str]:
    return ["EMR 8 cores", "EMR 16 cores", "laptop"]


def _seconds(value: float) -> str:
    """Two decimals for seconds, none from 1000 on."""
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"
