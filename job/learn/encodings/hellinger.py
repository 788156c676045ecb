"""Counts of visual words, their square roots, at length 1: what Hellinger's distance compares."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.counts import COUNTS
from job.learn.encodings.words import at_length_1


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    return at_length_1(np.sqrt(COUNTS.encode(rows, pictures, count, codebook).astype(np.float64)))


HELLINGER = Encoding(
    name="hellinger",
    dtype=np.dtype(np.float32),
    learn=COUNTS.learn,
    of_words=COUNTS.of_words,
    apply=_apply,
    size=lambda k, _: k,
    wanted=COUNTS.wanted,
)
