"""What a benchmark has found, as tables: for the terminal (`show`), and as rows of texts for the page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from job.benchmark import summary
from job.benchmark.prices import Instance
from job.benchmark.record import Benchmark
from job.benchmark.summary import Size
from job.report import reference, text

_REFERENCE_NAMES = ["EMR 8 cores", "EMR 16 cores", "laptop"]
# Limits are told of operations that take at least this share of the run.
_WORTH_TELLING = 0.01


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
    return [*names, *(_REFERENCE_NAMES if _same_work(size, benchmark) else [])]


def rows(size: Size, benchmark: Benchmark) -> list[list[str]]:
    """A row for each operation and split: median and half the range of its seconds, speed-up and efficiency for each
    number of executors; the prototype's seconds where the work is the same."""
    beside = {(row.operation, row.split): row[2:] for row in reference.EMR} if _same_work(size, benchmark) else {}
    found = []
    for (operation, split), cells in size.cells.items():
        line = [operation, split]
        for cell in cells:
            line += [_seconds(cell.seconds), _seconds((cell.longest - cell.shortest) / 2)]
            if cell.executors != size.executors[0]:
                line += [f"{cell.speed_up:.2f}", f"{cell.efficiency:.2f}"]
        if beside:
            line += [_seconds(value) for value in beside.get((operation, split), ())] or [""] * len(_REFERENCE_NAMES)
        found.append(line)
    return found


def title(size: Size, benchmark: Benchmark) -> str:
    """`876 training and 292 test pictures, 50 words, executors of 1 core`; blocks of features in place of words."""
    split = " and ".join(
        f"{text.number(count)} {'training' if name == 'train' else name}" for name, count in size.images.items()
    )
    cpus = f"{benchmark.cpus:g} core" + ("" if benchmark.cpus == 1 else "s")
    what = benchmark.settings.get("features") or f"{benchmark.settings.get('words')} words"
    return f"{split} pictures, {what}, executors of {cpus}"


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
        if cell.executors == count and cell.limit and cell.seconds >= _WORTH_TELLING * total[count]
    ]


def facts(size: Size) -> list[dict[str, Any]]:
    """What is known of each operation on each number of executors, by keys."""
    return [
        {"pictures": size.pictures, "operation": operation, "split": split, **asdict(cell)}
        for (operation, split), cells in size.cells.items()
        for cell in cells
    ]


def show(size: Size, benchmark: Benchmark, instance: Instance, same: str, *, verbose: bool = False) -> None:
    """Prints the tables of one number of pictures, and what limits operations on the most executors, or on all."""
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
    for operation, split, executors, limit in limits_of(size, size.executors if verbose else size.executors[-1:]):
        out.print(Text(f"{operation} {split} on {executors}: {limit}"))


def _same_work(size: Size, benchmark: Benchmark) -> bool:
    return reference.same_work(size.images, benchmark.settings)


def _seconds(value: float) -> str:
    """Two decimals for seconds, none from 1000 on."""
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"
