"""Local descriptors of a grey picture, as whole numbers, so that sums over them are exact in any order."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Packed = NDArray[Any]
Keypoints = NDArray[np.float32]
Buffer = bytes | bytearray | memoryview

FLOAT32_BITS = 24

# The type stubs of some releases lack what the library has.
_CV2: Any = cv2

# RootSIFT and SURF have length 1; these factors keep them in a byte and in 16 bits.
ROOTSIFT_SCALE = 512
SURF_SCALE = 4000
# ORB's default keeps 31 pixels clear of the border, as wide as its patch, which leaves nothing to describe in a fifth
# of pictures of 100 x 100. OpenCV mirrors the picture beyond its edge, so 4, half the corner detector's window, is
# enough: every picture is described, and words tell many more fruits apart. The patch stays at 31, since OpenCV has
# learned its pairs of pixels for that size only and draws them at random for any other.
ORB_BORDER = 4
# mahotas has SURF begin at filters of 9 pixels and finds 5 points in 100 x 100 pixels; 80 in twice the size.
SURF_DOUBLE_BELOW = 512 * 512


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How a picture is described.

    Attributes
    ----------
    name
        What `--descriptor` calls it.
    width
        Values of one descriptor once unpacked: the dimension of the space in which words are learned.
    dtype
        Type of the packed values.
    bytes
        Length of one packed descriptor.
    max_norm
        No descriptor is longer, by the Euclidean norm.
    binary
        Unpacked values are bits: squared Euclidean distance is Hamming distance.

    """

    name: str
    width: int
    dtype: np.dtype[Any]
    bytes: int
    max_norm: float
    binary: bool
    _describe: Callable[[Grey], Packed]
    _locate: Callable[[Grey], Keypoints]

    @property
    def values(self) -> int:
        """Packed values of one descriptor."""
        return self.bytes // self.dtype.itemsize

    @property
    def quantum(self) -> float:
        """Spacing of the grid on which words lie, a power of two, so that descriptor . word is exact in float32.

        The product is at most max_norm^2 and a multiple of the quantum: max_norm^2 / quantum < 2^24. Bits need no
        finer grid than their own: a word is the majority of its descriptors' bits.
        """
        return 1.0 if self.binary else 2.0 ** -math.floor(FLOAT32_BITS - 2 * math.log2(self.max_norm))

    def describe(self, grey: Grey) -> Packed:
        """Packed descriptors, C-contiguous, `dtype`, of shape (n, values); n is 0 for a flat or tiny picture.

        `grey` is uint8 of shape (height, width). The rows are those of `keypoints`, in the same order every time.
        """
        return self._describe(grey)

    def keypoints(self, grey: Grey) -> Keypoints:
        """x, y and diameter of each keypoint, in pixels (centres are whole numbers): float32 of shape (n, 3)."""
        return self._locate(grey)

    def unpack(self, packed: Buffer | Packed) -> Packed:
        """Values of shape (n, width) from packed descriptors or their bytes: a view, except for bits (uint8 0 or 1).

        Raises
        ------
        ValueError
            The bytes are not a whole number of descriptors.

        """
        array = packed if isinstance(packed, np.ndarray) else np.frombuffer(packed, self.dtype)
        array = array.reshape(-1, self.values)
        return np.unpackbits(array, axis=1) if self.binary else array


def get(name: str) -> Descriptor:
    """The descriptor of that name; ValueError, a sentence that lists the names, if there is none."""
    try:
        return DESCRIPTORS[name]
    except KeyError:
        raise ValueError(f"There is no descriptor '{name}': choose one of {', '.join(DESCRIPTORS)}.") from None


def _points(keypoints: Any) -> Keypoints:
    rows = [(*keypoint.pt, keypoint.size) for keypoint in keypoints]
    return np.array(rows, np.float32).reshape(-1, 3)


def _rows(found: Any, values: int) -> NDArray[np.uint8]:
    """What cv2 found; it gives None instead of no rows."""
    rows: NDArray[np.uint8] = np.empty((0, values), np.uint8) if found is None else found
    return rows


@cache
def _sift_detector() -> Any:
    # Values are whole numbers 0-255 anyway; as CV_8U they are the same and cost no conversion. OpenCV takes the type
    # only after all other parameters, which are its defaults, and only by name: by place it is taken for a flag.
    return _CV2.SIFT_create(0, 3, 0.04, 10.0, 1.6, descriptorType=cv2.CV_8U)


def _sift(grey: Grey) -> NDArray[np.uint8]:
    return _rows(_sift_detector().detectAndCompute(grey, None)[1], 128)


def _sift_points(grey: Grey) -> Keypoints:
    return _points(_sift_detector().detectAndCompute(grey, None)[0])


def rootsift(sift: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RootSIFT (Arandjelovic and Zisserman, 2012): square roots of L1-normalised SIFT, of length 512, as uint8.

    One value reaches 255 at a quarter of the sum of all 128; what is above is cut off there.
    """
    values = sift.astype(np.float32)
    total = values.sum(axis=1, keepdims=True)
    root = np.sqrt(values / np.maximum(total, np.float32(1))) * np.float32(ROOTSIFT_SCALE)
    whole: NDArray[np.uint8] = np.minimum(np.rint(root), np.float32(255)).astype(np.uint8)
    return whole


def _rootsift(grey: Grey) -> NDArray[np.uint8]:
    return rootsift(_sift(grey))


@cache
def _orb_detector() -> Any:
    return _CV2.ORB_create(edgeThreshold=ORB_BORDER)


def _orb_found(grey: Grey) -> tuple[Any, Any]:
    # Nothing is left within the border; OpenCV fails where a level of its pyramid has no pixels at all.
    return ((), None) if min(grey.shape) <= 2 * ORB_BORDER else _orb_detector().detectAndCompute(grey, None)


def _orb(grey: Grey) -> NDArray[np.uint8]:
    return _rows(_orb_found(grey)[1], 32)


def _orb_points(grey: Grey) -> Keypoints:
    return _points(_orb_found(grey)[0])


def _surf_rows(grey: Grey) -> tuple[NDArray[np.float64], int]:
    """Rows of mahotas (y, x, scale, score, laplacian, angle, 64 values) and by how much the picture was enlarged."""
    from mahotas.features import surf

    factor = 2 if 0 < grey.size < SURF_DOUBLE_BELOW else 1
    enlarged = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else grey
    rows = surf.surf(enlarged, nr_octaves=3, nr_scales=4, threshold=0.1)
    # A patch without any gradient has no length to be divided by.
    return rows[np.isfinite(rows).all(axis=1)], factor


def _surf(grey: Grey) -> NDArray[np.int16]:
    rows, _ = _surf_rows(grey)
    return np.rint(rows[:, 6:] * SURF_SCALE).astype(np.int16)


def _surf_points(grey: Grey) -> Keypoints:
    rows, factor = _surf_rows(grey)
    y, x, scale = rows[:, 0], rows[:, 1], rows[:, 2]
    # A scale of 1.2 is a filter of 9 pixels (Bay et al., 2008).
    columns = (x + 0.5) / factor - 0.5, (y + 0.5) / factor - 0.5, scale * (9 / 1.2) / factor
    return np.stack(columns, axis=1).astype(np.float32)


def _rounded(norm: float, width: int) -> float:
    """Rounding moves each value by up to a half."""
    return norm + math.sqrt(width) / 2


_BYTE, _SHORT = np.dtype(np.uint8), np.dtype("<i2")
DESCRIPTORS: Mapping[str, Descriptor] = MappingProxyType(
    {
        descriptor.name: descriptor
        for descriptor in (
            Descriptor("sift", 128, _BYTE, 128, _rounded(512, 128), False, _sift, _sift_points),
            Descriptor("rootsift", 128, _BYTE, 128, _rounded(ROOTSIFT_SCALE, 128), False, _rootsift, _sift_points),
            Descriptor("orb", 256, _BYTE, 32, 16.0, True, _orb, _orb_points),
            Descriptor("surf", 64, _SHORT, 128, _rounded(SURF_SCALE, 64), False, _surf, _surf_points),
        )
    }
)
