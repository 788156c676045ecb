"""Blocks of features side by side, each scaled as a whole: length 1, centred, divided by its total deviation.

A block may weigh more than others: its deviation is its weight then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Rows that are worked on at once.
_ROWS = 4096


@dataclass(frozen=True)
class Sums:
    """Sums over rows of blocks. Parts of the rows add up.

    Attributes
    ----------
    count
        Number of rows.
    widths
        int64 (b,): length of each block.
    total
        float64 (d,): sum of the rows, after each block was brought to length 1.
    squares
        float64 (b,): sum of the squared lengths of each block after that, the number of blocks that are not 0.

    """

    count: int
    widths: NDArray[np.int64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.widths, self.total + other.total, self.squares + other.squares)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays by name, for `of`."""
        count = np.array(self.count, np.int64)
        return {"count": count, "widths": self.widths, "total": self.total, "squares": self.squares}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Sums":
        """What `arrays` gave."""
        return cls(int(arrays["count"]), arrays["widths"], arrays["total"], arrays["squares"])


@dataclass(frozen=True)
class Scaling:
    """How blocks are scaled.

    Attributes
    ----------
    widths
        int64 (b,): length of each block.
    mean
        float64 (d,): mean of the rows at length 1.
    deviation
        float64 (b,): root of the mean squared distance of a block from its mean, divided by the block's weight; 0:
        blocks stay as they are.

    """

    widths: NDArray[np.int64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays by name, for `of`."""
        return {"widths": self.widths, "mean": self.mean, "deviation": self.deviation}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave."""
        return cls(arrays["widths"], arrays["mean"], arrays["deviation"])


def split(rows: NDArray[Any], widths: Sequence[int]) -> list[NDArray[Any]]:
    """The blocks of rows (n, d), where d is the sum of `widths`."""
    return np.split(rows, np.cumsum(widths)[:-1], axis=1)


def at_length_1(block: NDArray[Any]) -> NDArray[np.float64]:
    """Rows of a block (n, width) at Euclidean length 1; rows of zeros stay as they are."""
    wide = block.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    scaled: NDArray[np.float64] = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return scaled


def sums(blocks: Sequence[NDArray[Any]]) -> Sums:
    """Sums over the rows of blocks, each of shape (n, its width)."""
    count = len(blocks[0])
    widths = np.array([block.shape[1] for block in blocks], np.int64)
    found = Sums(count, widths, np.zeros(widths.sum()), np.zeros(len(blocks)))
    for start in range(0, count, _ROWS):  # a part at a time: all rows as float64 would be as large again as the table
        scaled = [at_length_1(block[start : start + _ROWS]) for block in blocks]
        found.total[:] += np.concatenate([block.sum(axis=0) for block in scaled])
        found.squares[:] += np.array([np.square(block).sum() for block in scaled])
    return found


def fit(part: Sums, *, scaled: bool = True, weights: Sequence[float] = ()) -> Scaling:
    """The scaling of all rows; without `scaled` one that leaves blocks as they are. `weights` of the blocks; none: 1.

    A block that never varies is centred, and divided by 1.
    """
    if not scaled:
        return Scaling(part.widths, np.zeros_like(part.total), np.zeros_like(part.squares))
    mean = part.total / part.count
    own = np.array([float(np.square(block).sum()) for block in np.split(mean, np.cumsum(part.widths)[:-1])])
    squares = part.squares / part.count
    variances = squares - own
    # A block that never varies leaves rounding, which must not be divided by.
    known = variances > squares * np.maximum(part.count, part.widths) * np.finfo(np.float64).eps
    deviation = np.sqrt(np.where(known, variances, 1.0))
    return Scaling(part.widths, mean, deviation / np.array(weights) if len(weights) else deviation)


def scale(rows: NDArray[Any], scaling: Scaling) -> NDArray[np.float64]:
    """Scaled rows, float64 of the shape of `rows`: blocks side by side, (n, d)."""
    if not scaling.deviation.any():
        return np.asarray(rows, np.float64)
    found = np.empty(rows.shape, np.float64)
    means = np.split(scaling.mean, np.cumsum(scaling.widths)[:-1])
    for start in range(0, len(rows), _ROWS):
        part = split(rows[start : start + _ROWS], scaling.widths.tolist())
        into = split(found[start : start + _ROWS], scaling.widths.tolist())
        for block, own, mean, deviation in zip(part, into, means, scaling.deviation, strict=True):
            np.subtract(at_length_1(block), mean, out=own)
            np.divide(own, deviation, out=own)
    return found
