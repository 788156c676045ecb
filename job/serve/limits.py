"""What a server takes on at the same time, and how long it gives each request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Attributes
    ----------
    body
        Most bytes of the body of a request.
    pictures
        Most pictures of one request.
    waiting
        Most pictures of all requests that were taken on and have no answer.
    memory
        Most bytes of the bodies of all requests that are being read or answered.
    seconds
        Seconds from the first byte of a request's body to its answer.

    """

    body: int = 32 << 20
    pictures: int = 256
    waiting: int = 128
    memory: int = 512 << 20
    seconds: float = 10.0


class BusyError(Exception):
    """More is being worked on than the limits allow."""


class Load:
    """What is being worked on now, compared with the limits whenever something is added."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pictures = 0
        self.bytes = 0

    @contextmanager
    def waiting(self, pictures: int) -> Iterator[None]:
        """Context manager: so many pictures are waited for. Raises BusyError where that would be too many.

        A single request may always wait when nothing else does.
        """
        if self.pictures and self.pictures + pictures > self._limits.waiting:
            raise BusyError
        self.pictures += pictures
        try:
            yield
        finally:
            self.pictures -= pictures

    def hold(self, count: int) -> None:
        """So many bytes more are held. Raises BusyError where that is too many."""
        if self.bytes + count > self._limits.memory:
            raise BusyError
        self.bytes += count

    def release(self, count: int) -> None:
        """So many bytes are let go."""
        self.bytes -= count
