"""The histogram `hsv`, each pixel shared with the neighbouring bins, so that other light moves it only a little."""

import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor
from job.vision.descriptors.hsv import BINS, HSV, palette
from job.vision.picture import Picture

# Chosen in docs/choosing-the-model.md.
WEIGHT = 2.0
# Share of a bin in itself and in its neighbours along each axis, in quarters: whole numbers stay whole.
_KERNEL = (1, 2, 1)


def spread(histogram: NDArray[np.integer]) -> NDArray[np.uint32]:
    """64 times the histogram, spread over neighbours along all three axes: uint32 of shape `BINS`.

    Hues follow each other in a circle. What would leave the ends of saturation and value stays in the last bin.
    """
    found = histogram.astype(np.uint32).reshape(BINS)
    found = _spread(np.concatenate((found[-1:], found, found[:1])), 0)
    for axis in (1, 2):
        ends = found.take([0], axis), found, found.take([-1], axis)
        found = _spread(np.concatenate(ends, axis=axis), axis)
    return found


def _spread(padded: NDArray[np.uint32], axis: int) -> NDArray[np.uint32]:
    length = padded.shape[axis] - 2
    parts = [weight * padded.take(range(at, at + length), axis) for at, weight in enumerate(_KERNEL)]
    return np.asarray(sum(parts), np.uint32)


def _rows(picture: Picture) -> NDArray[np.uint32]:
    return spread(HSV.describe(picture)).reshape(1, -1)


SOFT_HSV = Descriptor(
    name="soft-hsv",
    values=HSV.values,
    width=HSV.width,
    rows=_rows,
    dtype=np.dtype("<u4"),
    pixels="colour",
    local=False,
    encoding="fourth-root",
    weight=WEIGHT,
    palette=palette,
)
