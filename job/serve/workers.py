"""Processes that predict, as many as there are cores: a picture that hangs or crashes one costs that process alone."""

import asyncio
import multiprocessing
import socket
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Self

from job.apart import CRASHED
from job.errors import UserError
from job.model.predict import Prediction, Rejection
from job.serve import worker
from job.serve.line import Answer, Line
from job.serve.worker import ANSWERED
from job.signals import answered_later, not_inherited

# Seconds within which a process must have loaded the model.
_START = 60.0
# Processes that may die on one picture before it is taken for the cause.
_DEATHS = 2
# Most pictures that a process is asked about together, which costs less than one after another where more wait than
# there are processes (`http_over_bare` of tests/benchmarks/serve.py); and most bytes of each of them.
_TOGETHER = 4
_SMALL = 64 << 10
# Seconds for the answers to several pictures. Then the process is ended, and each is asked about alone, so that a
# picture that hangs costs the others no more than this.
_PATIENCE = 2.0

_NOT_STARTED = "A process that predicts can't be started"
_CRASHED = Answer(CRASHED, worker.as_json(Prediction(None, None, (), CRASHED, None)))


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


@dataclass(eq=False)
class _Asked:
    """A picture that somebody waits for the answer to."""

    picture: bytes
    settings: tuple[int, Rejection]
    answer: asyncio.Future[Answer]
    # The line to the process that has it.
    line: Line | None = None
    # Whether a process was lost while it had this picture, so that the next one gets it without others.
    alone: bool = False
    # Processes that were lost while they had it and no other.
    deaths: int = 0

    def goes_with(self, other: "_Asked") -> bool:
        """Whether a process may be asked about both at once."""
        return self.shares and other.shares and self.settings == other.settings

    @property
    def shares(self) -> bool:
        """Whether a process may have it beside others."""
        return not self.alone and len(self.picture) <= _SMALL


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
    a request would wait for it several times. A picture that finds a process idle is asked about at once and alone; of
    those that wait, a process gets several small ones together.

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
        self._waiting: deque[_Asked] = deque()
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
            self._idle.append(await self._line(started))
        try:
            yield
        finally:
            await asyncio.gather(*self._starting)
            for line in self._lines:
                line.close()
            await asyncio.sleep(0)  # in which the sockets are closed

    async def predict(self, picture: bytes, top_k: int, rejection: Rejection) -> Answer:
        """What the model says of the bytes of a picture.

        A picture on which two processes died that had no other has the status "crashed". Raises UserError when no
        process can be started any more. Who does not want to wait any longer cancels this, which ends a process that
        has the picture.
        """
        asked = _Asked(picture, (top_k, rejection), asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._give()
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if asked.line is not None:
                asked.line.close()
            raise

    def _give(self) -> None:
        """Asks processes that have nothing to do about pictures that wait."""
        while self._waiting and self._missing:
            self._start()
        while self._waiting and self._idle:
            line = self._idle.pop()
            if line.lost:
                self._end(line)
                self._start()
            elif together := self._together():
                self._ask(line, together)
            else:
                self._idle.append(line)

    def _together(self) -> list[_Asked]:
        """The pictures that the next process is asked about: those that wait longest, but one for each other process,
        which may be free in a moment."""
        most = min(_TOGETHER, max(1, len(self._waiting) - self.count + 1))
        found: list[_Asked] = []
        while self._waiting and len(found) < most:
            asked = self._waiting[0]
            if not asked.answer.done():
                if found and not asked.goes_with(found[0]):
                    break
                found.append(asked)
            self._waiting.popleft()
        return found

    def _ask(self, line: Line, together: Sequence[_Asked]) -> None:
        found = line.ask([asked.picture for asked in together], *together[0].settings)
        for asked in together:
            asked.line = line
        if len(together) > 1:
            late = asyncio.get_running_loop().call_later(_PATIENCE, line.close)
            found.add_done_callback(lambda _: late.cancel())
        found.add_done_callback(partial(self._answered, line, together))

    def _answered(self, line: Line, together: Sequence[_Asked], found: asyncio.Future[list[Answer]]) -> None:
        """A process has answered; or it has died, or was ended since nobody waits for its answer any more."""
        for asked in together:
            asked.line = None
        if found.exception() is None:
            for asked, answer in zip(together, found.result(), strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(answer)
            self._idle.append(line)
        else:
            self._end(line)
            for asked in reversed(together):
                asked.alone = True
                asked.deaths += len(together) == 1
                if asked.deaths < _DEATHS:
                    self._waiting.appendleft(asked)
                elif not asked.answer.done():
                    asked.answer.set_result(_CRASHED)
        self._give()

    def _end(self, line: Line) -> None:
        """Ends a process; another is started when a picture needs it."""
        started = self._lines.pop(line)
        self._processes.remove(started)
        self._missing += 1
        line.close()
        _let_end(started)

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
            try:
                line = await self._line(started)
            except BaseException:
                started.socket.close()
                _let_end(started)
                raise
        except BaseException as error:
            # whatever it was, a later request tries again
            self._missing += 1
            if not isinstance(error, Exception):
                raise
            self._tell_if_alone(error if isinstance(error, UserError) else _not_started(error))
        else:
            self._processes.add(started)
            self._idle.append(line)
            self._give()

    def _tell_if_alone(self, error: UserError) -> None:
        """Tells all who wait that a process can't be started, where there is no other that would answer them."""
        while self._waiting and self._missing == self.count:
            answer = self._waiting.popleft().answer
            if not answer.done():
                answer.set_exception(error)

    async def _line(self, started: Started) -> Line:
        _, line = await asyncio.get_running_loop().create_unix_connection(Line, sock=started.socket)
        self._lines[line] = started
        return line

    def _started(self) -> Started:
        """A process that has loaded the model. UserError where the system does not let it start, or it can't do so."""
        try:
            here, there = socket.socketpair()
            with there:
                try:
                    process = self._context.Process(
                        target=worker.work, args=(there, self._uri, self._digest), daemon=True
                    )
                    process.start()
                except BaseException:
                    here.close()
                    raise
        except (OSError, EOFError) as error:  # EOFError: the fork server has ended, as when it could not fork
            raise _not_started(error) from error
        started = Started(process, here)
        fault = _fault(here)
        if fault is not None:
            started.end()
            raise UserError(f"{_NOT_STARTED}: {fault[:1].lower()}{fault[1:].rstrip('.')}.")
        return started


def _not_started(error: Exception) -> UserError:
    """What is said where the system does not let a process start."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return UserError(
        f"{_NOT_STARTED}: {said[:1].lower()}{said[1:].rstrip('.')}. Give more memory, open files and processes, or "
        "start with fewer --workers."
    )


def _let_end(started: Started) -> None:
    """Ends a process, which it does in a moment that nobody waits for."""
    started.process.kill()
    with suppress(RuntimeError):  # no thread can be started to note it: the next start of a process does
        asyncio.get_running_loop().run_in_executor(None, started.process.join)


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
