"""SURF (Bay et al., 2008), by mahotas: OpenCV's wheels leave it out."""

import cv2
import numpy as np
from mahotas.features import surf as mahotas_surf
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor, Keypoints, rounded
from job.vision.descriptors.placed import placed
from job.vision.picture import Picture

# SURF has length 1; this factor keeps it in 16 bits.
SCALE = 4000
# mahotas has SURF begin at filters of 9 pixels and finds 5 points in 100 x 100 pixels; 80 in twice the size.
DOUBLE_BELOW = 512 * 512


def _found(picture: Picture) -> tuple[NDArray[np.float64], int]:
    """As `_computed` gives them."""
    found: tuple[NDArray[np.float64], int] = picture.once("surf", lambda: _computed(picture.grey))
    return found


def _computed(grey: NDArray[np.uint8]) -> tuple[NDArray[np.float64], int]:
    """Rows of mahotas (y, x, scale, score, laplacian, angle, 64 values) and by how much the picture was enlarged."""
    factor = 2 if 0 < grey.size < DOUBLE_BELOW else 1
    enlarged = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else grey
    rows = mahotas_surf.surf(enlarged, nr_octaves=3, nr_scales=4, threshold=0.1)
    # A patch without any gradient has no length to be divided by.
    return rows[np.isfinite(rows).all(axis=1)], factor


def _rows(picture: Picture) -> NDArray[np.int16]:
    rows, _ = _found(picture)
    return np.rint(rows[:, 6:] * SCALE).astype(np.int16)


def _points(picture: Picture) -> Keypoints:
    rows, factor = _found(picture)
    y, x, scale = rows[:, 0], rows[:, 1], rows[:, 2]
    # A scale of 1.2 is a filter of 9 pixels (Bay et al., 2008).
    columns = (x + 0.5) / factor - 0.5, (y + 0.5) / factor - 0.5, scale * (9 / 1.2) / factor
    return np.stack(columns, axis=1).astype(np.float32)


SURF = Descriptor(
    name="surf",
    values=64,
    width=64,
    rows=_rows,
    points=_points,
    dtype=np.dtype("<i2"),
    max_norm=rounded(SCALE, 64),
    library="mahotas",
)
PLACED_SURF = placed(SURF)
