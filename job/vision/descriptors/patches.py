"""A small, evenly lit copy of the fruit, from which the encoding `patches` takes patches of colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor
from job.vision.fruit import Fruit
from job.vision.picture import Picture

# Side of the copy, in pixels.
SIDE = 32
# Rings of equal area, by distance from the outline: 1 is the outermost.
RINGS = 3
# What the fruit's mean luminance becomes; twice as much is white.
MIDDLE = 127.5
_WIDTH = 4 * SIDE * SIDE


def _rows(picture: Picture) -> NDArray[np.uint8]:
    """Four planes of `SIDE` x `SIDE`: blue, green and red, then the ring of each pixel, 0 on the background."""
    fruit = picture.fruit
    small = cv2.resize(evened(fruit), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.concatenate([np.moveaxis(small, 2, 0), rings(fruit)[None]]).reshape(1, _WIDTH)


def evened(fruit: Fruit) -> NDArray[np.uint8]:
    """The fruit with a mean luminance of `MIDDLE`, and its background in the mean colour of the fruit.

    uint8 of the shape of `fruit.colour`; what gets lighter than white is white.
    """
    mean = cv2.mean(fruit.colour, fruit.mask)[:3]
    luminance = 0.114 * mean[0] + 0.587 * mean[1] + 0.299 * mean[2]
    gain = MIDDLE / max(luminance, 1.0)
    even = np.empty_like(fruit.colour)
    even[:] = np.rint(np.minimum(np.array(mean) * gain, 255)).astype(np.uint8)
    return np.asarray(cv2.copyTo(cv2.convertScaleAbs(fruit.colour, alpha=gain), fruit.mask, even), np.uint8)


def rings(fruit: Fruit) -> NDArray[np.uint8]:
    """1 to `RINGS` for each pixel of a small copy of the mask, by its distance from the outline; 0 on the background.

    uint8 of shape (SIDE, SIDE). The same number of pixels falls in each ring. Beyond the picture's edge is background.
    """
    mask = cv2.copyMakeBorder(fruit.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[1:-1, 1:-1]
    small = cv2.resize(distance, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(fruit.mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 128
    found = np.zeros((SIDE, SIDE), np.uint8)
    places = np.flatnonzero(inside)
    order = places[np.argsort(small.ravel()[places], kind="stable")]
    found.ravel()[order] = 1 + np.arange(len(order)) * RINGS // max(1, len(order))
    return found


PATCHES = Descriptor(
    name="patches",
    values=_WIDTH,
    width=_WIDTH,
    rows=_rows,
    pixels="colour",
    local=False,
    encoding="patches",
)
