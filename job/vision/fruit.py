"""The fruit in a picture: a working copy of one size, its background found from the border."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

# Longer edge of the working copy, in pixels.
EDGE = 100
# Width of the border whose median is the background's colour, in pixels.
BORDER = 2
# How much a channel of the background may differ from that colour.
TOLERANCE = 22
# Fewer pixels than this are no fruit: the whole picture is taken for one.
LEAST = 200

_CROSS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Fruit:
    """A picture at working size, and which of its pixels are fruit.

    Attributes
    ----------
    colour
        uint8 of shape (height, width, 3), blue first; the longer edge has `EDGE` pixels.
    mask
        uint8 of shape (height, width): 255 on the fruit, 0 on the background.

    """

    colour: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The mask as truth values."""
        return np.asarray(self.mask != 0, np.bool_)

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """Luminance: uint8 of shape (height, width)."""
        return np.asarray(cv2.cvtColor(self.colour, cv2.COLOR_BGR2GRAY), np.uint8)


def find(colour: NDArray[np.uint8], *, mask: bool = True) -> Fruit:
    """The fruit in a picture of uint8 (height, width, 3), blue first.

    The background has the median colour of the border, give or take `TOLERANCE` a channel, and hangs together with it;
    the fruit is the rest, less its outermost pixel, which mixes both. Without `mask`, and where under `LEAST` pixels
    are left, the whole picture is the fruit.
    """
    working = resized(colour, EDGE)
    whole = np.full(working.shape[:2], 255, np.uint8)
    if mask:
        left = cv2.erode(_flooded(working), _CROSS)
        if cv2.countNonZero(left) >= LEAST:
            whole = np.asarray(left, np.uint8)
    return Fruit(working, whole)


def resized(colour: NDArray[np.uint8], edge: int) -> NDArray[np.uint8]:
    """The picture with a longer edge of `edge` pixels, smaller or larger than it was."""
    height, width = colour.shape[:2]
    longer = max(height, width)
    if longer == edge:
        return colour
    size = max(1, round(width * edge / longer)), max(1, round(height * edge / longer))
    method = cv2.INTER_AREA if longer > edge else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(colour, size, interpolation=method), np.uint8)


def background(colour: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Median colour of the outermost `BORDER` pixels on all four sides: float64 of shape (3,)."""
    edges = (colour[:BORDER], colour[-BORDER:], colour[BORDER:-BORDER, :BORDER], colour[BORDER:-BORDER, -BORDER:])
    return np.asarray(np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0), np.float64)


def _flooded(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where the background does not reach, 0 where it does: uint8 of shape (height, width)."""
    ground = background(colour)
    low, high = np.ceil(ground - TOLERANCE), np.floor(ground + TOLERANCE)
    near = cv2.inRange(colour, low.clip(0, 255), high.clip(0, 255))
    # A frame of background joins all parts that touch the border, so that one flood finds them all.
    framed = cv2.copyMakeBorder(near, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(framed, None, (0, 0), 128)
    return np.where(framed[1:-1, 1:-1] == 128, 0, 255).astype(np.uint8)
