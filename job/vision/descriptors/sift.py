"""SIFT (Lowe, 2004) and RootSIFT, by OpenCV."""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.descriptors.base import Descriptor, Keypoints, circles, no_rows, rounded
from job.vision.descriptors.placed import placed
from job.vision.picture import Picture

# RootSIFT has length 1; this factor keeps it in a byte.
ROOTSIFT_SCALE = 512
# SIFT describes a window of 4 x 4 bins, each 1.5 diameters of the keypoint wide.
SPAN = 6.0

# The type stubs of some releases lack what the library has.
_CV2: Any = cv2


@cache
def detector() -> Any:
    """OpenCV's SIFT, of which one a process is enough."""
    # Values are whole numbers 0-255 anyway; as CV_8U they are the same and cost no conversion. OpenCV takes the type
    # only after all other parameters, which are its defaults, and only by name: by place it is taken for a flag.
    return _CV2.SIFT_create(0, 3, 0.04, 10.0, 1.6, descriptorType=cv2.CV_8U)


def _found(picture: Picture) -> tuple[Any, Any]:
    """Keypoints and descriptors."""
    found: tuple[Any, Any] = picture.once("sift", lambda: detector().detectAndCompute(picture.grey, None))
    return found


def _sift(picture: Picture) -> NDArray[np.uint8]:
    return no_rows(_found(picture)[1], 128)


def _points(picture: Picture) -> Keypoints:
    return circles(_found(picture)[0])


def rootsift(sift: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RootSIFT (Arandjelovic and Zisserman, 2012): square roots of L1-normalised SIFT, of length 512, as uint8.

    One value reaches 255 at a quarter of the sum of all 128; what is above is cut off there.
    """
    values = sift.astype(np.float32)
    total = values.sum(axis=1, keepdims=True)
    root = np.sqrt(values / np.maximum(total, np.float32(1))) * np.float32(ROOTSIFT_SCALE)
    whole: NDArray[np.uint8] = np.minimum(np.rint(root), np.float32(255)).astype(np.uint8)
    return whole


def _rootsift(picture: Picture) -> NDArray[np.uint8]:
    return rootsift(_sift(picture))


SIFT = Descriptor(name="sift", values=128, width=128, rows=_sift, points=_points, max_norm=rounded(512, 128), span=SPAN)
ROOTSIFT = Descriptor(
    name="rootsift",
    values=128,
    width=128,
    rows=_rootsift,
    points=_points,
    max_norm=rounded(ROOTSIFT_SCALE, 128),
    span=SPAN,
)
PLACED_SIFT = placed(SIFT)
PLACED_ROOTSIFT = placed(ROOTSIFT)
