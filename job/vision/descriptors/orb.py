"""ORB (Rublee et al., 2011), by OpenCV."""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor, Keypoints, circles, no_rows
from job.vision.descriptors.placed import placed
from job.vision.picture import Picture

# ORB's default keeps 31 pixels clear of the border, as wide as its patch, which leaves nothing to describe in a fifth
# of pictures of 100 x 100. OpenCV mirrors the picture beyond its edge, so 4, half the corner detector's window, is
# enough: every picture is described, and words tell many more fruits apart. The patch stays at 31, since OpenCV has
# learned its pairs of pixels for that size only and draws them at random for any other.
BORDER = 4

# The type stubs of some releases lack what the library has.
_CV2: Any = cv2


@cache
def _detector() -> Any:
    return _CV2.ORB_create(edgeThreshold=BORDER)


def _found(picture: Picture) -> tuple[Any, Any]:
    """Keypoints and descriptors."""
    # Nothing is left within the border; OpenCV fails where a level of its pyramid has no pixels at all.
    if min(picture.grey.shape) <= 2 * BORDER:
        return (), None
    found: tuple[Any, Any] = picture.once("orb", lambda: _detector().detectAndCompute(picture.grey, None))
    return found


def _rows(picture: Picture) -> NDArray[np.uint8]:
    return no_rows(_found(picture)[1], 32)


def _points(picture: Picture) -> Keypoints:
    return circles(_found(picture)[0])


ORB = Descriptor(name="orb", values=32, width=256, rows=_rows, points=_points, max_norm=16.0, binary=True)
PLACED_ORB = placed(ORB)
