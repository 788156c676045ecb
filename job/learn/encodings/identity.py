"""A picture's only row, as it is: for descriptors that give one row a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.encodings.base import Codebook, Encoding


def only_rows(rows: NDArray[Any], pictures: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """The row of each of `count` pictures: float32 of shape (count, d); zeros for a picture without one.

    ValueError when a picture has several rows.
    """
    found = np.zeros((count, rows.shape[1]), np.float32)
    if len(pictures) > 1 and (np.diff(pictures) == 0).any():
        raise ValueError("A picture has several rows of descriptors: this encoding is for descriptors that give one.")
    found[pictures] = rows
    return found


def _apply(rows: NDArray[Any], pictures: NDArray[np.int64], count: int, codebook: Codebook) -> NDArray[np.float32]:
    del codebook
    return only_rows(rows, pictures, count)


NONE = Encoding(name="none", dtype=np.dtype(np.float32), apply=_apply, size=lambda _, d: d)
