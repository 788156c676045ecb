"""Work that may end the process that does it, as a fault in a decoder does: done in a process of its own."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

from job.errors import UserError

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
        """What the function gives, or the exception that it raises.

        Raises CrashedError when two processes ended over it, and UserError when none can be started.
        """
        for _ in range(_DEATHS):
            pipe = self._pipe or self._start()
            try:
                pipe.send(arguments)
                result, error = pipe.recv()
            except (EOFError, OSError):  # the process has ended: what fails in it is an answer
                self._end()
                continue
            if error is not None:
                raise error
            return result
        raise CrashedError

    def _start(self) -> Connection:
        try:
            here, there, self._process = _forked()
        except OSError as error:
            raise UserError(
                f"A process that works on pictures apart can't be started: {error.strerror or error}. End others, or "
                "give more memory."
            ) from error
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
                try:
                    answer = ForkingPickler.dumps((self._function(*arguments), None))
                except Exception as error:  # noqa: BLE001  (raised where the call was made)
                    answer = _packed(error)
                pipe.send_bytes(answer)

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            os.waitpid(self._process, 0)


def _forked() -> tuple[Connection, Connection, int]:
    """Both ends of a pipe, and what `os.fork` says."""
    here, there = multiprocessing.Pipe()
    try:
        return here, there, os.fork()
    except OSError:
        here.close()
        there.close()
        raise


def _packed(error: Exception) -> memoryview:
    """An answer that is an error; one that pickle does not know is told in words."""
    try:
        return ForkingPickler.dumps((None, error))
    except Exception:  # noqa: BLE001  (whatever the error holds)
        return ForkingPickler.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
