"""A histogram of hue, saturation and value over the fruit."""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor
from job.vision.picture import Picture

# Bins of hue (OpenCV's 0-179), saturation and value (0-255).
BINS = (16, 8, 4)
_WIDTH = BINS[0] * BINS[1] * BINS[2]
_EACH = np.arange(256)
# The part of the bin's number that each channel decides. Hue never exceeds 179.
_HUE, _SATURATION, _VALUE = (
    (np.minimum(_EACH, 179) * BINS[0] // 180 * (BINS[1] * BINS[2])).astype(np.uint16),
    (_EACH * BINS[1] // 256 * BINS[2]).astype(np.uint16),
    (_EACH * BINS[2] // 256).astype(np.uint16),
)


def _rows(picture: Picture) -> NDArray[np.uint16]:
    """How many pixels of the fruit fall in each bin: hue varies slowest, value fastest."""
    hsv = cv2.cvtColor(picture.fruit.colour, cv2.COLOR_BGR2HSV)
    hue, saturation, value = cv2.split(hsv)
    bins = _HUE[hue] + _SATURATION[saturation] + _VALUE[value]
    return np.bincount(bins[picture.fruit.inside], minlength=_WIDTH).astype(np.uint16)[None]


HSV = Descriptor(
    name="hsv",
    values=_WIDTH,
    width=_WIDTH,
    rows=_rows,
    dtype=np.dtype("<u2"),
    pixels="colour",
    local=False,
    encoding="root",
)
