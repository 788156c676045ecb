"""What a server takes on at the same time, and how long it gives each request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


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

    def holding(self) -> "Holding":
        """Context manager of a request, whose bytes are held as long as it lasts."""
        return Holding(self, self._limits.memory)


class Holding:
    """The bytes that are held of a request's body."""

    def __init__(self, load: Load, most: int) -> None:
        self.bytes = 0
        self._load, self._most = load, most

    def __enter__(self) -> Self:
        """Holds nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Lets all go."""
        self._load.bytes -= self.bytes

    def add(self, count: int) -> None:
        """Holds so many bytes more. Raises BusyError where those of all requests are too many."""
        if self._load.bytes + count > self._most:
            raise BusyError
        self._load.bytes += count
        self.bytes += count
