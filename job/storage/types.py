"""What every store speaks in."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif",
)  # fmt: skip
"""Ends of the names of pictures, in lower case. JPEG and PNG are read; the others are listed so that they are counted
and told (`not_supported`), and a category of them does not vanish without a word."""

LISTING = pa.schema([("name", pa.string()), ("size", pa.int64()), ("changed", pa.int64()), ("version", pa.int64())])
"""A listing: `name` is the key relative to the root, with forward slashes; `size` is in bytes; `changed` is the time of
the last change, in a unit of the store's own; `version` is another number once the content has changed, as far as the
store knows (from the time of the last change, and from the ETag where there is one)."""

INDEX = "_pack.json"
"""The file that makes a folder one of packed pictures, see `job.storage.packed`."""


class Fault(NamedTuple):
    """Why a picture could not be read: `empty`, `too_large` or `unreadable`."""

    reason: str
