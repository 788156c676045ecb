"""A tiny grey copy of a picture, by which copies of it are recognised."""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.picture import Picture

# Side of the copy, in pixels.
SIDE = 16


def look(picture: Picture) -> NDArray[np.uint8]:
    """Mean grey values of `SIDE` x `SIDE` parts of the picture: uint8 of shape (SIDE, SIDE)."""
    small = cv2.resize(picture.lightness, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
