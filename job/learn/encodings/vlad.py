"""VLAD (Jegou et al., 2010): for each visual word the sum of the differences of its descriptors to it.

Each word's part is brought to length 1 (Arandjelovic and Zisserman, 2013), after signed square roots; then the whole.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import assign
from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.counts import COUNTS
from job.learn.encodings.words import at_length_1, grouped_sums, signed_roots


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    words = codebook.arrays["words"]
    nearest = assign(rows, words)
    sums = grouped_sums(rows - words[nearest], pictures * len(words) + nearest, count * len(words))
    return at_length_1(at_length_1(signed_roots(sums)).reshape(count, -1))


VLAD = Encoding(
    name="vlad",
    dtype=np.dtype(np.float32),
    learn=COUNTS.learn,
    of_words=COUNTS.of_words,
    apply=_apply,
    size=lambda k, d: k * d,
    wanted=COUNTS.wanted,
)
