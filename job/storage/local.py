"""Folders of this machine (or of a volume mounted on every one)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from job.errors import UserError
from job.storage.names import HIDDEN, PassedOver, is_hidden, is_picture, kind_of
from job.storage.types import LISTING, Fault

_LISTING_THREADS = 8

# Errors that concern one file. All others (too many open files, a dead mount, no memory) are no property of a picture.
_ONE_FILE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG,
    errno.EILSEQ, errno.EBADMSG,
}  # fmt: skip

# What file systems without hard links say.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def list_images(
    root: str, prefix: str, folders: Collection[str] = (), passed_over: PassedOver | None = None
) -> pa.Table:
    """See `job.storage.list_images`. Symbolic links are followed as `tree` says.

    To ask for size and time of a file takes far longer than to find its name.
    """
    top = f"{root}/{prefix}" if prefix else root
    start = f"{prefix}/" if prefix else ""
    if not Path(top).exists():
        return LISTING.empty_table()
    passed_over = passed_over or PassedOver()
    files, inside = _open(top, _top(top), passed_over)
    own = _Names(passed_over)
    if not folders:
        own.add(files, start)

    def below(folder: _Folder) -> pa.Table:
        found = _Names(passed_over)
        for path, files in _walk(top, folder, passed_over):
            if not folders or unicodedata.normalize("NFC", path.rstrip("/").rpartition("/")[2]) in folders:
                found.add(files, f"{start}{path}")
        return found.table()

    # The pictures of one folder after another, each sorted, are sorted as a whole.
    inside.sort(key=lambda folder: os.fsencode(folder.path))
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        tables = list(pool.map(below, inside))
    return pa.concat_tables([own.table(), *tables])


def tree(top: str) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder from `top` down: its path relative to it, ending in a slash (`""` for `top`), and the files in it.

    Links to folders are followed, so that a folder may be met under several names. A link to a folder that it lies in,
    directly or through other links, is not: that is a cycle. Below a link, further links are followed once to each
    folder: links among n folders give at most n entries for each link outside of them, and not 2^n.

    Raises UserError when a folder can't be read.
    """
    return _walk(top, _top(top))


def list_folders(root: str, prefix: str) -> list[str]:
    """Names of the folders directly under `root/prefix` that are not hidden, sorted; none if it does not exist."""
    top = f"{root}/{prefix}" if prefix else root
    try:
        with os.scandir(top) as entries:
            return sorted(entry.name for entry in entries if not is_hidden(entry.name) and _is_folder(entry))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failed(top, "read", error) from error


def read_many(root: str, names: Sequence[str], max_bytes: int, in_flight: int) -> Iterator[bytes | Fault]:
    """See `job.storage.read_many`. Files are read one at a time: to hand one to a thread would take longer."""
    del in_flight
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
        raise failed(path, "read", error) from error
    return data or Fault("empty")


def check(path: str) -> None:
    """Raises UserError if there is no folder or file at `path`, or it can't be read."""
    try:
        if Path(path).is_dir():
            with os.scandir(path) as entries:
                next(entries, None)
        else:
            with Path(path).open("rb"):
                pass
    except FileNotFoundError as error:
        raise UserError(f"'{path}' is not there: check the address.") from error
    except OSError as error:
        raise failed(path, "read", error) from error


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    return Path(path).exists()


def modified(path: str) -> float | None:
    """Seconds since 1970 at which the file was last written; None if it is not there."""
    try:
        return Path(path).stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise failed(path, "read", error) from error


def read_bytes(path: str) -> bytes:
    """The content of one file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise failed(path, "read", error) from error


def write_bytes(path: str, data: bytes, *, public_read: bool = False) -> None:
    """Writes beside the target and renames, so that nobody sees half a file."""
    del public_read  # the user's umask says who may read
    target = Path(path)
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise failed(path, "written", error) from error


def put_file(path: str, file: Path) -> None:
    """Copies a file beside the target and renames it."""
    target = Path(path)
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise failed(path, "written", error) from error


def create(path: str, data: bytes) -> bool:
    """Writes a file that must not exist yet; False if it does. Of two at the same time, one succeeds.

    Nobody sees half a file where the file system has hard links.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            return _linked(temporary, target, data)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise failed(path, "written", error) from error


def _linked(file: Path, target: Path, data: bytes) -> bool:
    """Gives a file its second name, or a copy of its content where it can have only one; False if that is taken."""
    try:
        target.hardlink_to(file)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            with target.open("xb") as copy:
                copy.write(data)
        except FileExistsError:
            return False
    return True


def make_folder(path: str) -> None:
    """Makes the folder and those above it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failed(path, "written", error) from error


def delete(path: str) -> None:
    """Removes one file."""
    try:
        Path(path).unlink()
    except OSError as error:
        raise failed(path, "deleted", error) from error


def delete_folder(path: str) -> None:
    """Removes a folder and everything below it."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise failed(path, "deleted", error) from error


def files(path: str) -> dict[str, int]:
    """Names and sizes of the files directly in a folder that are not hidden; none if it does not exist."""
    try:
        with os.scandir(path) as entries:
            return {
                entry.name: entry.stat().st_size for entry in entries if not is_hidden(entry.name) and entry.is_file()
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise failed(path, "read", error) from error


def walk(path: str) -> Iterator[str]:
    """Files below the folder, relative to it, with forward slashes."""
    for file in Path(path).rglob("*"):
        if file.is_file():
            yield file.relative_to(path).as_posix()


def digest(path: str) -> tuple[int, str]:
    """(bytes, SHA-256) of one file."""
    try:
        with Path(path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), found
    except OSError as error:
        raise failed(path, "read", error) from error


def probe(path: str) -> None:
    """Makes and removes a file in the folder, and the folders that it took; raises UserError if that does not work."""
    folder = Path(path)
    file = folder / f".probe-{secrets.token_hex(6)}"
    made: list[Path] = []
    try:
        missing = [above for above in (folder, *folder.parents) if not above.exists()]
        for above in reversed(missing):
            above.mkdir(exist_ok=True)
            made.append(above)
        file.touch(exist_ok=False)
        file.unlink()
    except OSError as error:
        raise failed(path, "written", error) from error
    finally:
        with contextlib.suppress(OSError):  # another run has put something into the folder by now
            for above in reversed(made):
                above.rmdir()


def failed(path: str, done: str, error: OSError) -> UserError:
    """The error of one path as a sentence for the user."""
    return UserError(f"'{path}' can't be {done}: {error.strerror or error}.")


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
    """Collects names, sizes and times of one folder tree, and turns them into Arrow tables as they come."""

    def __init__(self, passed_over: PassedOver) -> None:
        self.names: list[str] = []
        self.sizes: list[int] = []
        self.changed: list[int] = []
        self.full: list[pa.Table] = []
        self._passed_over = passed_over

    def add(self, files: list[os.DirEntry[str]], start: str) -> None:
        self._passed_over.add(kind_of(entry.name) for entry in files if not is_picture(entry.name))
        for entry in files:
            if not is_picture(entry.name):
                continue
            try:
                status = entry.stat()
                size, changed = status.st_size, status.st_mtime_ns
            except OSError:  # A dangling link, or gone by now: it is listed all the same and counted as unreadable.
                size = changed = 0
            self.names.append(start + entry.name)
            self.sizes.append(size)
            self.changed.append(changed)
            if len(self.names) >= 65_536:
                self._flush()

    def _flush(self) -> None:
        try:
            encoded = [name.encode() for name in self.names]
        except UnicodeEncodeError:
            encoded = [_utf8(name).encode() for name in self.names]
        # From buffers, since `pa.array` imports pandas, which a command that lists a folder does not wait for.
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        names = pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
        numbers = [
            pa.Int64Array.from_buffers(pa.int64(), len(encoded), [None, pa.py_buffer(np.array(column, np.int64))])
            for column in (self.sizes, self.changed)
        ]
        self.full.append(pa.table([names, *numbers, numbers[-1]], schema=LISTING))
        self.names, self.sizes, self.changed = [], [], []

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self.full).sort_by("name")


def _utf8(name: str) -> str:
    r"""The name as text. Bytes of it that are no UTF-8 become `\xff`: there is no file of such a name, so that the
    picture is counted as one that can't be read."""
    return os.fsencode(name).decode(errors="backslashreplace")


@dataclass(frozen=True)
class _Folder:
    """A folder to open: its path below the top, ending in a slash, and how it is reached."""

    path: str
    identity: tuple[int, int]
    """Device and inode number."""
    way: frozenset[tuple[int, int]]
    """Identities of the folders that it lies in and its own; those above the target of a link are added on opening."""
    linked: set[tuple[int, int]] | None
    """Identities of the folders that links below the first link of `path` have led to; None if `path` has no link."""
    is_link: bool = False


def _top(top: str) -> _Folder:
    try:
        return _Folder("", _identity(Path(top).stat()), _real_way(top), None)
    except OSError as error:
        raise failed(top, "read", error) from error


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _real_way(path: str) -> frozenset[tuple[int, int]]:
    """Identities of a folder and of all above it that can be looked at, links in its path resolved."""
    found = set()
    real = Path(path).resolve()
    for above in (real, *real.parents):
        with contextlib.suppress(OSError):
            found.add(_identity(above.stat()))
    return frozenset(found)


def _walk(
    top: str, first: _Folder, passed_over: PassedOver | None = None
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """See `tree`; from a folder below `top`. With `passed_over`, hidden files and folders are left out and counted."""
    waiting = [first]
    while waiting:
        folder = waiting.pop()
        if folder.is_link and folder.linked is not None:
            if folder.identity in folder.linked:
                continue
            folder.linked.add(folder.identity)
        if folder.is_link:
            folder = replace(folder, way=folder.way | _real_way(f"{top}/{folder.path}"))
        files, below = _open(top, folder, passed_over)
        waiting += reversed(below)
        yield folder.path, files


def _open(
    top: str, folder: _Folder, passed_over: PassedOver | None = None
) -> tuple[list[os.DirEntry[str]], list[_Folder]]:
    """The files in a folder, and the folders in it that are to be opened, in the order of their names.

    With `passed_over`, what is hidden is left out and counted.
    """
    path = f"{top}/{folder.path}".rstrip("/")
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    below = []
    try:
        with os.scandir(path or "/") as found:
            for entry in found:
                if passed_over is None or not is_hidden(entry.name):
                    (folders if _is_folder(entry) else files).append(entry)
                else:
                    passed_over.add([HIDDEN])
        for entry in sorted(folders, key=lambda entry: entry.name):
            identity, is_link = _identity(entry.stat()), entry.is_symlink()
            if identity in folder.way:
                continue
            linked = set() if is_link and folder.linked is None else folder.linked
            below.append(_Folder(f"{folder.path}{entry.name}/", identity, folder.way | {identity}, linked, is_link))
    except OSError as error:
        raise failed(error.filename or path, "read", error) from error
    return files, below


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is a folder or a link to one. A link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
