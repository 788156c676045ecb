"""The store: list, read many, write whole. Folders of this machine and S3 alike; no Spark in here.

An address (`uri`) is `s3://bucket/prefix` (or `s3a://`), `file:///path` or a plain path. Faults that a user can do
something about are raised as `job.errors.UserError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from job.errors import UserError
from job.storage import local
from job.storage.runfolder import RunFolder
from job.storage.types import IMAGE_SUFFIXES, LISTING, Fault
from job.storage.uris import is_remote, join, normalise

__all__ = [
    "IMAGE_SUFFIXES",
    "LISTING",
    "Fault",
    "RunFolder",
    "exists",
    "is_remote",
    "join",
    "list_folders",
    "list_images",
    "normalise",
    "read_bytes",
    "read_many",
    "write_bytes",
]


def list_images(uri: str, prefix: str = "") -> pa.Table:
    """The pictures below `uri/prefix`, at any depth: names that end in .jpg, .jpeg or .png, in any case.

    Returns a table of schema `LISTING`, sorted by name; names are relative to `uri` (they start with `prefix`).
    It is empty when nothing is there. The listing stays in Arrow: about 60 bytes a picture.

    Raises UserError when the store or a folder can't be read.
    """
    root, prefix = normalise(uri), prefix.strip("/")
    table = local.list_images(root, prefix)
    return table.combine_chunks().sort_by("name")


def list_folders(uri: str, prefix: str = "") -> list[str]:
    """Names of the folders directly below `uri/prefix`, sorted; none when it does not exist."""
    root, prefix = normalise(uri), prefix.strip("/")
    return local.list_folders(root, prefix)


def exists(uri: str) -> bool:
    """Whether there is a file, an object or something below that address."""
    return Path(normalise(uri)).exists()


def read_many(root: str, names: Sequence[str], *, max_bytes: int, in_flight: int = 64) -> Iterator[bytes | Fault]:
    """The contents of `root/name` for each of `names`, in their order.

    A file of 0 bytes gives `Fault("empty")`, one of more than `max_bytes` `Fault("too_large")` without being read, and
    one that has vanished or may not be read `Fault("unreadable")`. In S3 up to `in_flight` objects are on their way.

    Raises UserError when the store as a whole does not work (after retries), rather than a fault for each picture.
    """
    return local.read_many(normalise(root), names, max_bytes)


def read_bytes(uri: str) -> bytes:
    """The content of one file. Raises UserError when it is not there or can't be read."""
    path = normalise(uri)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' can't be read: {error.strerror or error}.") from error


def write_bytes(uri: str, data: bytes) -> None:
    """Writes one file, all of it or nothing; folders are made as needed. Raises UserError when it can't be written."""
    local.write_bytes(normalise(uri), data)
