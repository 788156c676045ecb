"""Local descriptors with the place of each, for the encodings `pyramid` and `rings`."""

from dataclasses import replace
from functools import partial

import numpy as np

from job.vision.descriptors import PLACED
from job.vision.descriptors.base import Descriptor, Packed
from job.vision.descriptors.patches import SIDE, rings
from job.vision.picture import Picture

PLACES = 3
"""Values at the end of a row: x and y in 256ths of the picture's width and height, and the ring of the fruit, from 1
(at the outline and outside of it) to `job.vision.descriptors.patches.RINGS`."""


def placed(spec: Descriptor) -> Descriptor:
    """The descriptor whose rows are those of `spec`, each with its place."""
    return replace(
        spec,
        name=PLACED + spec.name,
        values=spec.values + PLACES,
        width=spec.width + PLACES,
        places=PLACES,
        rows=partial(_rows, spec),
        pixels="colour",
        encoding="pyramid",
    )


def _rows(spec: Descriptor, picture: Picture) -> Packed:
    found, points = spec.describe(picture), spec.keypoints(picture)
    assert points is not None
    height, width = picture.grey.shape
    # a point is in the middle of its pixel
    places = np.clip((points[:, :2] + 0.5) / np.array([width, height], np.float64) * 256, 0, 255).astype(spec.dtype)
    x, y = places.T.astype(np.intp) * SIDE // 256
    ring = np.maximum(rings(picture.fruit)[y, x], 1).astype(spec.dtype)
    return np.ascontiguousarray(np.hstack([found, places, ring[:, None]]))
