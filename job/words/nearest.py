"""The nearest word of each descriptor while words move, without comparing all with all each time."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from job.words.assign import block_rows, half_squares, one_blas_thread

# Descriptors are kept as float32 up to this many values (256 MB).
_KEPT_VALUES = 1 << 26
# Fewer rows than this are not worth a thread.
_LEAST_ROWS = 512


class Nearest:
    """`words_of`, int32 (n,): always what `job.words.assign.assign` gives for the words as they are.

    A descriptor keeps its word unseen as long as its distance to it, plus what that word moved since, is less than its
    distance to the second nearest, minus what any other moved (Hamerly, 2010). Of 28,700 descriptors and K = 50 until
    no word moves 38 % are compared with the words in an iteration, of 100,000 descriptors 22 %: 1.4-1.7 and 1.7-2.4
    times as fast as comparing all.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
    words : float32 of shape (K, d), on the descriptor's grid
    lengths : int64 of shape (n,), the squared length of each descriptor
    threads : blocks worked on at a time; a context manager ends them
    """

    def __init__(self, descriptors: NDArray[np.generic], words: NDArray[np.float32], lengths: NDArray[np.int64],
                 threads: int) -> None:
        count = len(descriptors)
        self.words_of = np.zeros(count, np.int32)
        self._words = words
        self._descriptors = descriptors.astype(np.float32) if descriptors.size <= _KEPT_VALUES else descriptors
        self._lengths = lengths.astype(np.float32)
        self._longest = float(self._lengths.max(initial=0.0))
        # distances to the nearest word, not below the true one, and to the second nearest, not above
        self._upper, self._lower = np.empty(count, np.float32), np.empty(count, np.float32)
        self._block, self._threads = block_rows(len(words)), threads
        self._resources = ExitStack()
        self._resources.enter_context(one_blas_thread())
        self._map: Callable[..., Iterable[Any]] = map
        if threads > 1:
            self._map = self._resources.enter_context(ThreadPoolExecutor(threads)).map
        self._compare_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def move(self, words: NDArray[np.float32]) -> None:
        """Words have moved to `words`."""
        moved = np.linalg.norm(words.astype(np.float64) - self._words, axis=1)
        moved = (moved * (1 + 1e-6)).astype(np.float32)  # a bound is rounded outwards
        others = np.full(len(words), moved.max(), np.float32)
        if len(words) > 1:
            others[moved.argmax()] = np.partition(moved, -2)[-2]
        self._words = words
        self._upper += moved[self.words_of]
        self._lower -= others[self.words_of]
        gap, both = self._lower - self._upper, self._lower + self._upper
        unsure = np.flatnonzero((gap <= 0) | (gap * both <= self._error()))
        if len(unsure) > 0.75 * len(gap):  # copying some would take longer than comparing all
            self._compare_all()
        else:
            self._compare([unsure[rows] for rows in self._slices(len(unsure))])

    def _error(self) -> float:
        """By how much squared distances may be wrong: scores are rounded where offsets are, and where these go off."""
        longest = 2.0 * float(half_squares(self._words).max()) + self._longest
        return 16.0 * float(np.finfo(np.float32).eps) * longest

    def _compare_all(self) -> None:
        self._compare(self._slices(len(self._lengths)))

    def _slices(self, count: int) -> list[slice]:
        """Blocks of rows, of the same size, whole rounds of the threads: 20 % of the time of 75 iterations on 28,700
        descriptors."""
        rounds = -(-count // (self._block * self._threads))
        step = max(_LEAST_ROWS, -(-count // max(1, rounds * self._threads)))
        return [slice(start, start + step) for start in range(0, count, step)]

    def _compare(self, blocks: "Sequence[slice | NDArray[np.intp]]") -> None:
        """Brings `words_of` and both distances of the rows in each block up to date."""
        transposed, offsets = np.ascontiguousarray(self._words.T), half_squares(self._words)

        def work(rows: "slice | NDArray[np.intp]") -> None:
            scores = self._descriptors[rows].astype(np.float32, copy=False) @ transposed
            scores -= offsets
            nearest = scores.argmax(axis=1)
            place = np.arange(len(nearest))
            best = scores[place, nearest]
            scores[place, nearest] = -np.inf
            self.words_of[rows] = nearest
            for bound, score in ((self._upper, best), (self._lower, scores.max(axis=1))):
                bound[rows] = np.sqrt(np.maximum(self._lengths[rows] - 2 * score, 0))

        list((self._map if len(blocks) > 1 else map)(work, blocks))
