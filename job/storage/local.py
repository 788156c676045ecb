"""Folders of this machine (or of a volume mounted on every one)."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from job.errors import UserError
from job.storage.types import IMAGE_SUFFIXES, LISTING, Fault

_LISTING_THREADS = 8

# An error of one file. Anything else (too many open files, a dead mount, no memory) is no property of a picture.
_ONE_FILE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG,
    errno.EILSEQ, errno.EBADMSG,
}  # fmt: skip


def list_images(root: str, prefix: str) -> pa.Table:
    """See `job.storage.list_images`. Symbolic links are followed, a cycle of them once."""
    top = f"{root}/{prefix}" if prefix else root
    try:
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
    except FileNotFoundError:
        return LISTING.empty_table()
    except OSError as error:
        raise _unreadable_folder(top, error) from error
    start = f"{prefix}/" if prefix else ""
    folders = [entry for entry in entries if entry.is_dir() and not _leads_up(entry, top)]
    own = _Names()
    for entry in entries:
        if not entry.is_dir():
            own.add(entry, start)
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        tables = list(pool.map(lambda entry: _walk(entry.path, f"{start}{entry.name}/"), folders))
    return pa.concat_tables([own.table(), *tables])


def list_folders(root: str, prefix: str) -> list[str]:
    """Names of the folders directly under `root/prefix`, sorted; none if it does not exist."""
    top = f"{root}/{prefix}" if prefix else root
    try:
        with os.scandir(top) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable_folder(top, error) from error


def read_many(root: str, names: Sequence[str], max_bytes: int) -> Iterator[bytes | Fault]:
    """See `job.storage.read_many`. One at a time: a thread would cost more than the read."""
    for name in names:
        yield read_one(f"{root}/{name}", max_bytes)


def read_one(path: str, max_bytes: int) -> bytes | Fault:
    """The content of the file, its size looked at before it is read."""
    try:
        # O_NONBLOCK: opening a pipe that is called .jpg must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Fault("unreadable")
            if status.st_size > max_bytes:
                return Fault("too_large")
            data = _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _ONE_FILE:
            return Fault("unreadable")
        raise UserError(f"Reading '{path}' failed: {error.strerror or error}.") from error
    return data or Fault("empty")


def write_bytes(uri: str, data: bytes) -> None:
    """Writes beside the target and renames, so that nobody sees half a file."""
    path = Path(uri)
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"'{path}' can't be written: {error.strerror or error}.") from error


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    if len(data) >= size:
        return data
    parts = [data]
    left = size - len(data)
    while left > 0 and (data := os.read(descriptor, left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


class _Names:
    """Names and sizes of one folder tree, on their way into Arrow."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sizes: list[int] = []
        self.full: list[pa.Table] = []

    def add(self, entry: os.DirEntry[str], start: str) -> None:
        if not entry.name.lower().endswith(IMAGE_SUFFIXES):
            return
        try:
            size = entry.stat().st_size
        except OSError:  # a dangling link, or gone by now: listed all the same, so that it is counted as unreadable
            size = 0
        self.names.append(start + entry.name)
        self.sizes.append(size)
        if len(self.names) >= 65_536:
            self._flush()

    def _flush(self) -> None:
        try:
            self.full.append(pa.table([self.names, self.sizes], schema=LISTING))
        except UnicodeEncodeError as error:
            raise UserError(f"The file name {error.object!r} is no valid UTF-8: rename the file.") from error
        self.names, self.sizes = [], []

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self.full)


def _walk(folder: str, start: str) -> pa.Table:
    found = _Names()
    waiting = [(folder, start)]
    while waiting:
        folder, start = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.is_dir():
                        found.add(entry, start)
                        continue
                    if _leads_up(entry, folder):
                        continue
                    waiting.append((entry.path, f"{start}{entry.name}/"))
        except OSError as error:
            raise _unreadable_folder(folder, error) from error
    return found.table()


def _leads_up(entry: os.DirEntry[str], folder: str) -> bool:
    """Whether the entry is a link to a folder that it lies in, directly or through other links: a cycle."""
    if not entry.is_symlink():
        return False
    return (os.path.realpath(folder) + os.sep).startswith(os.path.realpath(entry.path) + os.sep)


def _unreadable_folder(folder: str, error: OSError) -> UserError:
    return UserError(f"The folder '{folder}' can't be read: {error.strerror or error}.")
