"""Local binary patterns over the fruit: uniform and independent of rotation (Ojala et al., 2002)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor
from job.vision.picture import Picture

# Each picture is halved so often: patterns of 3, 6 and 12 pixels.
SCALES = 3
# Patterns with at most two changes round the circle are told apart by their number of ones; all others are one more.
PATTERNS = 10
# What the shares of one histogram add up to, but for rounding.
TOTAL = 1 << 14
_WIDTH = (SCALES + 1) * PATTERNS

# Neighbours in their order round the circle: row and column of each, from 0 to 2.
_CIRCLE = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _table() -> NDArray[np.uint8]:
    """The pattern of each byte of eight comparisons."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    table: NDArray[np.uint8] = np.where(changes <= 2, bits.sum(axis=1), PATTERNS - 1).astype(np.uint8)
    return table


_PATTERN = _table()


def patterns(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pattern of each inner pixel of a plane (height, width): uint8 of shape (height - 2, width - 2), 0 to 9.

    A neighbour counts as one where it is at least as light as the pixel. The eight neighbours are the adjoining pixels
    themselves, without interpolation on the diagonals.
    """
    height, width = plane.shape[0] - 2, plane.shape[1] - 2
    centre = plane[1:-1, 1:-1]
    code = np.zeros((height, width), np.uint8)
    for bit, (down, across) in enumerate(_CIRCLE):
        neighbour = plane[down : down + height, across : across + width]
        code |= np.asarray(cv2.compare(neighbour, centre, cv2.CMP_GE), np.uint8) & np.uint8(1 << bit)
    return np.asarray(cv2.LUT(code, _PATTERN), np.uint8)


def _histogram(plane: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Shares of the patterns of the fruit's pixels, in units of 1 / `TOTAL`; zeros where there is none."""
    if min(plane.shape) < 3:
        return np.zeros(PATTERNS, np.uint16)
    counts = (
        cv2.calcHist([patterns(plane)], [0], mask[1:-1, 1:-1], [PATTERNS], [0, PATTERNS]).ravel().astype(np.float64)
    )
    shares: NDArray[np.uint16] = np.rint(counts * (TOTAL / max(1, counts.sum()))).astype(np.uint16)
    return shares


def _rows(picture: Picture) -> NDArray[np.uint16]:
    """Histograms of the luminance at full, half and quarter size, then of the difference of red and green."""
    fruit = picture.fruit
    plane, mask, found = fruit.grey, fruit.mask, []
    for scale in range(SCALES):
        if scale:
            size = max(1, plane.shape[1] // 2), max(1, plane.shape[0] // 2)
            plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
            mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        found.append(_histogram(plane, mask))
    # (red - green) / 2 + 128
    difference = cv2.transform(fruit.colour, np.array([[0, -0.5, 0.5, 128]]))
    found.append(_histogram(np.asarray(difference, np.uint8), fruit.mask))
    return np.concatenate(found)[None]


LBP = Descriptor(
    name="lbp",
    values=_WIDTH,
    width=_WIDTH,
    rows=_rows,
    dtype=np.dtype("<u2"),
    pixels="colour",
    local=False,
    encoding="root",
)
