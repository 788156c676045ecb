"""Small pictures for the report: keypoints drawn and thumbnails as JPEG, patches and enlarged pixels as PNG.

Pictures are uint8 arrays of shape (height, width, 3) in OpenCV's order, blue first.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

# Longest edge of a drawn picture: a report with a dozen photographs stays a file one can send.
MAX_EDGE = 600
_RING = (60, 225, 60)
_SHADOW = (20, 20, 20)
# cv2 draws with 4 fractional bits, so that rings sit where the keypoint is and not on the nearest pixel.
_SHIFT = 4


def draw_keypoints(colour: NDArray[np.uint8], keypoints: NDArray[np.float32], scale: int = 3) -> bytes:
    """The picture, `scale` times as large (at most `MAX_EDGE` pixels), with a ring round each keypoint.

    Parameters
    ----------
    colour : uint8 of shape (height, width, 3)
        The picture.
    keypoints : float32 of shape (n, 3)
        x, y and the diameter of each, in pixels of `colour`; n may be 0.
    scale
        Pixels drawn per pixel of `colour`, along either edge.

    """
    height, width = colour.shape[:2]
    factor = min(float(scale), MAX_EDGE / max(height, width))
    canvas = _resize(colour, max(1, round(width * factor)), max(1, round(height * factor)))
    for x, y, diameter in np.asarray(keypoints, dtype=np.float64).reshape(-1, 3):
        # Pixel centres are whole numbers, edges halves: (x + 0.5) is what scales.
        centre = tuple(round((value + 0.5) * factor * 2**_SHIFT - 2 ** (_SHIFT - 1)) for value in (x, y))
        radius = max(round(diameter / 2 * factor * 2**_SHIFT), 2**_SHIFT)
        cv2.circle(canvas, centre, radius, _SHADOW, 4, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, centre, radius, _RING, 2, cv2.LINE_AA, _SHIFT)
    return _jpeg(canvas)


def patch(colour: NDArray[np.uint8], keypoint: NDArray[np.float32], pixels: int = 32, span: float = 1.5) -> bytes:
    """A square of `span` times the keypoint's diameter round it, as `pixels` x `pixels`.

    Beyond the picture's edge its last row or column is repeated. `keypoint` is x, y and diameter, in pixels.
    SIFT describes a window of 6 diameters (4 x 4 bins of 1.5 each), ORB one of a single diameter.
    """
    height, width = colour.shape[:2]
    x, y, diameter = (float(value) for value in keypoint)
    half = max(round(span * diameter / 2), 2)
    rows = np.clip(np.arange(round(y) - half, round(y) + half + 1), 0, height - 1)
    columns = np.clip(np.arange(round(x) - half, round(x) + half + 1), 0, width - 1)
    return _png(_resize(colour[np.ix_(rows, columns)], pixels, pixels))


def thumbnail(colour: NDArray[np.uint8], pixels: int) -> bytes:
    """The picture with its longer edge cut down to `pixels`; a smaller one stays as it is."""
    height, width = colour.shape[:2]
    factor = min(1.0, pixels / max(height, width))
    return _jpeg(_resize(colour, max(1, round(width * factor)), max(1, round(height * factor))))


def enlarged(colour: NDArray[np.uint8], pixels: int) -> bytes:
    """A tiny picture with its longer edge drawn `pixels` long, its own pixels as squares."""
    factor = max(1, round(pixels / max(colour.shape[:2])))
    return _png(np.ascontiguousarray(np.kron(colour, np.ones((factor, factor, 1), np.uint8))))


def _resize(colour: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    smaller = width < colour.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(colour, (width, height), interpolation=method), dtype=np.uint8)


def _jpeg(colour: NDArray[np.uint8]) -> bytes:
    """For photographs, of which it takes far fewer bytes than PNG, and is written sooner."""
    return _encoded(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 92])


def _png(colour: NDArray[np.uint8]) -> bytes:
    # level 9 takes 15 times as long, for 12 % less
    return _encoded(".png", colour, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def _encoded(suffix: str, colour: NDArray[np.uint8], options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, colour, options)
    if not done:
        raise ValueError(f"a picture of {colour.shape[1]} x {colour.shape[0]} could not be written as {suffix}.")
    return data.tobytes()
