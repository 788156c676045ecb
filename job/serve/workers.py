"""Processes that predict, as many as there are cores: a picture that hangs or crashes one costs that process alone."""

import asyncio
import multiprocessing
import socket
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Self

from job.apart import CRASHED
from job.errors import UserError
from job.model.predict import Prediction, Rejection
from job.serve import worker
from job.serve.line import Answer, DiedError, Line
from job.serve.worker import ANSWERED
from job.signals import answered_later, not_inherited

# Seconds within which a process must have loaded the model.
_START = 60.0
# Processes that may die on one picture before it is taken for the cause.
_DEATHS = 2


@dataclass(frozen=True, eq=False)
class Started:
    """A process that has loaded the model, and the socket to it."""

    process: BaseProcess
    socket: socket.socket

    def end(self) -> None:
        """Ends it at once."""
        self.socket.close()
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
    server. They are asked by the event loop itself: a thread for each of them would share one lock with the server, and
    a request would wait for it several times.

    """

    def __init__(self, uri: str, digest: str, count: int) -> None:
        self.count = count
        self.restarts = 0
        self._uri, self._digest = uri, digest
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([worker.__name__])
        self._processes: set[Started] = set()
        self._lines: dict[Line, Started] = {}
        self._idle: list[Line] = []
        self._waiting: deque[asyncio.Future[Line]] = deque()
        self._missing = 0
        self._starting: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        """Starts all processes. UserError where they can't load the model."""
        # a Ctrl-C in a terminal is for this process alone, which ends the others
        resource_tracker.ensure_running()  # it would let the signals through again
        with answered_later(), not_inherited():
            forkserver.ensure_running()
        try:
            with ThreadPoolExecutor(self.count) as pool:
                for started in [pool.submit(self._started) for _ in range(self.count)]:
                    self._processes.add(started.result())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all processes; nobody may be waiting for an answer any more."""
        for started in self._processes:
            started.end()
        self._processes.clear()

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Context manager of a running event loop: `predict` works as long as it lasts."""
        for started in list(self._processes):
            self._free(await self._line(started))
        try:
            yield
        finally:
            await asyncio.gather(*self._starting)
            for line in self._lines:
                line.close()
            await asyncio.sleep(0)  # in which the sockets are closed

    async def predict(self, picture: bytes, top_k: int, rejection: Rejection) -> Answer:
        """What the model says of the bytes of a picture.

        A picture on which two processes died has the status "crashed". Raises UserError when no process can be started
        any more. Who does not want to wait any longer cancels this, which ends a process that has the picture.
        """
        for _ in range(_DEATHS):
            line = await self._next()
            with suppress(DiedError):
                return await self._asked(line, picture, top_k, rejection)
        return Answer(CRASHED, worker.as_json(Prediction(None, None, (), CRASHED, None)))

    async def _asked(self, line: Line, picture: bytes, top_k: int, rejection: Rejection) -> Answer:
        try:
            found = await line.ask(picture, top_k, rejection)
        except BaseException:  # it has died, or nobody waits for its answer: the next picture gets a new process
            self._end(line)
            raise
        self._free(line)
        return found

    async def _next(self) -> Line:
        """A process that has nothing to do, as soon as there is one."""
        for _ in range(self._missing):
            self._start()
        while self._idle:
            line = self._idle.pop()
            if not line.lost:
                return line
            self._end(line)
            self._start()
        waiting: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._free(waiting.result())  # it came at the same moment
            raise

    def _free(self, line: Line) -> None:
        """A process has nothing to do: it is for who waits longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(line)
                return
        self._idle.append(line)

    def _end(self, line: Line) -> None:
        """Ends a process; another is started when a picture needs it."""
        started = self._lines.pop(line)
        self._processes.remove(started)
        line.close()
        started.process.kill()
        # It has ended, or does so in a moment, which nobody waits for.
        asyncio.get_running_loop().run_in_executor(None, started.process.join)
        self._missing += 1

    def _start(self) -> None:
        """Starts a process in place of one that ended, while others answer."""
        self._missing -= 1
        self.restarts += 1
        task = asyncio.get_running_loop().create_task(self._restarted())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _restarted(self) -> None:
        try:
            started = await asyncio.to_thread(self._started)
        except UserError as error:
            self._missing += 1
            if self._missing == self.count:  # there is no other, so that nobody would be answered
                while self._waiting:
                    waiting = self._waiting.popleft()
                    if not waiting.done():
                        waiting.set_exception(error)
            return
        self._processes.add(started)
        self._free(await self._line(started))

    async def _line(self, started: Started) -> Line:
        _, line = await asyncio.get_running_loop().create_unix_connection(Line, sock=started.socket)
        self._lines[line] = started
        return line

    def _started(self) -> Started:
        here, there = socket.socketpair()
        process = self._context.Process(target=worker.work, args=(there, self._uri, self._digest), daemon=True)
        process.start()
        there.close()
        started = Started(process, here)
        fault = _fault(here)
        if fault is not None:
            started.end()
            raise UserError(f"A process that predicts can't be started: {fault[:1].lower()}{fault[1:].rstrip('.')}.")
        return started


def _fault(line: socket.socket) -> str | None:
    """Why a process did not start; None where it did."""
    line.settimeout(_START)
    try:
        with line.makefile("rb") as told:
            head = told.read(ANSWERED.size)
            if len(head) == ANSWERED.size:
                status, said = (told.read(size) for size in ANSWERED.unpack(head))
                return None if status == b"ready" else said.decode()
    except TimeoutError:
        return f"it did not load the model within {_START:.0f} s"
    except OSError:
        pass
    return "it ended while it loaded the model"
