"""Disturbances under which a model is scored: each a picture as something went wrong, at one fixed strength."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision import fruit as fruits
from job.vision.augment import strengths

Colour = NDArray[np.uint8]
_NOISE_SEED = 20


def disturbed(colour: Colour, kind: str) -> Colour:
    """The picture under the disturbance `kind`: uint8 (height, width, 3), blue first, of the same size but for `50px`
    and `200px`. The same picture gives the same result every time. ValueError for a kind that is not in `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"There is no disturbance '{kind}': choose one of {', '.join(KINDS)}.")
    return KINDS[kind](colour)


def _blur(colour: Colour) -> Colour:
    return np.asarray(cv2.GaussianBlur(colour, (0, 0), 1.5 * max(colour.shape[:2]) / 100), np.uint8)


def _gains(blue: float, green: float, red: float) -> Callable[[Colour], Colour]:
    def change(colour: Colour) -> Colour:
        changed: Colour = np.rint(np.minimum(colour * np.array((blue, green, red)), 255)).astype(np.uint8)
        return changed

    return change


def _gamma(exponent: float) -> Callable[[Colour], Colour]:
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return lambda colour: np.asarray(cv2.LUT(colour, table), np.uint8)


def _ground(colour: Colour) -> list[float]:
    return [float(value) for value in fruits.background(colour)]


def _turn(degrees: float) -> Callable[[Colour], Colour]:
    def change(colour: Colour) -> Colour:
        height, width = colour.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        return np.asarray(cv2.warpAffine(colour, matrix, (width, height), borderValue=_ground(colour)), np.uint8)

    return change


def _pixels(edge: int) -> Callable[[Colour], Colour]:
    return lambda colour: fruits.resized(colour, edge)


def _jpeg(colour: Colour) -> Colour:
    data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _grey_ground(colour: Colour) -> Colour:
    """The background, wherever it can be found, in a middle grey."""
    found = cv2.blur(fruits.find(colour).mask, (3, 3))
    mask = cv2.resize(found, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    share = mask[..., None] / 255
    return np.rint(128 + (colour - 128.0) * share).astype(np.uint8)


def _noise(colour: Colour) -> Colour:
    noise = np.random.default_rng(_NOISE_SEED).standard_normal(colour.shape)
    return np.rint(np.clip(colour + 12 * noise, 0, 255)).astype(np.uint8)


def _shift(colour: Colour) -> Colour:
    """Moved by an eighth of its size to the lower right; what leaves the picture is lost."""
    height, width = colour.shape[:2]
    matrix = np.array(((1.0, 0, width // 8), (0, 1, height // 8)))
    return np.asarray(cv2.warpAffine(colour, matrix, (width, height), borderValue=_ground(colour)), np.uint8)


def _corner(colour: Colour) -> Colour:
    """The upper left corner, two fifths of either edge, hidden in the background's colour."""
    height, width = colour.shape[:2]
    hidden = colour.copy()
    hidden[: height * 2 // 5, : width * 2 // 5] = np.array(_ground(colour)).astype(np.uint8)
    return hidden


KINDS: Mapping[str, Callable[[Colour], Colour]] = MappingProxyType(
    {
        "blur": _blur,
        "dark": _gains(0.6, 0.6, 0.6),
        "bright": _gains(1.4, 1.4, 1.4),
        "gamma-0.6": _gamma(0.6),
        "gamma-1.6": _gamma(1.6),
        "warm": _gains(0.85, 1.0, 1.15),
        "cool": _gains(1.15, 1.0, 0.85),
        "turn-45": _turn(45),
        "turn-90": _turn(90),
        "50px": _pixels(50),
        "200px": _pixels(200),
        "jpeg-30": _jpeg,
        "grey-ground": _grey_ground,
        "noise": _noise,
        "shift": _shift,
        "corner": _corner,
    }
)
# The kind of change in copies (`job.vision.augment`) that each disturbance is a case of; others are in no copy.
CASE_OF: Mapping[str, str] = MappingProxyType(
    {
        "blur": "blur",
        "dark": "light",
        "bright": "light",
        "gamma-0.6": "gamma",
        "gamma-1.6": "gamma",
        "warm": "temperature",
        "cool": "temperature",
        "turn-45": "rotation",
        "turn-90": "rotation",
        "50px": "scale",
        "200px": "scale",
        "grey-ground": "ground",
        "noise": "noise",
    }
)


def is_in_copies(kind: str, levels: Iterable[str]) -> bool:
    """Whether copies of these levels of augmentation have changes of which the disturbance `kind` is a case. A model
    that is right on a disturbance that they have not has not learned it."""
    like = CASE_OF.get(kind)
    return like is not None and any(strengths(level).has(like) for level in levels)
