"""Which store an address belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from job.storage.names import PassedOver
from job.storage.types import Fault
from job.storage.uris import is_remote


class Backend(Protocol):
    """What `job.storage.local` and `job.storage.s3` both offer.

    Addresses are normalised already. Every function raises UserError, with a sentence for the user, when the store
    refuses or does not work.
    """

    def check(self, uri: str, /) -> None:
        """Returns if what is below `uri` can be listed."""

    def list_images(
        self, uri: str, prefix: str, folders: Collection[str] = (), passed_over: PassedOver | None = None, /
    ) -> pa.Table:
        """The pictures below `uri/prefix`: a table of schema `LISTING`, in any order, with names relative to `uri`.

        With `folders`, those in folders of other names may be left out. Other files are counted in `passed_over`.
        """

    def list_folders(self, uri: str, prefix: str, /) -> list[str]:
        """Names of the folders directly below `uri/prefix` that are not hidden, sorted."""

    def read_many(self, uri: str, names: Sequence[str], max_bytes: int, in_flight: int, /) -> Iterator[bytes | Fault]:
        """The contents of `uri/name` for each of `names`, in their order; see `job.storage.read_many`."""

    def exists(self, uri: str, /) -> bool:
        """Whether there is a file or object of this address, or something below it."""

    def modified(self, uri: str, /) -> float | None:
        """When one file or object was last written, in seconds since 1970; None if it is not there."""

    def read_bytes(self, uri: str, /) -> bytes:
        """The content of one file or object."""

    def write_bytes(self, uri: str, data: bytes, /, *, public_read: bool = False) -> None:
        """Writes one file or object, all of it or nothing. With `public_read` everybody may read an object."""

    def put_file(self, uri: str, file: Path, /) -> None:
        """Writes the content of a file of this machine, all of it or nothing."""

    def create(self, uri: str, data: bytes, /) -> bool:
        """Writes a file or object that must not exist yet; False if it does. Of two at the same time, one succeeds."""

    def make_folder(self, uri: str, /) -> None:
        """Makes a folder, or the empty object that stands for one."""

    def delete(self, uri: str, /) -> None:
        """Removes one file or object."""

    def delete_folder(self, uri: str, /) -> None:
        """Removes everything below `uri`; nothing happens where nothing is there."""

    def files(self, uri: str, /) -> dict[str, int]:
        """Names and sizes of the files or objects directly below `uri`, the hidden ones left out."""

    def walk(self, uri: str, /) -> Iterator[str]:
        """Names of all files or objects below `uri`, relative to it, in any order."""

    def digest(self, uri: str, /) -> tuple[int, str]:
        """Size in bytes and SHA-256, in hexadecimal, of one file or object."""

    def probe(self, uri: str, /) -> None:
        """Writes and removes a file or object below `uri`, and leaves nothing behind."""


def backend(uri: str) -> Backend:
    """The store of a normalised address. The object store's clients are loaded when the first address needs them."""
    if is_remote(uri):
        from job.storage import s3

        return s3
    from job.storage import local

    return local
