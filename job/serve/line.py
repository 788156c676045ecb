"""The line from the server to one process that predicts: pictures go, their answers come."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from job.model.predict import Rejection
from job.serve.worker import ANSWERED, ASKED, SIZE


@dataclass(frozen=True)
class Answer:
    """What a process says of a picture: the status, and all of it as JSON (`Prediction.public`)."""

    status: str
    json: bytes


class DiedError(Exception):
    """A process ended while it had pictures."""


class Line(asyncio.Protocol):
    """One end of a socket whose other end a process reads (`job.serve.worker.work`)."""

    def __init__(self) -> None:
        self.lost = False
        self._transport: Any = None
        self._came = bytearray()
        self._missing = 0
        self._answers: list[Answer] = []
        self._waiting: asyncio.Future[list[Answer]] | None = None

    def ask(self, pictures: Sequence[bytes], top_k: int, rejection: Rejection) -> "asyncio.Future[list[Answer]]":
        """The answers to pictures, once all are there; nothing else may be asked before.

        DiedError when they never will be.
        """
        waiting: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        if self.lost:
            waiting.set_exception(DiedError())
            return waiting
        self._waiting, self._missing, self._answers = waiting, len(pictures), []
        head = ASKED.pack(len(pictures), top_k, rejection.below, rejection.unknown)
        self._transport.writelines([head, *(SIZE.pack(len(picture)) for picture in pictures), *pictures])
        return waiting

    def close(self) -> None:
        """Nothing is asked any more: the process at the other end ends when it has answered."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: the line is there."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Asyncio's: a piece of an answer is there."""
        self._came += data
        while self._missing and (found := self._answer()) is not None:
            self._answers.append(found)
            self._missing -= 1
        if not self._missing and self._waiting is not None:
            if not self._waiting.done():
                self._waiting.set_result(self._answers)
            self._waiting = None

    def _answer(self) -> Answer | None:
        """The next answer of what came, which is taken away; None where it is not whole."""
        came = self._came
        if len(came) < ANSWERED.size:
            return None
        status, size = ANSWERED.unpack_from(came)
        end = ANSWERED.size + status
        if len(came) < end + size:
            return None
        found = Answer(came[ANSWERED.size : end].decode(), bytes(came[end : end + size]))
        del came[: end + size]
        return found

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's: the process has ended."""
        del exc
        self.lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(DiedError())
