"""Counts of visual words, rare words weighing more (Sivic and Zisserman, 2003), at length 1.

A word that is nearest to n_k of the n descriptors it was learned from weighs log((n + 1) / (n_k + 1)) + 1. The number
of pictures in which it occurs, which is more usual, is not known where words are learned.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.counts import COUNTS
from job.learn.encodings.words import at_length_1, learned, with_frequencies


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    frequencies = codebook.arrays["frequencies"]
    weights = np.log((frequencies.sum() + 1) / (frequencies + 1)) + 1
    return at_length_1(COUNTS.encode(rows, pictures, count, codebook) * weights)


TFIDF = Encoding(
    name="tf-idf",
    dtype=np.dtype(np.float32),
    learn=learned,
    of_words=with_frequencies,
    apply=_apply,
    size=lambda k, _: k,
    wanted=COUNTS.wanted,
)
