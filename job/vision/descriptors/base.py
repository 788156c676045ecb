"""What every descriptor says of itself and does.

Values of local descriptors are whole numbers, so that sums over them are exact in any order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from job.vision.picture import Picture

Packed = NDArray[Any]
Keypoints = NDArray[np.float32]
Buffer = bytes | bytearray | memoryview

BYTE = np.dtype(np.uint8)
_FLOAT32_BITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """How a picture is described: by many local descriptors, or by a single row.

    Attributes
    ----------
    name
        What the settings call it.
    values
        Packed values of one row.
    width
        Values of one row once unpacked: for local descriptors the dimension of the space in which words are learned.
    rows
        Computes the packed rows of a picture; called by `describe`.
    points
        Locates them, or None where a row has no place in the picture; called by `keypoints`.
    dtype
        Type of the packed values.
    pixels
        Whether it looks at grey values or at colours.
    local
        True: any number of rows a picture, each of one place. False: one row a picture.
    max_norm
        No local descriptor is longer, by the Euclidean norm; None where that is not known.
    binary
        Packed rows are bits, and unpacked values 0 or 1: squared Euclidean distance is Hamming distance.
    places
        Number of values at the end of a packed row that say where it is in the picture, and belong to no word
        (`job.vision.descriptors.placed.PLACES`); 0 for rows without them.
    span
        Side of the window that a row describes, in diameters of its keypoint.
    encoding
        Name of the encoding that makes features of its rows unless another is asked for.
    weight
        How far apart the rows of its block are beside those of other blocks, each scaled to 1.
    palette
        Where a row counts colours: computes the colour that each of its values stands for, uint8 (width, 3), red first.
        For the report.
    library
        Distribution that computes it.

    """

    name: str
    values: int
    width: int
    rows: Callable[[Picture], Packed]
    points: Callable[[Picture], Keypoints] | None = None
    dtype: np.dtype[Any] = BYTE
    pixels: Literal["grey", "colour"] = "grey"
    local: bool = True
    max_norm: float | None = None
    binary: bool = False
    places: int = 0
    span: float = 1.5
    encoding: str = "counts"
    weight: float = 1.0
    palette: Callable[[], NDArray[np.uint8]] | None = None
    library: str = "opencv-python-headless"

    @property
    def bytes(self) -> int:
        """Length of one packed row."""
        return self.values * self.dtype.itemsize

    @property
    def quantum(self) -> float | None:
        """Spacing of the grid on which words lie, a power of two, so that descriptor . word is exact in float32.

        The product is at most max_norm^2 and a multiple of the quantum: max_norm^2 / quantum < 2^24. Bits need no
        finer grid than their own: a word is the majority of its descriptors' bits. None without a `max_norm`.
        """
        if self.binary:
            return 1.0
        if self.max_norm is None:
            return None
        return 2.0 ** -math.floor(_FLOAT32_BITS - 2 * math.log2(self.max_norm))

    def describe(self, picture: Picture) -> Packed:
        """Packed rows, C-contiguous, `dtype`, of shape (n, values).

        Of local descriptors n is 0 for a flat or tiny picture, and the rows are those of `keypoints`, in the same
        order every time; of others n is 1. Raises `pixels.Unusable` when the picture turns out to be damaged.
        """
        return self.rows(picture)

    def keypoints(self, picture: Picture) -> Keypoints | None:
        """x, y and diameter of each row's window, in pixels (centres are whole numbers): float32 of shape (n, 3).

        None where rows have no places.
        """
        return None if self.points is None else self.points(picture)

    def unpack(self, packed: Buffer | Packed) -> Packed:
        """Values of shape (n, width) from packed rows or their bytes: a view, except for bits (uint8 0 or 1).

        Values that say where a row is stay as they are, at its end.

        Raises
        ------
        ValueError
            The bytes are not a whole number of rows.

        """
        array = packed if isinstance(packed, np.ndarray) else np.frombuffer(packed, self.dtype)
        array = array.reshape(-1, self.values)
        if not self.binary:
            return array
        bits = self.values - self.places
        found = np.unpackbits(array[:, :bits], axis=1)
        return np.hstack([found, array[:, bits:]]) if self.places else found


def rounded(norm: float, width: int) -> float:
    """The longest that a row of length `norm` can be once its values are whole: each moves by up to a half."""
    return norm + math.sqrt(width) / 2


def no_rows(found: Any, values: int) -> NDArray[np.uint8]:
    """What OpenCV found, of shape (n, values); it gives None instead of no rows."""
    rows: NDArray[np.uint8] = np.empty((0, values), np.uint8) if found is None else found
    return rows


def circles(keypoints: Any) -> Keypoints:
    """x, y and diameter of OpenCV's keypoints: float32 of shape (n, 3)."""
    rows = [(*keypoint.pt, keypoint.size) for keypoint in keypoints]
    return np.array(rows, np.float32).reshape(-1, 3)
