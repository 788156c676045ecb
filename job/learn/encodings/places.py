"""Counts of visual words by where in the picture they are, their square roots, at length 1.

`pyramid` has a part for the whole picture and one for each of its quarters: the spatial pyramid of two levels, which
weigh the same (Lazebnik et al., 2006). `rings` has a part for each ring of the fruit from its outline inwards, which
do not change when the fruit is turned.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import assign, histograms
from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.counts import COUNTS
from job.learn.encodings.words import at_length_1

# The values at the end of a row: x and y in 256ths of the picture's width and height, and the ring, from 1.
PLACES = 3
_RINGS = 3
_HALF = 128


def _learn(sample: NDArray[Any], k: int, **options: Any) -> Codebook:
    return COUNTS.fit(np.ascontiguousarray(sample[:, :-PLACES]), k, **options)


def _quarters(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The parts that rows belong to: the whole picture, and the quarter, row by row of quarters."""
    right, below = places[:, 0] >= _HALF, places[:, 1] >= _HALF
    return [np.zeros(len(places), np.int64), 1 + right + 2 * below]


def _rings(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The part that rows belong to: the ring, from the outline inwards."""
    return [places[:, 2] - 1]


def _placed(
    name: str, count_of_parts: int, parts_of: Callable[[NDArray[np.int64]], list[NDArray[np.int64]]]
) -> Encoding:
    def apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
        words = codebook.arrays["words"]
        k, d = words.shape
        if rows.shape[1] != d + PLACES:
            raise ValueError(
                f"The encoding '{name}' is for rows of {d} values and their place, not for {rows.shape[1]} values."
            )
        word = assign(rows[:, :d], words)
        parts, groups = parts_of(rows[:, d:].astype(np.int64)), count * count_of_parts
        found = np.sum([histograms(word, pictures * count_of_parts + part, groups, k) for part in parts], axis=0)
        return at_length_1(np.sqrt(found.reshape(count, count_of_parts * k)))

    return Encoding(
        name=name,
        dtype=np.dtype(np.float32),
        learn=_learn,
        apply=apply,
        size=lambda k, _: count_of_parts * k,
        wanted=COUNTS.wanted,
        placed=True,
    )


PYRAMID = _placed("pyramid", 5, _quarters)
RINGS = _placed("rings", _RINGS, _rings)
