"""Tells how far an operation is, while the thread that does it waits for Spark."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from job.engine.progress import Watch
from job.report.advance import Advance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Seconds that the end of an operation waits for a look that is on its way.
_PATIENCE = 1.0


class Watcher(Protocol):
    """Who is told."""

    @property
    def period(self) -> float | None:
        """Seconds from one look to the next; None for who does not want to know."""

    def advance(self, found: Advance) -> None:
        """How far the operation is."""

    def settle(self) -> None:
        """It is over."""


Parts = Callable[[], tuple[int, int, str]]


class Follower:
    """Context manager: while the block runs, a watcher is told every so often, from another thread, how far it is.

    Parameters
    ----------
    watcher
        Who is told.
    operation, split
        Names of what runs in the block.
    spark, group
        Where its tasks are asked for; no session where it has none.
    pictures
        Number of pictures that its tasks work on, all in one pass; None where they do something else.
    parts
        Gives parts that are done, all parts and what one is called, or is None where tasks are the parts.
    stack
        All followers at work, of which the last is heard: the operation that another one is made of.

    """

    def __init__(
        self,
        watcher: Watcher,
        operation: str,
        split: str,
        spark: "SparkSession | None",
        group: str,
        *,
        pictures: int | None,
        parts: Callable[[], Parts | None],
        stack: list["Follower"],
    ) -> None:
        self._watcher, self._names, self._spark, self._group = watcher, (operation, split), spark, group
        self._pictures, self._parts, self._stack = pictures, parts, stack
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._stack.append(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)
        self._stack.remove(self)
        self._watcher.settle()

    def _follow(self) -> None:
        period = self._watcher.period
        watch: Watch | None = None
        while not self._over.wait(period):
            if self._stack[-1] is not self:
                continue
            try:
                watch = watch or (Watch(self._spark, self._group) if self._spark is not None else None)
                found = self._found(watch)
            except Exception:  # noqa: BLE001  (the session has ended: who waits for it will say so)
                return
            if not self._over.is_set():
                self._watcher.advance(found)

    def _found(self, watch: Watch | None) -> Advance:
        seconds, parts = time.monotonic() - self._begun, self._parts()
        if parts is not None:
            done, of, unit = parts()
            return Advance(*self._names, seconds, done, of, unit)
        works = watch.look() if watch else []
        done, of = sum(work.done for work in works), sum(work.tasks for work in works)
        return Advance(*self._names, seconds, done, of, pictures=self._pictures)
