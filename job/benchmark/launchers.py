"""How one run of a benchmark is started: the command line of this package's own `run` or `submit`."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from job import storage
from job.benchmark.schedule import Point
from job.cores import available_cores
from job.engine.java import spark_home
from job.errors import UserError

_CONF = (
    # The event log is one plain file, which is whole when the run has ended.
    "spark.eventLog.compress=false",
    "spark.eventLog.rolling.enabled=false",
    # No task starts before all executors are there: what is measured is their work, not their coming.
    "spark.scheduler.minRegisteredResourcesRatio=1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime=300s",
)
# How Spark names the event log of an application that has not ended.
_UNFINISHED = ".inprogress"


class Launcher(Protocol):
    """Starts the runs: each leaves its folder in `folder/runs`, and its event log where `event_log` finds it."""

    def command(self, point: Point, name: str) -> tuple[list[str], Mapping[str, str]]:
        """The arguments of `fruits` that make this run, and what they want in the environment."""

    def event_log(self, name: str) -> bytes:
        """The event log of the run `name`. Raises UserError when there is none."""


class LocalLauncher:
    """Executors that are processes of this machine (Spark's local-cluster).

    Parameters
    ----------
    folder
        Where the runs leave what they find.
    arguments
        The settings of `fruits run` as flags, without `--conf`.
    conf
        Spark's settings, `KEY=VALUE`. They go into the environment, as some may be secret, and a process' command line
        is there for everybody to read.
    memory
        MB of an executor's heap.

    """

    def __init__(self, folder: Path, arguments: Sequence[str], conf: Sequence[str], memory: int) -> None:
        self.folder, self.arguments, self.conf, self.memory = folder, arguments, conf, memory

    def command(self, point: Point, name: str) -> tuple[list[str], Mapping[str, str]]:
        """A `fruits run` on executors that are processes of this machine, and the folders that those want in the
        environment."""
        events = self.folder / "events" / name
        scratch = self.folder / "scratch"
        line = [
            "run",
            *self.arguments,
            *point.pictures_arguments(),
            "--out",
            str(self.folder / "runs"),
            "--run-name",
            name,
            "--event-log",
            str(events),
            "--master",
            f"local-cluster[{point.executors},{point.cores},{self.memory}]",
        ]
        sizes = (f"spark.cores.max={point.executors * point.cores}", f"spark.executor.memory={self.memory}m")
        return line, {
            "SPARK_HOME": str(spark_home()),
            "SPARK_WORKER_DIR": str(scratch),
            "FRUITS_CONF": "\n".join((*self.conf, *_CONF, *sizes)),
        }

    def event_log(self, name: str) -> bytes:
        """The event log that the run left in its folder; the log is removed there, and so is the executors' scratch."""
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        place = self.folder / "events" / name
        content = _event_log(str(place))
        shutil.rmtree(place)
        return content


class KubernetesLauncher:
    """A SparkApplication for each run, through the operator, by `fruits submit`."""

    def __init__(self, folder: Path, arguments: Sequence[str], submit: Sequence[str], out: str) -> None:
        self.folder, self.arguments, self.submit, self.out = folder, arguments, submit, out

    def command(self, point: Point, name: str) -> tuple[list[str], Mapping[str, str]]:
        """A `fruits submit` of one SparkApplication that fetches the run's folder; nothing in the environment."""
        line = [
            "submit",
            *self.submit,
            "--executors",
            str(point.executors),
            "--executor-cores",
            str(point.cores),
            "--results",
            str(self.folder / "runs"),
            "--",
            *self.arguments,
            *point.pictures_arguments(),
            "--run-name",
            name,
            "--event-log",
            self._events(name),
            *(item for pair in _CONF for item in ("--conf", pair)),
        ]
        return line, {}

    def event_log(self, name: str) -> bytes:
        """The event log that the run left in the store."""
        return _event_log(self._events(name))

    def _events(self, name: str) -> str:
        return storage.join(self.out, f"events/{name}")


def _event_log(folder: str) -> bytes:
    """The event log in the folder of one run: the latest, where its driver was started again."""
    logs = {name: storage.join(folder, name) for name in storage.files(folder)}
    if not logs:
        raise UserError(f"There is no event log in '{folder}'.")
    latest = max(logs, key=lambda name: (not name.endswith(_UNFINISHED), storage.modified(logs[name]) or 0.0))
    return storage.read_bytes(logs[latest])


def machine() -> dict[str, Any]:
    """The machine, as a reader of the figures wants it named."""
    model = "unknown"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        model = found[1].strip() if found else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {"cores": available_cores(), "cpu": model, "memory_gb": round(memory / 1e9, 1)}
