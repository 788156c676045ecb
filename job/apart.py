"""Work that may end the process that does it, as a fault in a decoder does: done in a process of its own."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

CRASHED = "crashed"
"""The reason of a picture on which processes ended."""
# Processes that may die of one call before it is taken for the cause.
_DEATHS = 2


class CrashedError(Exception):
    """Two processes ended in the midst of the same call."""


class Apart:
    """Context manager: calls of `function` in a process that is forked off this one when the first call comes.

    It is slower than to call it here: arguments and results, which pickle must know, go through a pipe.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._pipe: Connection | None = None
        self._process = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives, or the exception that it raises. CrashedError when two processes ended over it."""
        for _ in range(_DEATHS):
            try:
                pipe = self._pipe or self._start()
                pipe.send(arguments)
                result, error = pipe.recv()
            except (EOFError, OSError):
                self._end()
                continue
            if error is not None:
                raise error
            return result
        raise CrashedError

    def _start(self) -> Connection:
        here, there = multiprocessing.Pipe()
        self._process = os.fork()
        if not self._process:
            try:
                here.close()
                self._serve(there)
            finally:
                os._exit(0)
        there.close()
        self._pipe = here
        return here

    def _serve(self, pipe: Connection) -> None:
        with suppress(EOFError):  # nothing is asked any more
            while True:
                arguments = pipe.recv()
                answer: tuple[Any, Exception | None]
                try:
                    answer = self._function(*arguments), None
                except Exception as error:  # noqa: BLE001  (raised where the call was made)
                    answer = None, error
                pipe.send(answer)

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            os.waitpid(self._process, 0)
