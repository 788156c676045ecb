"""Makes the runs of a benchmark one after the other, and keeps what each has found as soon as it is there."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from job.benchmark import events, record
from job.benchmark.launchers import Launcher
from job.benchmark.record import Benchmark, Failure, MeasuredRun
from job.benchmark.schedule import Point
from job.errors import UserError
from job.report import text

# Seconds that a run has to remove what it has begun, once it is asked to end.
_GRACE = 60.0


@dataclass(frozen=True)
class Attempt:
    """A run that was to be made: the `number`th `of` all.

    Attributes
    ----------
    number, of, point
        Which one it is.
    run
        What it has measured; None where it failed, or was not tried yet.
    trouble
        Why it failed, or why its tasks are not known; empty where all is well.
    left
        Seconds that the runs after it may take; None where there are none.

    """

    number: int
    of: int
    point: Point
    run: MeasuredRun | None = None
    trouble: str = ""
    left: float | None = None

    def __str__(self) -> str:
        said = [f"[{self.number}/{self.of}] {self.point}"]
        if self.run is not None:
            missed = f"; its tasks are not known: {self.trouble}" if self.trouble else ""
            said.append(f": {text.seconds(self.run.total)}{missed}")
        elif self.trouble:
            said.append(f": failed: {self.trouble}")
        if self.left is not None:
            said.append(f"; about {text.seconds(self.left)} left")
        return "".join(said)

    def facts(self) -> dict[str, Any]:
        """The same by keys; None where there is nothing to say."""
        run = self.run
        return {
            "number": self.number,
            "of": self.of,
            "executors": self.point.executors,
            "cores": self.point.cores,
            "pictures": (run.pictures if run else self.point.pictures) or None,
            "repeat": self.point.repeat,
            "run_name": run.name if run else None,
            "seconds": run.total if run else None,
            "accuracy": run.accuracy if run else None,
            "seconds_left": self.left,
        }


def execute(
    benchmark: Benchmark,
    points: Sequence[Point],
    launcher: Launcher,
    folder: Path,
    timeout: float,
    tell: Callable[[Attempt], None],
) -> None:
    """Makes the runs of all points that have none yet. One that fails is told and kept in mind, the rest goes on."""
    done = {run.point for run in benchmark.runs}
    missing = [point for point in points if point not in done]
    benchmark.failures = []
    for number, point in enumerate(missing):
        begun = time.monotonic()
        run: MeasuredRun | None = None
        try:
            run, trouble = _make(point, launcher, folder, timeout)
        except UserError as error:
            trouble = error.message
            benchmark.failures.append(Failure(point, trouble))
        else:
            benchmark.runs.append(run)
        record.write(benchmark, folder)
        others = missing[number + 1 :]
        left = _left(benchmark, others, time.monotonic() - begun) if others else None
        tell(Attempt(len(points) - len(others), len(points), point, run, trouble, left))


def _left(benchmark: Benchmark, points: Sequence[Point], latest: float) -> float:
    """Seconds that the points will take: each as those like it, else as all so far."""

    def like(point: Point) -> float:
        totals = [
            run.total
            for run in benchmark.runs
            if (run.point.executors, run.point.pictures) == (point.executors, point.pictures)
        ]
        return mean(totals or [run.total for run in benchmark.runs] or [latest])

    return sum(map(like, points))


def _end(process: "subprocess.Popen[str]") -> None:
    """Asks a run to end, and kills it where it does not. What it says meanwhile is read, or it would wait for that."""
    process.terminate()
    try:
        process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()  # it is not read to its end: a Java that the run has started may keep it open


def _make(point: Point, launcher: Launcher, folder: Path, timeout: float) -> tuple[MeasuredRun, str]:
    """The run, and why its tasks are not known, where they are not."""
    name = f"{point.name}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    line, more = launcher.command(point, name)
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "job", *line],
            env={**os.environ, **more},
            stdout=out,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        try:
            _, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            raise UserError(f"It did not end within {text.seconds(timeout)} (--run-timeout).") from None
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        last = next((line for line in reversed(errors.splitlines()) if line.strip()), "it gave no reason")
        raise UserError(last.removeprefix("fruits: "))
    try:
        manifest = json.loads((folder / "runs" / name / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Its manifest can't be read: {error}.") from None
    try:
        content = launcher.event_log(name)
    except UserError as error:  # no reason to throw the run away
        return record.of_manifest(point, manifest, []), error.message
    return record.of_manifest(point, manifest, events.read(content.decode(errors="replace").splitlines()).tasks), ""
