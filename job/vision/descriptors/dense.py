"""RootSIFT on a grid over the fruit, at two sizes, instead of where a detector finds a point."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor, Keypoints, no_rows, rounded
from job.vision.descriptors.placed import placed
from job.vision.descriptors.sift import ROOTSIFT_SCALE, SPAN, detector, rootsift
from job.vision.picture import Picture

# Distance from one point to the next, in pixels of the working copy.
STEP = 8
# Diameters at each point: windows of 24 and 48 pixels.
DIAMETERS = (4.0, 8.0)

# The type stubs of some releases lack what the library has.
_CV2: Any = cv2


def _grid(picture: Picture) -> list[tuple[int, int, float]]:
    """x, y and diameter of each point whose middle lies on the fruit, in pixels of the working copy, row by row."""
    inside = picture.fruit.inside
    height, width = inside.shape
    return [
        (x, y, diameter)
        for y in range(STEP // 2, height, STEP)
        for x in range(STEP // 2, width, STEP)
        if inside[y, x]
        for diameter in DIAMETERS
    ]


def _rows(picture: Picture) -> NDArray[np.uint8]:
    # An angle is given, as without one OpenCV looks for none and takes -1 degrees.
    points = [_CV2.KeyPoint(float(x), float(y), diameter, 0.0) for x, y, diameter in _grid(picture)]
    if not points:
        return np.empty((0, 128), np.uint8)
    found = rootsift(no_rows(detector().compute(picture.fruit.grey, points)[1], 128))
    # A window without any gradient has nothing to say.
    return np.ascontiguousarray(found[found.any(axis=1)])


def _points(picture: Picture) -> Keypoints:
    """As `_rows` has them, in pixels of the picture itself."""
    grid = _grid(picture)
    if not grid:
        return np.empty((0, 3), np.float32)
    points = [_CV2.KeyPoint(float(x), float(y), diameter, 0.0) for x, y, diameter in grid]
    kept = no_rows(detector().compute(picture.fruit.grey, points)[1], 128).any(axis=1)
    factor = max(picture.grey.shape) / max(picture.fruit.mask.shape)
    found = np.array(grid, np.float64)[kept]
    columns = (found[:, 0] + 0.5) * factor - 0.5, (found[:, 1] + 0.5) * factor - 0.5, found[:, 2] * factor
    return np.stack(columns, axis=1).astype(np.float32)


DENSE_ROOTSIFT = Descriptor(
    name="dense-rootsift",
    values=128,
    width=128,
    rows=_rows,
    points=_points,
    pixels="colour",
    max_norm=rounded(ROOTSIFT_SCALE, 128),
    span=SPAN,
    encoding="counts",
)
PLACED_DENSE_ROOTSIFT = placed(DENSE_ROOTSIFT)
