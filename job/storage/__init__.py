"""The store: list, read many, write whole. Folders of this machine and S3 are used alike, without Spark.

An address (`uri`) is `s3://bucket/prefix` (or `s3a://`), `file:///path`, `file:/path` or a plain path. Errors that a
user can do something about are raised as `job.errors.UserError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from job.storage.backend import backend
from job.storage.config import Credentials, S3Config, s3_config
from job.storage.names import PassedOver, is_sorted
from job.storage.runfolder import RunFolder, StoredFile, stored_file
from job.storage.types import IMAGE_SUFFIXES, INDEX, LISTING, Fault
from job.storage.uris import is_remote, join, normalise

__all__ = [
    "IMAGE_SUFFIXES",
    "INDEX",
    "LISTING",
    "Credentials",
    "Fault",
    "PassedOver",
    "RunFolder",
    "S3Config",
    "StoredFile",
    "blocks_of",
    "check",
    "check_writable",
    "create",
    "data_root",
    "delete",
    "exists",
    "files",
    "is_packed",
    "is_remote",
    "join",
    "list_folders",
    "list_images",
    "make_folder",
    "modified",
    "normalise",
    "put_file",
    "read_bytes",
    "read_columns",
    "read_many",
    "s3_config",
    "stored_file",
    "write_bytes",
]


def check(uri: str) -> None:
    """Whether what is below `uri` can be listed: raises UserError within 15 s if not, in one sentence with the way out.

    An S3 prefix without keys passes, as an empty folder does; a folder that is not there does not.
    """
    root = normalise(uri)
    backend(root).check(root)


def list_images(
    uri: str, prefix: str = "", folders: Collection[str] = (), passed_over: PassedOver | None = None
) -> pa.Table:
    """The pictures below `uri/prefix`, at any depth: names that end in one of `IMAGE_SUFFIXES`, in any case.

    Hidden files, and those in hidden folders below `uri/prefix`, are left out (`job.storage.names`); they and other
    files are counted in `passed_over`. With `folders`, names in the form NFC, pictures that lie in folders of other
    names may be left out too, where that saves time.

    Returns a table of schema `LISTING`, sorted by name; names are relative to `uri` (they start with `prefix`).
    It is empty when nothing is there. The listing stays in Arrow: about 60 bytes a picture.

    Raises UserError when the store or a folder can't be read.
    """
    root = normalise(uri)
    table = _pictures(root).list_images(root, prefix.strip("/"), folders, passed_over)
    # Most listings come sorted, and to sort is to copy.
    return table if is_sorted(table["name"]) else table.sort_by("name")


def list_folders(uri: str, prefix: str = "") -> list[str]:
    """Names of the folders directly below `uri/prefix` that are not hidden, sorted; none when it does not exist."""
    root = normalise(uri)
    return _pictures(root).list_folders(root, prefix.strip("/"))


def check_writable(uri: str) -> None:
    """Raises UserError where nothing can be written below `uri`; leaves nothing behind."""
    root = normalise(uri)
    backend(root).probe(root)


def files(uri: str) -> dict[str, int]:
    """Names and sizes of the files directly below `uri` that are not hidden; none when it does not exist."""
    root = normalise(uri)
    return backend(root).files(root)


def exists(uri: str) -> bool:
    """Whether there is a file, an object or something below that address."""
    root = normalise(uri)
    return backend(root).exists(root)


def modified(uri: str) -> float | None:
    """When a file was last written, in seconds since 1970; None when it is not there.

    Raises UserError when the store does not work.
    """
    uri = normalise(uri)
    return backend(uri).modified(uri)


def read_many(root: str, names: Sequence[str], *, max_bytes: int, in_flight: int = 96) -> Iterator[bytes | Fault]:
    """The contents of `root/name` for each of `names`, in their order.

    A file of 0 bytes gives `Fault("empty")`, one of more than `max_bytes` `Fault("too_large")` without being read, and
    one that has vanished or may not be read `Fault("unreadable")`. In S3 up to `in_flight` objects are on their way
    while the caller works on those that have arrived.

    Raises UserError when the store as a whole does not work (after retries), rather than a fault for each picture.
    """
    root = normalise(root)
    return _pictures(root).read_many(root, names, max_bytes, in_flight)


def read_bytes(uri: str) -> bytes:
    """The content of one file. Raises UserError when it is not there or can't be read."""
    uri = normalise(uri)
    return backend(uri).read_bytes(uri)


def read_columns(uri: str, size: int, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file of `size` bytes, those of them that it has; no more of it is read.

    Raises pyarrow.ArrowInvalid or OSError for what is no Parquet file, UserError when the store does not work.
    """
    from pyarrow import parquet

    from job.storage.ranges import arrow_file

    file = parquet.ParquetFile(arrow_file(normalise(uri), size), pre_buffer=True, page_checksum_verification=True)
    return file.read(columns=list(columns), use_threads=False)


def delete(uri: str) -> None:
    """Removes one file. Raises UserError when that does not work."""
    uri = normalise(uri)
    backend(uri).delete(uri)


def write_bytes(uri: str, data: bytes, *, public_read: bool = False) -> None:
    """Writes one file, all of it or nothing; folders are made as needed. Raises UserError when it can't be written.

    With `public_read` everybody may read an object in S3; a file of this machine keeps the user's usual rights.
    """
    uri = normalise(uri)
    backend(uri).write_bytes(uri, data, public_read=public_read)


def create(uri: str, data: bytes) -> bool:
    """Writes one file that must not be there yet; False if it is. Of two at the same time, one succeeds.

    Raises UserError when it can't be written. It may have been written all the same: an answer can get lost.
    """
    uri = normalise(uri)
    return backend(uri).create(uri, data)


def put_file(uri: str, file: Path) -> None:
    """Writes a file of this machine to an address, all of it or nothing. Raises UserError when it can't be written."""
    uri = normalise(uri)
    backend(uri).put_file(uri, file)


def make_folder(uri: str) -> None:
    """Makes a folder, such as Spark needs for its event logs; in S3, the empty object that stands for one."""
    uri = normalise(uri)
    backend(uri).make_folder(uri)


def data_root(uri: str) -> str:
    """The address to list and read pictures with: `uri` itself, or the index in it when the pictures are packed.

    The listing and the names of packed pictures are those of the folders that they were packed from.
    """
    root = normalise(uri)
    packed = join(root, INDEX)
    return packed if backend(root).exists(packed) else root


def is_packed(root: str) -> bool:
    """Whether a `data_root` is one of packed pictures."""
    return root.endswith(f"/{INDEX}")


def blocks_of(root: str, names: pa.ChunkedArray) -> pa.Array | None:
    """For packed pictures the number of the block that holds each name: int32, of the same length. None for others.

    A block is read as a whole (about 1 MB, some 200 pictures): a task that takes whole blocks, names in their order,
    reads each byte once.
    """
    from job.storage import packed

    return packed.block_of(normalise(root), names) if is_packed(root) else None


class _Pictures(Protocol):
    def list_images(
        self, uri: str, prefix: str, folders: Collection[str] = (), passed_over: PassedOver | None = None, /
    ) -> pa.Table: ...
    def list_folders(self, uri: str, prefix: str, /) -> list[str]: ...
    def read_many(
        self, uri: str, names: Sequence[str], max_bytes: int, in_flight: int, /
    ) -> Iterator[bytes | Fault]: ...


def _pictures(root: str) -> _Pictures:
    if is_packed(root):
        from job.storage import packed

        return packed
    return backend(root)
