"""Threads for numpy in one process: products of matrices run side by side, each in one of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from typing import Any, Self, TypeVar

from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Found = TypeVar("Found")


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries that were loaded when this was first asked. Looking for them takes a while."""
    return ThreadpoolController().select(user_api="blas")


class _Limits:
    """How many threads BLAS may have, as wished by contexts that may overlap and end in any order.

    The number is one of the whole process. The latest wish that still holds decides; when the last one has ended, each
    library has the number again that it had before the first.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._wishes: list[list[int]] = []
        # Libraries by their path, with the number of threads that each had before the first wish.
        self._before: dict[str, tuple[Any, int]] = {}

    @contextmanager
    def held(self, count: int, blas: ThreadpoolController) -> Iterator[None]:
        """Context manager: the libraries of `blas` may have `count` threads each."""
        wish = [count]
        with self._lock:
            for library in blas.lib_controllers:
                self._before.setdefault(library.filepath, (library, library.num_threads))
            self._wishes.append(wish)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                # Wishes of equal numbers are told apart by identity.
                self._wishes = [other for other in self._wishes if other is not wish]
                self._apply()

    def _apply(self) -> None:
        for library, before in self._before.values():
            library.set_num_threads(self._wishes[-1][0] if self._wishes else before)
        if not self._wishes:
            self._before.clear()


_LIMITS = _Limits()


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
        self._resources.enter_context(_LIMITS.held(1, _blas()))
        if self.count > 1:
            self._pool = self._resources.enter_context(ThreadPoolExecutor(self.count))
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads. BLAS has its own again once no context holds them any more."""
        self._resources.close()
        self._pool = None

    def map(self, work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterable[Found]:
        """The result of `work` for each part, in the order of the parts."""
        return map(work, parts) if self._pool is None or len(parts) == 1 else self._pool.map(work, parts)

    @staticmethod
    @contextmanager
    def of_blas(count: int) -> Iterator[None]:
        """Context manager: BLAS may use `count` threads, for a decomposition that can't be cut into blocks.

        SciPy brings a BLAS of its own, which may have been loaded since libraries were last looked for.
        """
        _blas.cache_clear()
        with _LIMITS.held(count, _blas()):
            yield
