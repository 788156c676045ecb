"""`fruits predict --watch` as tests run it: a process of its own, which may be killed at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from running import Answer, clean_environment

MODEL = Path(__file__).parent / "model" / "data" / "v1" / "model"


class Watching:
    """A watch that runs. Its output goes to files, so that nobody has to read it."""

    def __init__(self, folder: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir()))
        self._out, self._err = folder / f"{number:03d}.out", folder / f"{number:03d}.err"
        command = [sys.executable, "-m", "job", "predict", "--model", MODEL, "--watch", *arguments]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*map(str, command)],
                stdout=out,
                stderr=err,
                env={**clean_environment(), **(environment or {})},
                start_new_session=True,
            )

    def said(self) -> str:
        return self._out.read_text(encoding="utf-8")

    def batches(self) -> int:
        return self.said().count("operation=predict")

    def wait_for(self, condition: Callable[[], object], seconds: float = 240.0) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.ended()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as the system does when memory is short."""
        self.process.kill()
        self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> Answer:
        """As a terminal does on Ctrl-C, or systemd on a stop: all processes are told."""
        os.killpg(self.process.pid, number)
        return self.ended()

    def ended(self, seconds: float = 240.0) -> Answer:
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
        return Answer(code, self.said(), self._err.read_text(encoding="utf-8"))


class Arriving(threading.Thread):
    """Context manager: pictures arrive one after another, `put(number)` each, until the block ends."""

    def __init__(self, put: Callable[[int], None], pause: float) -> None:
        super().__init__()
        self._put, self._pause = put, pause
        self._stopped = threading.Event()
        self.count = 0

    def run(self) -> None:
        while not self._stopped.is_set():
            self._put(self.count)
            self.count += 1
            self._stopped.wait(self._pause)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()


def kill_at_random(start: Callable[[], Watching], times: int) -> None:
    """Starts a watch and kills it within a second of one of its first batches, so many times."""
    seed = time.time_ns()
    print(f"seed {seed}")
    draw = random.Random(seed)
    for _ in range(times):
        running = start()
        wanted = draw.randint(1, 3)
        running.wait_for(lambda running=running, wanted=wanted: running.batches() >= wanted)
        time.sleep(draw.uniform(0, 1))
        running.kill()


def events(answer: Answer, operation: str) -> list[dict[str, str]]:
    """The pairs of each line about that operation."""
    lines = [line for line in answer.events("step") if f"operation={operation} " in line]
    return [dict(pair.split("=", 1) for pair in line.split()) for line in lines]


def manifests(folder: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in sorted((folder / "manifests").iterdir())]
