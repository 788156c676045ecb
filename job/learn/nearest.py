"""The nearest word of each descriptor while words move, without comparing all with all each time."""

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import best_words, blocks, half_squares
from job.threads import Threads

# If more than this share of the words moved, comparing with all words is as fast as comparing with the moved ones.
_MOST_MOVED = 0.75
# Bounds are kept once fewer than this share of the descriptors change their word in an iteration. Before that, most
# descriptors must be compared anyway, and finding the second nearest word as well only takes longer.
_CALM = 0.02
# If more than this share of the descriptors are unsure, comparing all of them is as fast as copying the unsure ones.
_MOST_UNSURE = 0.75
# Descriptors are held as float32 up to this number of values (256 MB). More of them are converted block by block.
_KEPT_VALUES = 1 << 26


class Nearest:
    """The nearest word of each descriptor, brought up to date whenever words move.

    Two ways avoid comparisons (tests/benchmarks/engine.py measures the vocabulary):

    - While many words stay where they are, a descriptor is compared only with those that moved, unless its own word
      moved away from it (Kaukoranta, Fränti and Nevalainen, 2000). This helps where words are many.
    - While all words move, but little, a descriptor keeps its word without a comparison as long as its nearest and its
      second nearest word lie farther apart than its own word and any other one have moved since (Hamerly, 2010). This
      helps in the last iterations, until no word moves.

    Parameters
    ----------
    descriptors : whole numbers of shape (n, d)
    words : float32 of shape (K, d)
        On the descriptor's grid, none longer than the longest descriptor, which holds for means.
    lengths : int64 of shape (n,)
        The squared length of each descriptor.
    threads
        Threads that blocks of descriptors are worked on by.

    Attributes
    ----------
    words_of
        int32 (n,): what `job.learn.assign.assign` gives for the words as they are now.

    """

    def __init__(
        self, descriptors: NDArray[np.generic], words: NDArray[np.float32], lengths: NDArray[np.int64], threads: Threads
    ) -> None:
        self._threads, self._words, self._offsets = threads, words, half_squares(words)
        self._descriptors = descriptors.astype(np.float32) if descriptors.size <= _KEPT_VALUES else descriptors
        self._lengths = lengths.astype(np.float32)
        self.words_of = np.empty(len(descriptors), np.int32)
        self._scores = np.empty(len(descriptors), np.float32)
        # Once bounds are kept, float32 (n,): how much farther the second nearest word lies than the nearest, or less.
        self._gaps = np.empty(0, np.float32)
        self._longest = float(lengths.max(initial=0)) ** 0.5
        self._calm = False
        self._compare(None)

    def move(self, words: NDArray[np.float32]) -> NDArray[np.intp]:
        """Moves the words to `words`, (K, d). Returns the numbers of the descriptors that changed their word."""
        before, last = self.words_of, self._words
        self.words_of, self._words, self._offsets = before.copy(), words, half_squares(words)
        moved = np.flatnonzero((words != last).any(axis=1))
        if len(self._gaps):
            unsure = self._unsure(last)
            self._compare(unsure if len(unsure) <= _MOST_UNSURE * len(before) else None)
        elif len(moved) <= _MOST_MOVED * len(words):
            self._compare(self._left_behind(moved))
        else:
            if self._calm:
                self._gaps = np.empty_like(self._lengths)
            self._compare(None)
        changed = np.flatnonzero(self.words_of != before)
        self._calm = len(changed) < _CALM * len(before)
        return changed

    def _compare(self, chosen: NDArray[np.intp] | None) -> None:
        """Compares the chosen descriptors, or all, with all words."""

        def work(block: slice) -> None:
            rows = block if chosen is None else chosen[block]
            nearest, highest, second = best_words(
                self._descriptors[rows], self._words, self._offsets, second=len(self._gaps) > 0
            )
            self.words_of[rows] = nearest
            if second is None:
                self._scores[rows] = highest
            else:
                lengths = self._lengths[rows]
                near, far = (np.sqrt(np.maximum(lengths - 2 * score, 0)) for score in (highest, second))
                # `error / near` bounds how far float32 rounding of a squared distance changes the distance itself.
                with np.errstate(divide="ignore"):
                    self._gaps[rows] = far - near - error / near

        # 32 times the rounding of float32 for the largest square that can occur.
        error = np.float32(32.0 * np.finfo(np.float32).eps * 3.0 * self._longest**2)
        count = len(self.words_of) if chosen is None else len(chosen)
        list(self._threads.map(work, blocks(count, len(self._words), self._threads)))

    def _left_behind(self, moved: NDArray[np.intp]) -> NDArray[np.intp]:
        """Compares all descriptors with the words that moved. Returns those whose own word moved away from them."""
        if not len(moved):
            return moved
        words, offsets = self._words[moved], self._offsets[moved]
        went = np.zeros(len(self._words), bool)
        went[moved] = True

        def work(rows: slice) -> NDArray[np.intp]:
            own, score = self.words_of[rows], self._scores[rows]
            best, highest, _ = best_words(self._descriptors[rows], words, offsets)
            nearest = moved[best].astype(np.int32)
            # No word that stayed is nearer than the descriptor's own word was before.
            better = (highest > score) | ((highest == score) & (nearest < own))
            left = ~better & went[own] & ((highest < score) | (nearest != own))
            own[better], score[better] = nearest[better], highest[better]
            return np.flatnonzero(left) + int(rows.start)

        left: list[NDArray[np.intp]] = [*self._threads.map(work, blocks(len(self.words_of), len(moved), self._threads))]
        return np.concatenate(left)

    def _unsure(self, last: NDArray[np.float32]) -> NDArray[np.intp]:
        """Descriptors that may have come nearer to another word since words were at `last`."""
        moved = np.linalg.norm(self._words.astype(np.float64) - last, axis=1)
        others = np.full(len(moved), moved.max())
        if len(moved) > 1:
            others[moved.argmax()] = np.partition(moved, -2)[-2]
        # The rounding of a gap in float32 counts as a movement too.
        closer = (moved + others + np.finfo(np.float32).eps * 2.0 * self._longest).astype(np.float32)

        def work(rows: slice) -> NDArray[np.intp]:
            gaps = self._gaps[rows]
            gaps -= closer.take(self.words_of[rows])
            return np.flatnonzero(gaps <= 0) + int(rows.start)

        # Two values are read for each descriptor: its gap and its word.
        unsure: list[NDArray[np.intp]] = [*self._threads.map(work, blocks(len(self._gaps), 2, self._threads))]
        return np.concatenate(unsure)
