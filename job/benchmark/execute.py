"""Makes the runs of a benchmark one after the other, and keeps what each has found as soon as it is there."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from job.benchmark import events, record
from job.benchmark.launchers import Launcher
from job.benchmark.record import Benchmark, Failure, MeasuredRun
from job.benchmark.schedule import Point
from job.errors import UserError
from job.report import text


def execute(
    benchmark: Benchmark,
    points: Sequence[Point],
    launcher: Launcher,
    folder: Path,
    timeout: float,
    tell: Callable[[str], None],
) -> None:
    """Makes the runs of all points that have none yet. One that fails is told and kept in mind, the rest goes on."""
    done = {run.point for run in benchmark.runs}
    missing = [point for point in points if point not in done]
    benchmark.failures = []
    for number, point in enumerate(missing):
        begun = time.monotonic()
        try:
            run = _make(point, launcher, folder, timeout)
        except UserError as error:
            benchmark.failures.append(Failure(point, error.message))
            said = f"failed: {error.message}"
        else:
            benchmark.runs.append(run)
            said = text.seconds(run.total)
        record.write(benchmark, folder)
        left = missing[number + 1 :]
        wait = f"; about {text.seconds(_left(benchmark, left, time.monotonic() - begun))} left" if left else ""
        tell(f"[{len(points) - len(left)}/{len(points)}] {point}: {said}{wait}")


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


def _make(point: Point, launcher: Launcher, folder: Path, timeout: float) -> MeasuredRun:
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
            text=True,
        )
        try:
            _, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            raise UserError(f"It did not end within {text.seconds(timeout)} (--run-timeout).") from None
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        last = next((line for line in reversed(errors.splitlines()) if line.strip()), "it gave no reason")
        raise UserError(last.removeprefix("fruits: "))
    try:
        manifest = json.loads((folder / "runs" / name / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Its manifest can't be read: {error}.") from None
    return record.of_manifest(point, manifest, _tasks(launcher, name, log))


def _tasks(launcher: Launcher, name: str, log: Path) -> list[events.Task]:
    """Its tasks; none where the event log can't be had, which is no reason to throw the run away."""
    try:
        content = launcher.event_log(name, log.read_text(encoding="utf-8"))
    except (UserError, OSError, ValueError):
        return []
    return events.read(content.decode(errors="replace").splitlines()).tasks
