"""Square roots of relative frequencies, for descriptors that give one histogram a picture.

Euclidean distance between such vectors is Hellinger's distance between the histograms; all have length 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding
from job.learn.encodings.identity import only_rows


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    del codebook
    counts = only_rows(rows, pictures, count)
    # Counts are whole numbers below 2^24, so that their sum in float64 is exact in any order.
    totals = counts.sum(axis=1, dtype=np.float64, keepdims=True)
    return np.asarray(np.sqrt(counts / np.maximum(totals, 1.0)), np.float32)


ROOT = Encoding(name="root", dtype=np.dtype(np.float32), apply=_apply, size=lambda _, d: d)
