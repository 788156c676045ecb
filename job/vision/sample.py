"""Generated fruits on white, so that the first run needs no download: the same bytes from the same seed."""

import itertools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from job.splits import FOLDERS
from job.vision.textures import PATTERNS, SURFACE, Colour, Plane, surface

Split = Literal["train", "test"]
Top = Literal["", "stem", "leaves", "crown"]

EDGE = 100
JPEG_QUALITY = 92
# Surface pixels from the middle of a fruit to its rim, divided by pi / 2.
_GLOBE = 42.0
_WHITE = 255


@dataclass(frozen=True, slots=True)
class Style:
    """One category: its skin (see `textures.surface`), and its shape.

    `aspect` is width by height; `taper` makes the upper half narrower (above 0) or the lower one; `tip` below 2
    gives pointed ends; `upright` wraps the skin from pole to pole instead of round the middle; `gloss` is the
    strength of the highlight; `top` is drawn at the upper end.
    """

    name: str
    kind: str
    pitch: float
    contrast: float
    base: Colour
    second: Colour
    aspect: float = 1.0
    taper: float = 0.0
    tip: float = 2.0
    upright: bool = False
    gloss: float = 0.25
    top: Top = ""


# Pitch and contrast (see `textures.surface`) at which a pattern gives a picture 30 to 90 keypoints.
SKINS: dict[str, tuple[float, float]] = {
    "Spotted": (16, 22),
    "Pitted": (10, 12),
    "Seeded": (12.5, 26),
    "Striped": (18, 27),
    "Netted": (19, 18),
    "Beaded": (12, 22),
    "Scaled": (14, 15),
    "Wrinkled": (14, 27),
    "Russet": (14, 32),
    "Kernelled": (13, 17),
    "Hairy": (10, 21),
    "Ringed": (17, 26),
    "Knobbly": (15, 18),
}

# The first three are the categories of the prototype's demonstration.
NAMED: tuple[Style, ...] = (
    Style("Corn", "Kernelled", 12, 20, (244, 196, 48), (255, 244, 190), aspect=0.56, taper=0.22, upright=True),
    Style("Orange", "Pitted", 10, 12, (240, 140, 25), (170, 75, 0), gloss=0.3),
    Style("Raspberry", "Beaded", 12, 22, (205, 30, 70), (255, 190, 205), aspect=0.92, taper=-0.22, gloss=0.1),
    Style("Lemon", "Pitted", 10, 15, (246, 216, 60), (190, 140, 10), aspect=0.78, tip=1.45, gloss=0.3),
    Style("Strawberry", "Seeded", 13, 24, (214, 30, 40), (250, 215, 110), aspect=0.86, taper=-0.38, top="leaves"),
    Style("Watermelon", "Striped", 18, 27, (120, 175, 80), (25, 75, 35), upright=True, top="stem"),
    Style("Cantaloupe", "Netted", 19, 15, (176, 160, 95), (232, 220, 180), gloss=0.05),
    Style("Pineapple", "Scaled", 14, 16, (214, 150, 45), (110, 65, 20), aspect=0.72, gloss=0.08, top="crown"),
    Style("Kiwi", "Hairy", 10, 22, (134, 100, 56), (70, 46, 20), aspect=0.84, gloss=0.02),
    Style("Apple Red", "Spotted", 16, 22, (178, 22, 38), (244, 200, 150), taper=-0.08, gloss=0.4, top="stem"),
    Style("Pear", "Russet", 14, 32, (190, 196, 70), (128, 92, 34), aspect=0.74, taper=0.36, top="stem"),
    Style("Lychee", "Knobbly", 15, 15, (205, 70, 78), (120, 26, 40), gloss=0.05),
    Style("Passion Fruit", "Wrinkled", 14, 27, (120, 56, 110), (50, 16, 50), gloss=0.15),
    Style("Plum", "Ringed", 17, 26, (96, 50, 120), (206, 170, 215), aspect=0.88, gloss=0.3, top="stem"),
    Style("Melon Striped", "Striped", 18, 27, (244, 214, 80), (214, 130, 20), aspect=0.84, upright=True),
    Style("Quail Berry", "Spotted", 16, 22, (226, 220, 200), (90, 60, 40), aspect=0.82),
)
_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "Amber": ((235, 160, 40), (120, 60, 10)),
    "Crimson": ((190, 25, 50), (250, 190, 170)),
    "Olive": ((130, 140, 50), (225, 225, 150)),
    "Violet": ((110, 60, 150), (225, 190, 240)),
    "Ivory": ((236, 226, 196), (140, 100, 60)),
    "Emerald": ((40, 140, 80), (190, 235, 170)),
    "Rose": ((236, 140, 150), (150, 30, 60)),
    "Umber": ((120, 80, 50), (225, 190, 140)),
}
_TOPS: tuple[Top, ...] = ("stem", "", "leaves")


class Written(NamedTuple):
    """Pictures that `write_sample` wrote, and those that were there already."""

    written: int
    unchanged: int


@cache
def style(category: int) -> Style:
    """The category's looks: a named fruit first, then combinations of a pattern and a colour, without end."""
    if category < 0:
        raise ValueError(f"There is no category {category}: the first is 0.")
    if category < len(NAMED):
        return NAMED[category]
    number = category - len(NAMED)
    kinds, colours = tuple(PATTERNS), tuple(_COLOURS)
    # 13 patterns and 8 colours have no common divisor: stepping through both meets every pair once.
    kind, colour = kinds[number % len(kinds)], colours[number % len(colours)]
    generation = number // math.lcm(len(kinds), len(colours))
    (pitch, contrast), (base, second) = SKINS[kind], _COLOURS[colour]
    if kind == "Seeded":
        # Dark seeds would add to their dark dimples, light ones stand out from them.
        base, second = sorted((base, second), key=sum)
    return Style(
        f"{kind} {colour}" + (f" {generation + 1}" if generation else ""),
        kind,
        pitch * (0.95, 1.0, 1.12, 0.97, 1.06)[number % 5],
        contrast,
        base,
        second,
        aspect=(1.0, 0.84, 0.92, 0.76)[number % 4],
        taper=(0.0, 0.15, -0.2)[number % 3],
        gloss=(0.25, 0.1, 0.35)[number // 3 % 3],
        top=_TOPS[number // 2 % 3],
    )


def sample_picture(category: int, picture: int, seed: int = 123, split: Split = "train") -> bytes:
    """A JPEG of 100 x 100 pixels: a fruit of that category on white.

    From picture to picture its size, its turn, the part of the skin that is seen and the light change; no picture
    of the test split is one of the training split. The same arguments give the same bytes with the same releases of
    OpenCV and numpy.
    """
    looks = style(category)
    rng = np.random.default_rng((seed, category, tuple(FOLDERS).index(split), picture))
    canvas = _fruit(looks, _skin(category, seed), rng)
    canvas += rng.standard_normal(canvas.shape[:2], np.float32)[..., None] * np.float32(1.2)
    whole = np.clip(np.rint(canvas), 0, _WHITE).astype(np.uint8)
    done, data = cv2.imencode(".jpg", whole, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG.")
    return data.tobytes()


def write_sample(
    folder: Path | str,
    categories: int = 3,
    train_images: int = 150,
    test_images: int = 60,
    seed: int = 123,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Write `Training/<Category>/<i>_100.jpg` and `Test/<Category>/<i>_100.jpg` below `folder`.

    The pictures of a split are spread evenly over the categories, the first ones get what is left over. A file that
    holds the right bytes is left alone; others are replaced as a whole. `progress` is called after each picture with
    their number so far.

    Raises
    ------
    ValueError
        A number is below 1 (0 for `test_images`), or there are fewer pictures than categories.
    OSError
        The folder can't be written.

    """
    _check(categories, train_images, test_images, seed)
    counts = {True: 0, False: 0}
    for category, picture, split in _plan(categories, train_images, test_images):
        target = Path(folder) / FOLDERS[split] / style(category).name / f"{picture}_100.jpg"
        counts[_write(target, sample_picture(category, picture, seed, split))] += 1
        if progress:
            progress(sum(counts.values()))
    return Written(written=counts[True], unchanged=counts[False])


def _check(categories: int, train_images: int, test_images: int, seed: int) -> None:
    if categories < 1:
        raise ValueError(f"A sample of {categories} categories can't be made: ask for 1 or more.")
    if seed < 0:
        raise ValueError(f"The seed is {seed}: take 0 or a positive number.")
    for images, split in ((train_images, "training"), (test_images, "test")):
        if images < categories and (images or split == "training"):
            raise ValueError(
                f"{images} {split} pictures don't go round {categories} categories: ask for {categories} or more.",
            )


def _plan(categories: int, train_images: int, test_images: int) -> Iterator[tuple[int, int, Split]]:
    """Category by category, so that a skin is drawn once."""
    totals: dict[Split, int] = {"train": train_images, "test": test_images}
    for category, (split, images) in itertools.product(range(categories), totals.items()):
        share, rest = divmod(images, categories)
        for picture in range(share + (category < rest)):
            yield category, picture, split


def _write(target: Path, data: bytes) -> bool:
    """Whether the file had to be written; whoever reads meanwhile sees the old one or the new one."""
    try:
        if target.read_bytes() == data:
            return False
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return True


@lru_cache(maxsize=16)
def _skin(category: int, seed: int) -> NDArray[np.uint8]:
    looks = style(category)
    rng = np.random.default_rng((seed, category))
    return surface(looks.kind, looks.pitch, looks.contrast, looks.base, looks.second, rng)


def _fruit(looks: Style, skin: NDArray[np.uint8], rng: np.random.Generator) -> Plane:
    """The picture before noise and rounding: float32 of shape (EDGE, EDGE, 3), blue first."""
    half_height = np.float32(rng.uniform(39, 44) / max(1.0, looks.aspect))
    half_width = half_height * np.float32(looks.aspect * rng.uniform(0.96, 1.04))
    turn = rng.uniform(-0.7, 0.7)
    centre = EDGE / 2 - 0.5 + rng.uniform(-1.5, 1.5, 2)
    canvas = np.full((EDGE, EDGE, 3), _WHITE, np.float32)
    if looks.top:
        # The crown takes its room from the fruit.
        room = np.float32(0.8 if looks.top == "crown" else 0.92)
        half_height, half_width = half_height * room, half_width * room
        up = np.array((np.sin(turn), -np.cos(turn)))
        centre = centre - up * (1 - float(room)) * EDGE * 0.4
        _draw_top(canvas, looks.top, centre + up * 0.93 * float(half_height), turn, rng)

    rows, columns = np.indices((EDGE, EDGE), np.float32)
    rows, columns = rows - np.float32(centre[1]), columns - np.float32(centre[0])
    sine, cosine = np.float32(np.sin(turn)), np.float32(np.cos(turn))
    down = (cosine * rows - sine * columns) / half_height
    across = (cosine * columns + sine * rows) / (half_width * (1 + np.float32(looks.taper) * np.clip(down, -1, 1)))
    radius = np.sqrt(across**2 + abs(down) ** np.float32(looks.tip))
    cover = np.clip((1 - radius) * half_width + np.float32(0.5), 0, 1)[..., None]
    depth = np.sqrt(np.clip(1 - radius**2, 0, 1))

    paint = _wrapped(skin, across, down, depth, upright=looks.upright, rng=rng)
    light = _light(across, down, depth, turn, looks.gloss, rng)
    paint = paint * light[0][..., None] + light[1][..., None]
    shaded: Plane = canvas + (np.clip(paint, 0, _WHITE) - canvas) * cover
    return shaded


def _wrapped(
    skin: NDArray[np.uint8],
    across: Plane,
    down: Plane,
    depth: Plane,
    *,
    upright: bool,
    rng: np.random.Generator,
) -> Plane:
    """The skin round the body: each pixel's place on the globe is its place on the skin."""
    if upright:
        # Longitude and latitude, the upper pole nodding to or from the viewer.
        nod = rng.uniform(-0.35, 0.35)
        sine, cosine = np.float32(np.sin(nod)), np.float32(np.cos(nod))
        down, depth = cosine * down - sine * depth, sine * down + cosine * depth
        x, y = np.arctan2(across, depth), np.arcsin(np.clip(down, -1, 1))
    else:
        ring = np.hypot(across, down)
        stretch = np.arctan2(ring, depth) / np.maximum(ring, np.float32(1e-6))
        x, y = across * stretch, down * stretch
    margin = _GLOBE * (np.pi if upright else np.pi / 2)
    left = rng.uniform(margin, SURFACE - 1 - margin)
    top = rng.uniform(_GLOBE * np.pi / 2, SURFACE - 1 - _GLOBE * np.pi / 2)
    x, y = x * np.float32(_GLOBE) + np.float32(left), y * np.float32(_GLOBE) + np.float32(top)
    wrapped = cv2.remap(skin, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(wrapped, np.float32)


def _light(
    across: Plane,
    down: Plane,
    depth: Plane,
    turn: float,
    gloss: float,
    rng: np.random.Generator,
) -> tuple[Plane, Plane]:
    """What the paint is multiplied by, and what the highlight adds; the lamp stays above while the fruit is turned."""
    side, height = rng.uniform(-0.45, 0.15), rng.uniform(-0.6, -0.3)
    lamp = np.array((side * np.cos(turn) + height * np.sin(turn), height * np.cos(turn) - side * np.sin(turn), 0.8))
    lamp = (lamp / np.linalg.norm(lamp)).astype(np.float32)
    facing = np.clip(across * lamp[0] + down * lamp[1] + depth * lamp[2], 0, 1)
    # Halfway between the lamp and the viewer (Blinn, 1977).
    half = lamp + np.array((0, 0, 1), np.float32)
    half /= np.float32(np.linalg.norm(half))
    shine = np.clip(across * half[0] + down * half[1] + depth * half[2], 0, 1) ** 40
    strength = np.float32(rng.uniform(0.88, 1.08))
    return strength * (np.float32(0.5) + np.float32(0.55) * facing), np.float32(_WHITE * gloss) * shine


def _draw_top(canvas: Plane, top: Top, place: NDArray[np.float64], turn: float, rng: np.random.Generator) -> None:
    """A stem, or leaves, round `place`; drawn before the fruit, which covers their lower ends."""
    blades = {"stem": 1, "leaves": 5, "crown": 7}[top]
    length, width = {"stem": (13, 3), "leaves": (13, 5), "crown": (25, 5)}[top]
    spread = {"stem": 0.3, "leaves": 1.25, "crown": 0.75}[top]
    colour = (36, 62, 92) if top == "stem" else (52, 120, 60)
    for lean in np.linspace(-spread, spread, blades) if blades > 1 else [rng.uniform(-spread, spread)]:
        angle = turn + lean + rng.uniform(-0.12, 0.12)
        along = np.array((np.sin(angle), -np.cos(angle)))
        aside = np.array((along[1], -along[0])) * width / 2
        end = place + along * length * (1 - 0.25 * abs(lean))
        tip = aside if top == "stem" else aside * 0.1
        outline = np.array((place - along * 6 - aside, place - along * 6 + aside, end + tip, end - tip))
        shade = rng.uniform(0.75, 1.2)
        # Four fractional bits, so that a blade turns smoothly.
        cv2.fillConvexPoly(
            canvas, np.rint(outline * 16).astype(np.int32), [shade * value for value in colour], cv2.LINE_AA, 4
        )
