"""A histogram of hue, saturation and value over the fruit."""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor
from job.vision.picture import Picture

# Bins of hue (0-179, as OpenCV has it), saturation and value (0-255).
BINS = (16, 8, 4)
_WIDTH = BINS[0] * BINS[1] * BINS[2]


def _rows(picture: Picture) -> NDArray[np.uint16]:
    """How many pixels of the fruit fall in each bin: hue varies slowest, value fastest."""
    fruit = picture.fruit
    hsv = cv2.cvtColor(fruit.colour, cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], fruit.mask, list(BINS), [0, 180, 0, 256, 0, 256])
    return counts.reshape(1, -1).astype(np.uint16)


def palette() -> NDArray[np.uint8]:
    """The colour in the middle of each bin, uint8 (bins, 3), red first."""
    hue, saturation, value = (
        (np.arange(count) + 0.5) * (full / count) for count, full in zip(BINS, (180, 256, 256), strict=True)
    )
    middles = np.stack(np.meshgrid(hue, saturation, value, indexing="ij"), axis=-1).reshape(1, -1, 3)
    return np.asarray(cv2.cvtColor(middles.astype(np.uint8), cv2.COLOR_HSV2RGB)[0], np.uint8)


HSV = Descriptor(
    name="hsv",
    values=_WIDTH,
    width=_WIDTH,
    rows=_rows,
    dtype=np.dtype("<u2"),
    pixels="colour",
    local=False,
    encoding="root",
    palette=palette,
)
