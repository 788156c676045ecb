"""Threads for numpy in one process: products of matrices run side by side, each in one of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from typing import Self, TypeVar

from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Found = TypeVar("Found")


@cache
def _blas() -> ThreadpoolController:
    """The libraries that numpy multiplies with. They are looked for once, since finding them takes a while."""
    return ThreadpoolController()


class _OneThread:
    """Holds BLAS to one thread as long as anybody wants it so.

    The limit is one of the whole process: where several contexts overlap, the first to begin sets it and the last to
    end takes it away.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted = 0
        self._limit = ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if not self._wanted:
                self._limit.enter_context(_blas().limit(limits=1, user_api="blas"))
            self._wanted += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted -= 1
                if not self._wanted:
                    self._limit.close()


_ONE_THREAD = _OneThread()


class Threads:
    """Context manager: `count` worker threads, with BLAS held to one thread each.

    With `count` 1, or a single part, the calling thread does the work. Blocks that are multiplied in threads of our own
    are faster than one product in threads of BLAS (tests/benchmarks/engine.py measures the vocabulary).
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        """Start the threads."""
        self._resources.enter_context(_ONE_THREAD.held())
        if self.count > 1:
            self._pool = self._resources.enter_context(ThreadPoolExecutor(self.count))
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, and give BLAS its own back."""
        self._resources.close()
        self._pool = None

    def map(self, work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterable[Found]:
        """What the work on each part gives, in the order of the parts."""
        return map(work, parts) if self._pool is None or len(parts) == 1 else self._pool.map(work, parts)

    @staticmethod
    @contextmanager
    def of_blas(count: int) -> Iterator[None]:
        """Context manager: BLAS may use `count` threads, for a decomposition that can't be cut into blocks."""
        with _blas().limit(limits=count, user_api="blas"):
            yield
