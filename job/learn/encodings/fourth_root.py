"""Fourth roots of relative frequencies, at length 1, for descriptors that give one histogram a picture.

Rare colours weigh more than by square roots, common ones less, so that a highlight or a shadow that grows and shrinks
with the light changes less.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.root import ROOT
from job.learn.encodings.words import at_length_1


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    return at_length_1(np.sqrt(ROOT.encode(rows, pictures, count, codebook).astype(np.float64)))


FOURTH_ROOT = Encoding(name="fourth-root", dtype=np.dtype(np.float32), apply=_apply, size=lambda _, d: d)
