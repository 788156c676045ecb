"""Each descriptor shared out among its nearest visual words (van Gemert et al., 2008), square roots, at length 1.

A word at squared distance D weighs exp(-D / 2 s^2), where s^2 is the mean squared distance of a descriptor to its
nearest word; the weights of the `NEAREST` words of a descriptor add up to 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.assign import half_squares
from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.counts import COUNTS
from job.learn.encodings.words import at_length_1

# Words among which a descriptor is shared out.
NEAREST = 5
_BLOCK = 4096


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    words = codebook.arrays["words"]
    k, offsets = len(words), half_squares(words)
    spread = max(codebook.facts["inertia"] / max(1, codebook.facts["descriptors"]), 1e-9)
    near = min(NEAREST, k)
    found = np.zeros(count * k)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        # Products are exact in float32 on the descriptors' grid, so that a block changes nothing.
        scores = rows[part].astype(np.float32, copy=False) @ words.T - offsets
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :near]
        best = np.take_along_axis(scores, nearest, axis=1).astype(np.float64)
        # Squared distances differ by twice the difference of the scores; what all words share cancels out.
        weights = np.exp((best - best[:, :1]) / spread)
        weights /= weights.sum(axis=1, keepdims=True)
        places = pictures[part, None] * k + nearest
        np.add.at(found, places.ravel(), weights.ravel())
    return at_length_1(np.sqrt(found.reshape(count, k)))


SOFT = Encoding(
    name="soft",
    dtype=np.dtype(np.float32),
    learn=COUNTS.learn,
    of_words=COUNTS.of_words,
    apply=_apply,
    size=lambda k, _: k,
    wanted=COUNTS.wanted,
)
