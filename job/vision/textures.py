"""Skins of invented fruits: square surfaces with a colour and a relief, drawn from random numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Edge of a surface, in pixels: a fruit shows up to 265 of them, from a place of its own.
SURFACE = 384

Plane = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
# Grey from blue, green, red (ITU-R BT.601), as JPEG has it.
_LUMA = np.array((0.114, 0.587, 0.299), np.float32)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a skin is made of: `paint` (0 to 1) mixes the second colour into the first, `relief` (about 1) lightens
    and darkens. Both of shape (SURFACE, SURFACE).
    """

    paint: Plane
    relief: Plane


def surface(
    kind: str,
    pitch: float,
    contrast: float,
    base: Colour,
    second: Colour,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """A skin: uint8 of shape (SURFACE, SURFACE, 3), blue first.

    Parameters
    ----------
    kind
        One of `PATTERNS`.
    pitch
        Pixels from one spot, seed or stripe to the next.
    contrast
        Standard deviation of the skin in grey, 0-255: a pattern gives as many keypoints in one colour as in another.
    base, second
        Red, green, blue.
    rng
        Where the spots fall.

    """
    pattern = PATTERNS[kind](pitch, rng)
    paint, relief = pattern.paint[..., None], pattern.relief[..., None]
    ground, marks = (np.array(colour[::-1], np.float32) for colour in (base, second))
    skin = (ground + (marks - ground) * paint) * relief
    mean = skin.mean(axis=(0, 1))
    skin = mean + (skin - mean) * np.float32(contrast / (skin @ _LUMA).std())
    # Ripeness: a slow change of brightness over the skin.
    skin *= 1 + np.float32(0.07) * _noise(rng, 70)[..., None]
    whole: NDArray[np.uint8] = np.clip(skin, 0, 255).astype(np.uint8)
    return whole


def _noise(rng: np.random.Generator, scale: float, across: float | None = None) -> Plane:
    """Smooth noise of deviation 1; `scale` is its period down the surface, `across` the one along a row."""
    rows, columns = (max(4, round(SURFACE / period)) for period in (scale, across or scale))
    coarse = rng.standard_normal((rows, columns), np.float32)
    fine: Plane = np.asarray(cv2.resize(coarse, (SURFACE, SURFACE), interpolation=cv2.INTER_CUBIC), np.float32)
    fine /= fine.std()
    return fine


def _rise(distance: Plane, softness: float = 0.8) -> Plane:
    """0 below zero, 1 above, a soft edge of some pixels in between."""
    step: Plane = 1 / (1 + np.exp(np.clip(-distance / np.float32(softness), -30, 30)))
    return step


def _lattice(pitch: float, jitter: float, rng: np.random.Generator, stretch: float = 1.0) -> tuple[Plane, Plane]:
    """Coordinates x and y of points in staggered rows, `stretch` times as far apart, shaken by `jitter` pitches."""
    rows, columns = np.mgrid[-2 : SURFACE / (pitch * stretch * 0.87) + 2, -2 : SURFACE / pitch + 2].astype(np.float32)
    shake = rng.uniform(-jitter, jitter, (2, *rows.shape)).astype(np.float32)
    x = (columns + (rows % 2) / 2 + shake[0]) * np.float32(pitch)
    y = (rows * np.float32(0.87) + shake[1]) * np.float32(pitch * stretch)
    return x.ravel(), y.ravel()


def _cells(x: Plane, y: Plane, stretch: float = 1.0) -> tuple[Plane, Plane, NDArray[np.int32]]:
    """Offsets of each pixel from its nearest point (x, and y divided by `stretch`), and that point's number."""
    seeds = np.full((SURFACE, SURFACE), 255, np.uint8)
    inside = (x >= 0) & (x <= SURFACE - 1) & (y >= 0) & (y <= SURFACE - 1)
    x, y = x[inside], y[inside]
    seeds[np.rint(y).astype(int), np.rint(x).astype(int)] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    numbers = np.zeros(int(labels.max()) + 1, np.int32)
    numbers[labels[np.rint(y).astype(int), np.rint(x).astype(int)]] = np.arange(len(x))
    nearest = numbers[labels]
    rows, columns = np.indices((SURFACE, SURFACE), np.float32)
    return columns - x[nearest], (rows - y[nearest]) / np.float32(stretch), nearest


def _borders(nearest: NDArray[np.int32]) -> Plane:
    """Distance of each pixel from the border between two cells, in pixels."""
    border = np.zeros(nearest.shape, bool)
    border[:, 1:] |= nearest[:, 1:] != nearest[:, :-1]
    border[1:] |= nearest[1:] != nearest[:-1]
    return np.asarray(cv2.distanceTransform(np.where(border, 0, 255).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _spots(pitch: float, rng: np.random.Generator) -> Pattern:
    """Round spots of several sizes, irregularly placed."""
    x, y, nearest = _cells(*_lattice(pitch, 0.35, rng))
    radius = rng.uniform(0.13, 0.3, int(nearest.max()) + 1).astype(np.float32) * np.float32(pitch)
    return Pattern(_rise(radius[nearest] - np.hypot(x, y)), np.ones_like(x))


def _pores(pitch: float, rng: np.random.Generator) -> Pattern:
    """Small pits close to each other, each with a lit lower edge: citrus."""
    x, y, nearest = _cells(*_lattice(pitch, 0.22, rng))
    depth = rng.uniform(0.3, 1, int(nearest.max()) + 1).astype(np.float32)[nearest]
    size = np.float32(pitch)
    pit = np.exp(-((np.hypot(x, y) / (0.2 * size)) ** 2)) * depth
    light = np.exp(-((np.hypot(x + 0.2 * size, y + 0.25 * size) / (0.22 * size)) ** 2)) * depth
    return Pattern(0.9 * pit, 1 - 0.3 * pit + 0.12 * light)


def _seeds(pitch: float, rng: np.random.Generator) -> Pattern:
    """Slim seeds in staggered rows, each in a dimple: strawberries."""
    stretch = 1.15
    x, y, _ = _cells(*_lattice(pitch, 0.1, rng, stretch), stretch)
    size = np.float32(pitch)
    seed = _rise(0.2 * size - np.hypot(1.7 * x, y), 0.6)
    dimple = np.exp(-((np.hypot(x, y - 0.1 * size) / (0.3 * size)) ** 2))
    return Pattern(seed, 1.05 - 0.4 * dimple * (1 - seed))


def _stripes(pitch: float, rng: np.random.Generator) -> Pattern:
    """Jagged bands from pole to pole with flecks between them: watermelons."""
    columns = np.indices((SURFACE, SURFACE), np.float32)[1]
    warp = 0.7 * _noise(rng, 24) + 0.5 * _noise(rng, 9)
    band = _rise(np.sin(columns * np.float32(2 * np.pi / pitch) + warp) - 0.1, 0.16)
    fleck = _rise(_noise(rng, 9, 6) - 1.3, 0.2)
    return Pattern(np.maximum(band, 0.7 * fleck), 1 + 0.06 * _noise(rng, 5))


def _net(pitch: float, rng: np.random.Generator) -> Pattern:
    """Raised threads round irregular fields: cantaloupes."""
    *_, nearest = _cells(*_lattice(pitch, 0.4, rng))
    distance = _borders(nearest)
    width = 1.3 + 0.35 * _noise(rng, 20)
    thread = _rise(width - distance, 0.5)
    return Pattern(thread, 1 - 0.2 * np.exp(-(((distance - 3) / 1.4) ** 2)))


def _drupelets(pitch: float, rng: np.random.Generator) -> Pattern:
    """Shining beads packed together: raspberries."""
    x, y, nearest = _cells(*_lattice(pitch, 0.16, rng))
    size = np.float32(pitch)
    tone = rng.uniform(0.85, 1.1, int(nearest.max()) + 1).astype(np.float32)[nearest]
    height = np.sqrt(np.clip(1 - (np.hypot(x, y) / (0.62 * size)) ** 2, 0, 1))
    shine = np.exp(-((np.hypot(x + 0.16 * size, y + 0.18 * size) / (0.13 * size)) ** 2))
    return Pattern(0.75 * shine, (0.35 + 0.75 * height) * tone)


def _scales(pitch: float, rng: np.random.Generator) -> Pattern:
    """Diamonds between two sets of slanting furrows, each with a thorn: pineapples."""
    rows, columns = np.indices((SURFACE, SURFACE), np.float32)
    rows, columns = rows + 1.2 * _noise(rng, 30), columns + 1.2 * _noise(rng, 30)
    along, against = (columns / np.float32(1.5 * pitch) + sign * rows / np.float32(1.8 * pitch) for sign in (1, -1))
    along, against = (value - np.floor(value) - np.float32(0.5) for value in (along, against))
    furrow = _rise(np.maximum(abs(along), abs(against)) - 0.41, 0.025)
    thorn = _rise(0.15 - np.hypot(along, against), 0.03)
    return Pattern(thorn, (1.08 - 0.25 * (along - against)) * (1 - 0.6 * furrow))


def _wrinkles(pitch: float, rng: np.random.Generator) -> Pattern:
    """Winding dark creases: dried skins."""
    one, other = _noise(rng, 0.8 * pitch, 1.6 * pitch), _noise(rng, 1.5 * pitch, 1.1 * pitch)
    crease = np.maximum(np.exp(-((one / 0.25) ** 2)), 0.7 * np.exp(-((other / 0.16) ** 2)))
    return Pattern(crease, 1 + 0.1 * one)


def _blotches(pitch: float, rng: np.random.Generator) -> Pattern:
    """Ragged patches of another colour: russet."""
    patch = _noise(rng, pitch) + 0.35 * _noise(rng, 0.35 * pitch)
    return Pattern(_rise(patch - 0.55, 0.13), np.ones_like(patch))


def _kernels(pitch: float, rng: np.random.Generator) -> Pattern:
    """Rounded kernels in upright rows: corn."""
    rows, columns = np.indices((SURFACE, SURFACE), np.float32)
    columns = columns / np.float32(pitch) + 0.04 * _noise(rng, 40)
    rank = np.floor(columns).astype(np.int32)
    shift = rng.uniform(0, 1, int(rank.max() - rank.min()) + 1).astype(np.float32)[rank - rank.min()]
    rows = rows / np.float32(0.8 * pitch) + shift + 0.08 * _noise(rng, 30)
    number = np.floor(rows).astype(np.int32)
    tone = rng.uniform(0.78, 1.08, (64, 128)).astype(np.float32)[rank % 64, number % 128]
    x, y = columns - np.floor(columns) - np.float32(0.5), rows - np.floor(rows) - np.float32(0.5)
    gap = _rise((x / 0.5) ** 4 + (y / 0.5) ** 4 - 0.55, 0.1)
    shine = np.exp(-((np.hypot(x + 0.12, y + 0.15) / 0.14) ** 2))
    return Pattern(0.5 * shine, tone * (1 - 0.5 * gap))


def _fuzz(pitch: float, rng: np.random.Generator) -> Pattern:
    """Short hairs that lie one way: kiwis."""
    hair = _noise(rng, 0.9 * pitch, 0.4 * pitch)
    return Pattern(_rise(hair - 0.9, 0.3), 1 + 0.09 * hair)


def _rings(pitch: float, rng: np.random.Generator) -> Pattern:
    """Spots with a rim: each a ring round a dot."""
    x, y, nearest = _cells(*_lattice(pitch, 0.25, rng))
    radius = rng.uniform(0.24, 0.34, int(nearest.max()) + 1).astype(np.float32)[nearest] * np.float32(pitch)
    distance = np.hypot(x, y)
    rim = np.exp(-(((distance - radius) / 1.1) ** 2))
    return Pattern(np.maximum(rim, _rise(0.09 * np.float32(pitch) - distance, 0.5)), np.ones_like(x))


def _bumps(pitch: float, rng: np.random.Generator) -> Pattern:
    """Angular plates that stand out, lit from one side: lychees."""
    x, y, nearest = _cells(*_lattice(pitch, 0.3, rng))
    slope = (x + y) / np.float32(pitch)
    distance = _borders(nearest)
    return Pattern(_rise(1.1 - distance, 0.5), 1.05 - 0.32 * slope)


PATTERNS: Mapping[str, Callable[[float, np.random.Generator], Pattern]] = MappingProxyType(
    {
        "Spotted": _spots,
        "Pitted": _pores,
        "Seeded": _seeds,
        "Striped": _stripes,
        "Netted": _net,
        "Beaded": _drupelets,
        "Scaled": _scales,
        "Wrinkled": _wrinkles,
        "Russet": _blotches,
        "Kernelled": _kernels,
        "Hairy": _fuzz,
        "Ringed": _rings,
        "Knobbly": _bumps,
    }
)
