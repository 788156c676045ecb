"""Random projections: fewer values, which keep the distances of vectors but for about 1 / sqrt(2 x their number)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 4096


def projected(values: NDArray[np.floating[Any]], width: int, seed: int) -> NDArray[np.floating[Any]]:
    """Vectors (n, d) by `width` sums of their values with random signs (Achlioptas, 2003): float32 (n, width).

    Vectors that are not longer stay as they are. The same seed gives the same projections, so that parts of a set may
    be projected by themselves.
    """
    if values.shape[1] <= width:
        return values
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), (values.shape[1], width))
    signs /= np.float32(width**0.5)
    found = np.empty((len(values), width), np.float32)
    for start in range(0, len(values), _ROWS):
        found[start : start + _ROWS] = values[start : start + _ROWS].astype(np.float32) @ signs
    return found
