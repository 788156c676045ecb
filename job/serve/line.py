"""The line from the server to one process that predicts: a picture goes, its answer comes."""

import asyncio
from dataclasses import dataclass
from typing import Any

from job.model.predict import Rejection
from job.serve.worker import ANSWERED, ASKED


@dataclass(frozen=True)
class Answer:
    """What a process says of a picture: the status, and all of it as JSON (`Prediction.public`)."""

    status: str
    json: bytes


class DiedError(Exception):
    """A process ended while it had a picture."""


class Line(asyncio.Protocol):
    """One end of a socket whose other end a process reads (`job.serve.worker.work`)."""

    def __init__(self) -> None:
        self.lost = False
        self._transport: Any = None
        self._came = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    def ask(self, picture: bytes, top_k: int, rejection: Rejection) -> "asyncio.Future[Answer]":
        """The answer to a picture, once it comes; nothing else may be asked before. DiedError when it never will."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.lost:
            waiting.set_exception(DiedError())
            return waiting
        self._waiting = waiting
        self._transport.writelines([ASKED.pack(len(picture), top_k, rejection.below, rejection.unknown), picture])
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
        if len(self._came) < ANSWERED.size:
            return
        status, size = ANSWERED.unpack_from(self._came)
        end = ANSWERED.size + status
        if len(self._came) < end + size:
            return
        found = Answer(self._came[ANSWERED.size : end].decode(), bytes(self._came[end : end + size]))
        self._came.clear()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(found)
        self._waiting = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's: the process has ended."""
        del exc
        self.lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(DiedError())
