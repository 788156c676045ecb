"""Seconds per operation of this process, seconds of other processes, and where the figures are kept.

Standard library only: the peers run in an environment of their own.
"""

import argparse
import csv
import ctypes
import datetime as dt
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
CHECKOUT = Path(__file__).parents[2]


@dataclass
class Operation:
    name: str
    split: str
    seconds: float = 0.0
    jobs: int = 0
    tasks: int = 0
    partitions: int = 0


@dataclass
class Clock:
    """Collects operations in the form of a run's `timings.csv`; the total counts from the clock's making."""

    started: float = field(default_factory=time.perf_counter)
    operations: list[Operation] = field(default_factory=list)

    @contextmanager
    def operation(self, name: str, split: str = "all") -> Iterator[Operation]:
        entry = Operation(name, split)
        begin = time.perf_counter()
        yield entry
        entry.seconds = time.perf_counter() - begin
        self.operations.append(entry)

    def stop(self) -> None:
        jobs, tasks = (sum(getattr(entry, count) for entry in self.operations) for count in ("jobs", "tasks"))
        self.operations.append(Operation("total", "all", time.perf_counter() - self.started, jobs, tasks))

    def leave(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """Keeps and shows the operations, and what else there is to say."""
        self.write(folder)
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        self.show()
        print(json.dumps(summary))

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "timings.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("operation", "split", "seconds", "tasks", "partitions"))
            table.writerows((o.name, o.split, f"{o.seconds:.6f}", o.tasks, o.partitions) for o in self.operations)

    def show(self) -> None:
        counts = [count for count in ("jobs", "tasks", "partitions") if any(getattr(o, count) for o in self.operations)]
        print(f"\n{'operation':<22}{'split':<7}{'seconds':>9}" + "".join(f"{count:>12}" for count in counts))
        for o in self.operations:
            print(f"{o.name:<22}{o.split:<7}{o.seconds:>9.2f}" + "".join(f"{getattr(o, c):>12}" for c in counts))


def read_timings(folder: Path) -> dict[tuple[str, str], float]:
    with (folder / "timings.csv").open(newline="") as file:
        return {(row["operation"], row["split"]): float(row["seconds"]) for row in csv.DictReader(file)}


class Finished(NamedTuple):
    """A process that ended well: seconds from its command to its exit, CPU seconds of it and all below it."""

    wall: float
    cpu: float


def run(command: Sequence[object], log: Path) -> Finished:
    """Run a command to its end, its output into `log`. A failure ends the benchmark with the log's last lines."""
    _adopt_orphans()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        code = process.wait()
    wall = time.perf_counter() - begin
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"'{' '.join(map(str, command))}' ended with exit code {code}:\n{tail}")
    _reap_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Finished(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _adopt_orphans() -> None:
    """Become the parent of what a finished child leaves (a JVM, its workers): else their CPU time is lost. Linux."""
    pr_set_child_subreaper = 36
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _reap_orphans(patience: float = 20.0) -> None:
    """Wait until all adopted processes have ended, so that the next measurement has the machine for itself."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.05)
    print("Processes of the last command are still running: the next figures may suffer.", file=sys.stderr)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and all values, to a millisecond."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "all": [round(value, 3) for value in values],
    }


def record(name: str, figures: Mapping[str, Any], folder: Path | None) -> None:
    """Append the figures as one line to `<folder>/<name>.jsonl`, with when, what commit and what kind of machine."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    line = {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cores": os.cpu_count(), "cpu": _cpu_model(), "load_after": round(os.getloadavg()[0], 1)},
        **figures,
    }
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def _commit() -> str:
    command = ("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def add_results_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-record", dest="results", action="store_const", const=None, default=RESULTS,
                        help="don't append the figures to tests/benchmarks/results/")  # fmt: skip


def fruits_command() -> str:
    """The `fruits` command of the running interpreter's environment."""
    command = Path(sys.executable).with_name("fruits")
    if not command.exists():
        raise SystemExit(f"There is no '{command}': install the project into this environment (pip install -e .).")
    return str(command)
