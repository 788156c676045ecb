"""Processes that predict, as many as there are cores: a picture that hangs or crashes one costs that process alone."""

import asyncio
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import Empty, LifoQueue
from typing import Any, Self

from job.errors import UserError
from job.model.predict import CRASHED, Prediction
from job.serve import worker

# Seconds within which a process must have loaded the model.
_START = 60.0
# Processes that may die on one picture before it is taken for the cause.
_DEATHS = 2


class LateError(Exception):
    """A picture had no answer by its deadline."""


class _DiedError(Exception):
    """A process ended while it had a picture."""


@dataclass(frozen=True)
class _Process:
    process: BaseProcess
    pipe: Connection

    def ask(self, picture: bytes, top_k: int, reject_below: float, deadline: float) -> dict[str, Any]:
        """The answer to a picture. Raises LateError at `deadline`, a moment of `time.monotonic`, and _DiedError where
        the process has ended."""
        try:
            self.pipe.send((picture, top_k, reject_below))
            if not self.pipe.poll(max(0.0, deadline - time.monotonic())):
                raise LateError
            answer: dict[str, Any] = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise _DiedError from error
        return answer

    def end(self) -> None:
        """Ends it at once."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Workers:
    """Context manager: `count` processes, each of which holds the model.

    Parameters
    ----------
    uri, digest
        Address of the model, and its digest, which each process must find.
    count
        Number of processes.

    Notes
    -----
    Processes are forked off one that has imported what they need and has no threads, by `multiprocessing`'s fork
    server. A thread of this process stands for each of them and waits for its answers.

    """

    def __init__(self, uri: str, digest: str, count: int) -> None:
        self.count = count
        self.restarts = 0
        self._uri, self._digest = uri, digest
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([worker.__name__])
        self._idle: LifoQueue[_Process | None] = LifoQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="predict")

    def __enter__(self) -> Self:
        """Starts all processes. UserError where they can't load the model."""
        try:
            with ThreadPoolExecutor(self.count) as pool:
                for started in [pool.submit(self._started) for _ in range(self.count)]:
                    self._idle.put(started.result())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all processes; nobody may be waiting for an answer any more."""
        self._threads.shutdown()
        with suppress(Empty):
            while True:
                found = self._idle.get_nowait()
                if found is not None:
                    found.end()

    async def predict(self, picture: bytes, top_k: int, reject_below: float, deadline: float) -> dict[str, Any]:
        """What the model says of the bytes of a picture, as JSON values (`Prediction.public`).

        A picture on which two processes died has the status "crashed". Raises LateError when there is no answer by
        `deadline`, a moment of `time.monotonic`, and UserError when no process can be started any more.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._predict, picture, top_k, reject_below, deadline)

    def _predict(self, picture: bytes, top_k: int, reject_below: float, deadline: float) -> dict[str, Any]:
        for _ in range(_DEATHS):
            if time.monotonic() >= deadline:
                raise LateError
            current = self._idle.get()
            try:
                current = current or self._restarted()
                answer = current.ask(picture, top_k, reject_below, deadline)
            except (_DiedError, LateError) as error:
                if current is not None:
                    current.end()
                current = None  # the next picture gets a new process
                if isinstance(error, LateError):
                    raise
            else:
                return answer
            finally:
                self._idle.put(current)
        return Prediction(None, None, (), CRASHED, None).public()

    def _restarted(self) -> _Process:
        self.restarts += 1
        return self._started()

    def _started(self) -> _Process:
        here, there = self._context.Pipe()
        process = self._context.Process(target=worker.work, args=(there, self._uri, self._digest), daemon=True)
        process.start()
        there.close()
        started = _Process(process, here)
        try:
            fault = here.recv() if here.poll(_START) else f"it did not load the model within {_START:.0f} s"
        except (EOFError, OSError):
            fault = "it ended while it loaded the model"
        if fault is not None:
            started.end()
            raise UserError(f"A process that predicts can't be started: {fault[:1].lower()}{fault[1:].rstrip('.')}.")
        return started
