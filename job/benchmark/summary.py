"""What the runs of a benchmark say together: medians, speed-up, efficiency, cost, limits, and whether they agree."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from job.benchmark import limits
from job.benchmark.prices import Instance
from job.benchmark.record import Benchmark, Key, MeasuredRun

# What a run computes; the model's files tell of versions as well.
_RESULTS = (
    "bag_of_words_train.csv",
    "bag_of_words_test.csv",
    "df_lab_features_train.csv",
    "df_lab_features_test.csv",
    "predictions.csv",
)
TOLERANCE = 1e-6
# No tasks of their own, and no driver's work either.
_WHOLE = ("total", "start_spark")


@dataclass(frozen=True)
class Cell:
    """One operation on so many executors: median of its seconds, the shortest and the longest; how many times as fast
    as on the fewest executors, and that by as many times more executors; cost in dollars; what limits it."""

    executors: int
    seconds: float
    shortest: float
    longest: float
    speed_up: float
    efficiency: float
    cost: float
    limit: str = ""


@dataclass(frozen=True)
class Size:
    """All runs with the same pictures: their number in all and by split, and for every operation and split a cell for
    each number of executors, in their order."""

    pictures: int
    images: dict[str, int]
    executors: list[int]
    cells: dict[Key, list[Cell]]
    runs: dict[int, list[MeasuredRun]]

    def typical(self, executors: int) -> MeasuredRun:
        """The run in the middle of those on so many executors."""
        runs = sorted(self.runs[executors], key=lambda run: run.total)
        return runs[(len(runs) - 1) // 2]


def sizes(benchmark: Benchmark, instance: Instance) -> list[Size]:
    """The figures of each number of pictures that was measured, the fewest first."""
    runs = benchmark.measured()
    return [
        _size(benchmark, instance, [run for run in runs if run.pictures == pictures])
        for pictures in sorted({run.pictures for run in runs})
    ]


def used_cores(benchmark: Benchmark, executors: int) -> float:
    """Cores that are asked for: those of the executors, and the driver's."""
    return executors * benchmark.cpus + benchmark.driver_cpus


def _size(benchmark: Benchmark, instance: Instance, runs: Sequence[MeasuredRun]) -> Size:
    by_executors = {
        count: [run for run in runs if run.point.executors == count]
        for count in sorted({run.point.executors for run in runs})
    }
    made = Size(runs[0].pictures, dict(runs[0].images), list(by_executors), {}, by_executors)
    fewest = made.executors[0]
    for key in [key for key in runs[0].seconds if all(key in run.seconds for run in runs)]:
        times = {count: sorted(run.seconds[key] for run in own) for count, own in by_executors.items()}
        base = median(times[fewest])
        made.cells[key] = []
        for count, taken in times.items():
            middle = median(taken)
            speed_up = base / middle if middle > 0 else 1.0
            typical = made.typical(count)
            limit = (
                limits.sentence(
                    [task for task in typical.tasks if task[:2] == key],
                    typical.seconds[key],
                    count * benchmark.cores,
                    typical.waited.get(key, 0.0),
                )
                if typical.tasks
                else ""
            )
            made.cells[key].append(
                Cell(
                    count,
                    middle,
                    taken[0],
                    taken[-1],
                    speed_up,
                    speed_up * fewest / count,
                    instance.cost(used_cores(benchmark, count), middle),
                    limit if key[0] not in _WHOLE else "",
                )
            )
    return made


def disagreement(size: Size, runs_folder: Path) -> str | None:
    """The first table in which runs with the same pictures differ by more than `TOLERANCE`; None when all agree."""
    runs = [run for own in size.runs.values() for run in own]
    for name in _RESULTS:
        known = [run for run in runs if name in run.files]
        for run in known[1:]:
            if run.files[name] != known[0].files[name] and not _close(
                runs_folder / run.name / name, runs_folder / known[0].name / name
            ):
                return f"{name} of {run.name} is not that of {known[0].name}"
    return None


def _close(one: Path, other: Path) -> bool:
    if not (one.is_file() and other.is_file()):
        return False
    (names, numbers), (names_too, numbers_too) = _table(one), _table(other)
    return (
        names == names_too
        and numbers.shape == numbers_too.shape
        and bool(np.allclose(numbers, numbers_too, rtol=0, atol=TOLERANCE))
    )


def _table(path: Path) -> tuple[list[list[str]], NDArray[np.float64]]:
    """A table's texts, row by row, and its numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    texts = {"ima", "cat", "predicted_cat"}
    wide = [place for place, name in enumerate(header) if name not in texts]
    return (
        [header, *([row[place] for place, name in enumerate(header) if name in texts] for row in rows)],
        np.array([[float(row[place]) for place in wide] for row in rows]),
    )
