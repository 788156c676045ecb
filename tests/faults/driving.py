"""Runs that are watched while faults are provoked, and their processes: driver, executors, Python workers."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pyspark
from running import QUICK, Answer, clean_environment

MASTER = "local-cluster[2,1,700]"
# Executors are started again however often they die; a dead one is missed soon.
CONF = (
    "spark.executor.memory=700m",
    "spark.deploy.maxExecutorRetries=-1",
    f"spark.driver.extraJavaOptions={QUICK}",
    f"spark.executor.extraJavaOptions={QUICK}",
)


def environment_of(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a run on a local cluster whose executors work in `folder`."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("AWS_")}
    return {**kept, "SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_WORKER_DIR": str(folder), **(more or {})}


class Driving:
    """A process that makes runs. What it says is kept line by line, with the second at which it was said."""

    def __init__(self, command: Sequence[object], environment: Mapping[str, str], folder: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [*map(str, command)],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, kept), daemon=True)
            for stream, kept in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, kept: list[str]) -> None:
        for line in stream:
            with self._news:
                kept.append(line.rstrip("\n"))
                self._news.notify_all()
        stream.close()
        with self._news:
            self._news.notify_all()

    def wait_for(
        self, said: str, limit: float, first: int = 0, unless: str = "\n", among: list[str] | None = None
    ) -> int:
        """Waits for a line of the output (or of those `among` which it may be) that begins so, from the line of number
        `first` on; the number of the line after it. It is not waited for any more after a line that begins with
        `unless`."""
        lines = self.out if among is None else among
        deadline = time.monotonic() + limit
        with self._news:
            while True:
                for number, line in enumerate(lines[first:], start=first):
                    if line.startswith(said):
                        return number + 1
                    assert not line.startswith(unless), f"'{said}' was not said: {self.err[-3:]}"
                ended = self.process.poll() is not None and not self._readers[0].is_alive()
                if ended or not self._news.wait(min(1.0, max(0.0, deadline - time.monotonic()))):
                    assert not ended, f"it ended before '{said}': {self.err}"
                    assert time.monotonic() < deadline, f"'{said}' was not said within {limit:.0f} s: {self.out[-3:]}"

    def executors(self) -> list[psutil.Process]:
        """Executors that have begun to work: those with Python workers."""
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline()) and _daemon(child):
                        found.append(child)
        return found

    def executor(self, limit: float = 120) -> psutil.Process:
        """One of the executors that work, as soon as there is one."""
        return self.some(1, limit)[0]

    def some(self, count: int, limit: float = 120) -> list[psutil.Process]:
        """So many of the executors that work, as soon as they are there."""
        return _soon(lambda: found[:count] if len(found := self.executors()) >= count else [], limit)

    def worker(self, limit: float = 120) -> psutil.Process:
        """A Python worker of one of the executors, as soon as there is one."""

        def look() -> list[psutil.Process]:
            found = []
            for executor in self.executors():
                with suppress(psutil.NoSuchProcess):
                    daemon = _daemon(executor)
                    found += daemon.children() if daemon else []
            return found

        return _soon(look, limit)[0]

    def kill(self) -> None:
        """Ends the driver as the system does when memory is short, and waits for it. Its JVM ends by itself."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for reader in self._readers:
            reader.join(60)
        if self.process.stdin:
            with suppress(OSError):
                self.process.stdin.close()


class Command(Driving):
    """`fruits` with one list of arguments, in a process of its own."""

    def __init__(self, environment: Mapping[str, str], *arguments: object, before: Sequence[str] = ()) -> None:
        self.begun = time.monotonic()
        super().__init__([*before, sys.executable, "-m", "job", *arguments], environment)

    def reached(self, operation: str, split: str = "", limit: float = 240) -> None:
        """Waits until that operation is over."""
        self.wait_for(f"event=step operation={operation}{f' split={split}' if split else ''}", limit)

    def ended(self, limit: float) -> Answer:
        """What it said, once it has ended; fails when it takes longer."""
        code = self.process.wait(max(1.0, self.begun + limit - time.monotonic()))
        for reader in self._readers:
            reader.join(60)
        return Answer(code, "\n".join(self.out), "\n".join(self.err))


class House(Driving):
    """`house.py`: one run after another on the same two executors."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *conf: str) -> None:
        program = Path(__file__).with_name("house.py")
        given = environment_of(folder, environment)
        super().__init__([sys.executable, program, MASTER, *CONF, *conf], given)
        self.wait_for("event=ready", 240)

    def begin(self, *arguments: object) -> "HouseRun":
        return HouseRun(self, arguments)


class HouseRun:
    """One run in a house."""

    def __init__(self, house: House, arguments: Sequence[object]) -> None:
        self.house = house
        self.begun = time.monotonic()
        self._first, self._first_error = len(house.out), len(house.err)
        assert house.process.stdin
        house.process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        house.process.stdin.flush()

    def reached(self, operation: str, split: str = "", limit: float = 240) -> None:
        said = f"event=step operation={operation}{f' split={split}' if split else ''}"
        self.house.wait_for(said, limit, self._first, unless="event=ended")

    def is_over(self) -> bool:
        return any(line.startswith("event=ended") for line in self.house.out[self._first :])

    def ended(self, limit: float) -> Answer:
        # Nothing orders the two streams: each tells its own end.
        last = self.house.wait_for("event=ended", self.begun + limit - time.monotonic(), self._first)
        last_error = self.house.wait_for("event=ended", 60, self._first_error, among=self.house.err)
        lines, errors = self.house.out[self._first : last], self.house.err[self._first_error : last_error]
        found = re.search(r"code=(\d+)", lines[-1])
        assert found
        return Answer(int(found[1]), "\n".join(lines[:-1]), "\n".join(errors[:-1]))


def _daemon(executor: psutil.Process) -> psutil.Process | None:
    """The process from which an executor's Python workers are forked."""
    for child in executor.children():
        with suppress(psutil.NoSuchProcess):
            if "worker_daemon" in " ".join(child.cmdline()):
                return child
    return None


def _soon(look: Callable[[], list[psutil.Process]], limit: float) -> list[psutil.Process]:
    deadline = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < deadline, "no such process began to work"
        time.sleep(0.02)
    return found
