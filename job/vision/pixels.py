"""Untrusted bytes become pixels, or a reason why not."""

import re
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision import MAX_PIXELS
from job.vision.complaints import heard

Reason = Literal["empty", "too_large", "not_an_image", "not_supported", "truncated", "damaged"]
REASONS: tuple[Reason, ...] = get_args(Reason)

MAX_BYTES = 64 * 2**20
# What is described: SIFT takes 0.4 s and 280 MB at 1 megapixel, 4.7 s and 2.75 GB at 12.
WORKING_PIXELS = 1 << 20

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# GIF, BMP with its header's usual sizes, TIFF of both byte orders; WebP; HEIF and AVIF.
_OTHERS = re.compile(
    rb"GIF8[79]a|BM.{4}\0{4}.{4}[\x0c\x28\x40\x6c\x7c]\0\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP|"
    rb".{4}ftyp(hei|hev|mif1|msf1|avi[fs])",
    re.DOTALL,
)
# What libjpeg says where it makes up for data that can't be. What it says of bytes that it skips, or of headers that
# contradict each other, does no harm; and damage that leaves data which can be is met by nobody.
_DAMAGE = re.compile(
    rb"premature end of data segment|Premature end of JPEG file|bad Huffman code|bad arithmetic code|instead of RST"
    rb"|Inconsistent progression sequence"
)
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
# SOF0 to SOF15; C4, C8 and CC in between are tables and an extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# OpenCV's code of an allocation that failed.
_NO_MEMORY = -4
# Bytes for each pixel that decoders may take.
_DECODERS_BYTES = 10
# Markers without a length after them: TEM, RST0 to RST7, a second SOI.
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


class Unusable(Exception):  # noqa: N818  # it is an outcome that is counted, not a fault of the program
    """The bytes give no picture; `reason` is one of `REASONS`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def decode(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Grey picture, uint8 of shape (height, width), from the bytes of a JPEG or PNG, whatever the file is called.

    One of more than a megapixel is shrunk to that.

    Raises
    ------
    Unusable
        `empty`: no bytes. `too_large`: over `max_bytes`, or its header promises over `max_pixels`.
        `not_supported`: a picture of another kind, such as WebP or GIF. `not_an_image`: none at all, or damaged.
        `truncated`: the end is missing. `damaged`: the decoder met data inside that can't be (`_DAMAGE`).

    """
    return _decode(data, cv2.IMREAD_GRAYSCALE, max_bytes, max_pixels)


def decode_colour(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The same in colour: uint8 of shape (height, width, 3), blue first. Raises as `decode` does."""
    return _decode(data, cv2.IMREAD_COLOR, max_bytes, max_pixels)


def _decode(data: bytes, mode: int, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    check(data, max_bytes, max_pixels)
    return read(data, mode)


def check(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> None:
    """Raise `Unusable`, as `decode` does, for what the size, the header and the end of the file say."""
    if not data:
        raise Unusable("empty")
    if len(data) > max_bytes:
        raise Unusable("too_large")
    # OpenCV releases differ in what they make of a file that is cut off: None, or a picture with a grey lower half.
    # So the end is looked for before they see it.
    if data.startswith(_JPEG):
        pixels, complete = _inspect_jpeg(data)
    elif data.startswith(_PNG):
        pixels, end = _inspect_png(data)
        complete = bool(end)
    elif _OTHERS.match(data):
        raise Unusable("not_supported")
    else:
        cut = len(data) < len(_PNG) and (_JPEG.startswith(data) or _PNG.startswith(data))
        raise Unusable("truncated" if cut else "not_an_image")
    if pixels > max_pixels:
        raise Unusable("too_large")
    if not complete:
        raise Unusable("truncated")


def read(data: bytes, mode: int) -> NDArray[np.uint8]:
    """Pixels of a file that `check` has passed, shrunk to a megapixel; `mode` is one of OpenCV's IMREAD flags.

    Raises `Unusable` when the file is damaged inside, or larger than a limit from the environment. Raises MemoryError
    when there is no memory to decode it, which says nothing of the picture.
    """
    # OpenCV reads on behind the end of a PNG, and makes room for whatever length a chunk there claims to have.
    end = _inspect_png(data)[1] if data.startswith(_PNG) else len(data)
    try:
        found: tuple[Any, bytes] = heard(lambda: cv2.imdecode(np.frombuffer(data, np.uint8, end), mode))
    except cv2.error as error:
        if error.code == _NO_MEMORY:
            raise MemoryError("There is no memory left to decode a picture.") from error
        # A lower limit than ours, from the environment.
        limit = "CV_IO_MAX_IMAGE" in str(error)
        raise Unusable("too_large" if limit else "not_an_image") from error
    decoded, said = found
    if decoded is None:
        _check_room(data)
        raise Unusable("not_an_image")
    if _DAMAGE.search(said):
        raise Unusable("damaged")
    picture: NDArray[np.uint8] = decoded
    return within(picture, WORKING_PIXELS)


def _check_room(data: bytes) -> None:
    """Raises MemoryError where a decoder that gave up may have done so for lack of memory: it does not say.

    That of a progressive JPEG takes most: two bytes for each value beside the picture itself.
    """
    pixels, _ = _inspect_jpeg(data) if data.startswith(_JPEG) else _inspect_png(data)
    np.empty(_DECODERS_BYTES * pixels, np.uint8)


def within(picture: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """The picture, shrunk to `most` pixels where it has more; its proportions stay."""
    height, width = picture.shape[:2]
    if height * width <= most:
        return picture
    factor = (most / (height * width)) ** 0.5
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _inspect_jpeg(data: bytes) -> tuple[int, bool]:
    """Width x height in the header (0 if there is none) and whether the end-of-image marker is there.

    The marker is looked for after the first scan's header, since a thumbnail in the EXIF data has one of its own;
    within a scan it can't occur by chance. What follows it (padding, a video, a second picture) is allowed.
    """
    pixels, place = 0, 2
    while 0 <= (place := data.find(b"\xff", place)) < len(data) - 3:
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == 0x00 or marker in _BARE:
            place += 2
            continue
        if marker in _FRAMES and place + 9 <= len(data):
            height, width = data[place + 5 : place + 7], data[place + 7 : place + 9]
            pixels = int.from_bytes(height) * int.from_bytes(width)
        length = int.from_bytes(data[place + 2 : place + 4])
        place += 2 + length
        if marker == _START_OF_SCAN:
            return pixels, data.find(_END_OF_IMAGE, place) >= 0
    return pixels, False


def _inspect_png(data: bytes) -> tuple[int, int]:
    """Width x height in the header (0 if there is none), and where the IEND chunk ends (0 if there is none)."""
    pixels = int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) if data[12:16] == b"IHDR" else 0
    place = len(_PNG)
    while place + 12 <= len(data):
        kind, length = data[place + 4 : place + 8], int.from_bytes(data[place : place + 4])
        place += 12 + length
        if kind == b"IEND":
            return pixels, 0 if length else place
    return pixels, 0
