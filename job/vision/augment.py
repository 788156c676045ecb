"""Copies of a picture as other cameras, lights and places might have taken it, to learn from beside the original.

A copy depends on the seed, the picture's name and the copy's number alone: not on its order, its process, or how many
copies there are. Each kind takes its random numbers from places of its own, so that leaving one kind out changes
nothing about the others.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision import fruit as fruits

Colour = NDArray[np.uint8]

KINDS = (
    "light",
    "gamma",
    "temperature",
    "saturation",
    "hue",
    "shading",
    "ground",
    "rotation",
    "blur",
    "scale",
    "noise",
)


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """How far each kind goes. A kind is off at 0; the two given as a pair at equal ends.

    Attributes
    ----------
    light
        Least and most that all channels are multiplied by.
    gamma
        Least and most exponent of values between 0 and 1.
    temperature
        Most by which red is raised and blue lowered, or the other way round, as a share.
    saturation
        Largest logarithm of the factor of the saturation.
    hue
        Most that hues turn, in degrees.
    shading
        Most by which light falls off from the middle of the picture to its edge, as a share.
    ground
        Share of copies whose background gets another colour.
    rotation
        Most that the picture turns, in degrees.
    stretch
        Largest logarithm of the ratio of the two axes; goes with `rotation`.
    shear
        Largest tangent by which one axis leans; goes with `rotation`.
    blur
        Largest deviation of the Gaussian, in pixels of 100 to the longer edge; half of the copies stay sharp.
    scale
        Share of copies that lose half of their resolution.
    noise
        Largest deviation of the noise, in grey values of 0-255.

    """

    light: tuple[float, float] = (1.0, 1.0)
    gamma: tuple[float, float] = (1.0, 1.0)
    temperature: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    shading: float = 0.0
    ground: float = 0.0
    rotation: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    blur: float = 0.0
    scale: float = 0.0
    noise: float = 0.0

    def only(self, kinds: Iterable[str]) -> "Strengths":
        """These strengths for the kinds named, all others off. ValueError for a name that is not in `KINDS`."""
        names = set(kinds)
        if unknown := sorted(names - set(KINDS)):
            raise ValueError(f"There is no kind of augmentation '{unknown[0]}': choose one of {', '.join(KINDS)}.")
        if "rotation" in names:
            names |= {"stretch", "shear"}
        return Strengths(**{name: getattr(self, name) for name in self.__dataclass_fields__ if name in names})

    def has(self, kind: str) -> bool:
        """Whether a kind of `KINDS` is on."""
        return bool(getattr(self, kind) != getattr(LEVELS["off"], kind))


LEVELS = {
    "off": Strengths(),
    "mild": Strengths(
        light=(0.75, 1.25),
        gamma=(0.75, 1.35),
        temperature=0.1,
        saturation=0.25,
        hue=6.0,
        shading=0.2,
        ground=0.5,
        rotation=180.0,
        stretch=0.08,
        shear=0.08,
        blur=1.5,
        scale=0.25,
        noise=8.0,
    ),
    "strong": Strengths(
        light=(0.5, 1.5),
        gamma=(0.5, 1.8),
        temperature=0.2,
        saturation=0.5,
        hue=12.0,
        shading=0.4,
        ground=0.7,
        rotation=180.0,
        stretch=0.15,
        shear=0.15,
        blur=2.2,
        scale=0.3,
        noise=12.0,
    ),
}
# Random numbers of one copy, each with a place of its own.
_NUMBERS = 24
_LUMA = np.array((0.114, 0.587, 0.299))
_NOISE_SIDE = 256


@cache
def strengths(level: str) -> Strengths:
    """Strengths of "off", "mild" or "strong", of all kinds, or of those that are named behind the level, as in
    "strong:light:gamma". ValueError for another name."""
    name, *kinds = level.split(":")
    if name not in LEVELS:
        raise ValueError(f"There is no level of augmentation '{name}': choose one of {', '.join(LEVELS)}.")
    return LEVELS[name].only(kinds) if kinds else LEVELS[name]


def augmented(colour: Colour, name: str, copy: int, seed: int, how: Strengths, *, mask: bool = True) -> Colour:
    """One changed copy of a picture.

    Parameters
    ----------
    colour : uint8 of shape (height, width, 3), blue first
        The original.
    name
        Name of the picture in its data set, from which, with `seed` and `copy`, the random numbers come.
    copy
        Number of the copy.
    how
        Strengths of the kinds.
    mask
        Whether there is a background that can be found and given another colour.

    Returns
    -------
    uint8 of shape (height, width, 3), blue first, at the working size of `job.vision.fruit`.

    """
    draw = _numbers(name, copy, seed)
    found = fruits.find(colour, mask=mask)
    picture, cover = _turned(found, draw, how)
    picture = _lit(picture, draw, how)
    if draw[14] < how.ground and mask:
        picture = _grounded(picture, cover, draw)
    picture = _blurred(picture, draw, how)
    return _noisy(picture, draw, how)


def _numbers(name: str, copy: int, seed: int) -> NDArray[np.float64]:
    key = blake2b(f"{seed}\0{name}\0{copy}".encode(errors="surrogateescape"), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little"))).random(_NUMBERS)


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * float(share)


def _either(most: float, share: float) -> float:
    return most * (2 * float(share) - 1)


def _turned(found: fruits.Fruit, draw: NDArray[np.float64], how: Strengths) -> tuple[Colour, NDArray[np.uint8]]:
    """The picture and its mask turned, stretched and sheared about the middle; the background fills what is left."""
    if not how.rotation and not how.stretch and not how.shear:
        return found.colour, found.mask
    height, width = found.mask.shape
    angle = math.radians(_either(how.rotation, draw[0]))
    stretch = math.exp(_either(how.stretch, draw[1]) / 2)
    sine, cosine = math.sin(angle), math.cos(angle)
    matrix = (
        np.array(((cosine, -sine), (sine, cosine)))
        @ np.array(((1, _either(how.shear, draw[2])), (0, 1)))
        @ np.diag((stretch, 1 / stretch))
    )
    middle = np.array(((width - 1) / 2, (height - 1) / 2))
    affine = np.column_stack((matrix, middle - matrix @ middle))
    ground = [float(value) for value in fruits.background(found.colour)]
    picture = cv2.warpAffine(
        found.colour,
        affine,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=ground,
    )
    cover = cv2.warpAffine(found.mask, affine, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(picture, np.uint8), np.asarray(cover, np.uint8)


def _lit(picture: Colour, draw: NDArray[np.float64], how: Strengths) -> Colour:
    """Hue, saturation, temperature and light as one matrix of colours, then shading, then gamma."""
    warmth = _either(how.temperature, draw[6])
    gains = _between(*how.light, draw[4]) * np.array((1 - warmth, 1.0, 1 + warmth))
    saturation = math.exp(_either(how.saturation, draw[7]))
    mix = saturation * _hue_matrix(_either(how.hue, draw[8])) + (1 - saturation) * np.outer(np.ones(3), _LUMA)
    lit: Any = cv2.transform(picture.astype(np.float32), (gains[:, None] * mix).astype(np.float32))
    if how.shading:
        lit *= _shade(picture.shape[0], picture.shape[1], draw, how)[..., None]
    whole = cv2.convertScaleAbs(np.maximum(lit, 0))
    low, high = (math.log(value) for value in how.gamma)
    gamma = math.exp(_between(low, high, draw[5]))
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return np.asarray(cv2.LUT(whole, table), np.uint8)


def _hue_matrix(degrees: float) -> NDArray[np.float64]:
    """Turns colours about the axis of greys by so many degrees; blue first."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cross = np.array(((0, 1, -1), (-1, 0, 1), (1, -1, 0))) / math.sqrt(3)
    return cosine * np.eye(3) + (1 - cosine) / 3 + sine * cross


def _shade(height: int, width: int, draw: NDArray[np.float64], how: Strengths) -> NDArray[np.float32]:
    """Light that falls off across the picture in a random direction: about 1, float32 of shape (height, width)."""
    angle, fall = 2 * math.pi * draw[9], how.shading * float(draw[10])
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(fall * math.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(fall * math.sin(angle))
    return np.maximum(1 + across[None] + down[:, None], np.float32(0))


def _grounded(picture: Colour, cover: NDArray[np.uint8], draw: NDArray[np.float64]) -> Colour:
    """The fruit on a background of a random colour: any grey in half of the cases, any colour in the others."""
    colour = draw[[15, 15, 15]] if draw[18] < 0.5 else draw[15:18]
    alpha = cv2.blur(cover, (3, 3)).astype(np.float32)[..., None] * np.float32(1 / 255)
    ground = (255 * colour).astype(np.float32)
    return np.asarray(cv2.convertScaleAbs(ground + (picture - ground) * alpha), np.uint8)


def _blurred(picture: Colour, draw: NDArray[np.float64], how: Strengths) -> Colour:
    if draw[19] < how.scale:
        height, width = picture.shape[:2]
        half = cv2.resize(picture, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    deviation = how.blur * (2 * float(draw[20]) - 1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.uint8) if deviation > 0.2 else picture


@cache
def _noise() -> NDArray[np.float32]:
    """Normal noise to cut pieces from: drawing it anew for each copy takes longer than all the rest."""
    return np.random.default_rng(0).standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3), np.float32)


def _noisy(picture: Colour, draw: NDArray[np.float64], how: Strengths) -> Colour:
    deviation = how.noise * float(draw[21])
    if not deviation:
        return picture
    height, width = picture.shape[:2]
    top, left = int(draw[22] * (_NOISE_SIDE - height)), int(draw[23] * (_NOISE_SIDE - width))
    noise = _noise()[top : top + height, left : left + width]
    return np.asarray(np.clip(picture + noise * np.float32(deviation) + np.float32(0.5), 0, 255), np.uint8)
