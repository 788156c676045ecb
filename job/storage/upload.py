"""A folder tree into a bucket: many objects at a time, and what is there already is left as it is.

The empty object `UPLOADED` comes last, so that others can tell a whole upload from one under way.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import obstore
import pyarrow as pa
from obstore.store import S3Store

from job.errors import UsageError, UserError
from job.storage.backend import backend
from job.storage.clients import file_system, object_store
from job.storage.faults import again, explained
from job.storage.local import failed, tree
from job.storage.uris import is_remote, join, normalise, split_s3

UPLOADED = "_SUCCESS"
"""Name of the empty object that `upload` writes last."""

# Seconds between two questions of `wait_until_uploaded` to the store.
_PAUSE = 2.0
# Up to this size an object is one PUT, so that its ETag is the MD5 of its content.
_ONE_PUT = 16 << 20
# Metadata that holds the MD5 as well, for objects of several parts and buckets whose ETags are not MD5 (SSE-KMS).
_CHECKSUM = "fruits-md5"


class Progress(NamedTuple):
    """Files in all, those uploaded and those that were there already; bytes uploaded."""

    files: int
    uploaded: int = 0
    skipped: int = 0
    bytes: int = 0


class _UnreadableError(UserError):
    """One file that can't be uploaded, whatever becomes of the others."""


class _Local(NamedTuple):
    path: str
    key: str
    size: int
    etag: str | None
    """ETag of the object of that key and size, if there is one."""


def upload(
    folder: str,
    uri: str,
    *,
    in_flight: int = 32,
    public_read: bool = False,
    progress: Callable[[Progress], None] = lambda _progress: None,
) -> Progress:
    """Puts every file below `folder` under the S3 address `uri`, then `uri/_SUCCESS`, and gives the final counts.

    A file whose object has the same size and MD5 is skipped, so that an upload that was stopped goes on where it was.
    A file `_SUCCESS` of the folder itself is left out. With `public_read` everybody may read the objects. `progress`
    is called after each file. Raises UserError when the store does not work; and in the end, without `uri/_SUCCESS`,
    when files could not be read: all others are uploaded then.
    """
    top = normalise(folder)
    if is_remote(top):
        raise UsageError(f"'{folder}' is no folder of this machine: `upload` puts a folder into a bucket.")
    if not is_remote(uri):
        raise UsageError(f"'{uri}' is no s3:// address: `upload` puts a folder into a bucket.")
    if not Path(top).is_dir():
        raise UserError(f"The folder '{folder}' is not there: check its name.")
    bucket, key = split_s3(uri)
    store = object_store(bucket)
    counts = Progress(sum(len(files) for _, files in _folders(top)))
    window: deque[Future[int | None]] = deque()
    left: list[_UnreadableError] = []
    files = _files(top, store, f"{key}/" if key else "", uri, left)
    pool = ThreadPoolExecutor(in_flight)

    def send(file: _Local) -> int | None:
        return again(lambda: _put(store, file, public_read))

    try:
        progress(counts)
        window += [pool.submit(send, file) for file in islice(files, in_flight)]
        while window:
            try:
                with explained(uri, "write"):
                    sent = window.popleft().result()
            except _UnreadableError as error:
                left.append(error)
            else:
                counts = _counted(counts, sent)
                progress(counts)
            window += [pool.submit(send, file) for file in islice(files, 1)]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if left:
        raise UserError(
            f"{len(left)} of {counts.files} files are not in '{uri}', the others are; the first: "
            f"{left[0].message.rstrip('.')}; mend or remove them and run the upload again."
        )
    marker = join(uri, UPLOADED)
    backend(marker).write_bytes(marker, b"", public_read=public_read)
    return counts


def _counted(counts: Progress, sent: int | None) -> Progress:
    """The counts with one more file, of which so many bytes were sent, or which was there already."""
    if sent is None:
        return counts._replace(skipped=counts.skipped + 1)
    return counts._replace(uploaded=counts.uploaded + 1, bytes=counts.bytes + sent)


def wait_until_uploaded(uri: str, seconds: float) -> None:
    """Returns once an upload to the address `uri` is whole. A store that does not answer yet is waited for as well.

    Raises UserError when that is not so after `seconds`, with the last reason.
    """
    marker = join(uri, UPLOADED)
    limit = time.monotonic() + seconds
    while True:
        try:
            if backend(marker).exists(marker):
                return
            reason = f"'{UPLOADED}' is not there"
        except UserError as error:
            reason = error.message.rstrip(".")
        if time.monotonic() >= limit:
            raise UserError(
                f"'{uri}' was not whole after {seconds:g} s ({reason}): see whether `fruits upload` has ended well, "
                "or raise --wait-for-data."
            )
        time.sleep(min(_PAUSE, max(0.0, limit - time.monotonic())))


def create_bucket(uri: str) -> None:
    """Makes the bucket of an address, private, unless it is there. Raises UserError when the store refuses."""
    bucket, _ = split_s3(normalise(uri))
    with explained(uri, "write"):
        files = file_system()
        if not files.exists(bucket):
            files.mkdir(bucket, create_parents=True)


def _files(top: str, store: S3Store, base: str, uri: str, left: list[_UnreadableError]) -> Iterator[_Local]:
    """The files of the tree, each with what its folder in the bucket has of it: one folder in memory at a time. Those
    that can't be looked at, or whose name can't be a key, come into `left`."""
    for path, files in _folders(top):
        if not files:
            continue
        there = _objects(store, f"{base}{path}", uri)
        for entry in sorted(files, key=lambda entry: entry.name):
            key = f"{base}{path}{entry.name}"
            try:
                key.encode()
                size = entry.stat().st_size
            except UnicodeEncodeError:
                left.append(_UnreadableError(f"the file name {entry.name!r} is no valid UTF-8"))
                continue
            except OSError as error:
                left.append(_UnreadableError(failed(entry.path, "read", error).message))
                continue
            known = there.get(key)
            yield _Local(entry.path, key, size, known[1] if known and known[0] == size else None)


def _folders(top: str) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder of the tree, as a path that ends in a slash, and the files in it that are to be uploaded."""
    for path, files in tree(top):
        yield path, [file for file in files if path or file.name != UPLOADED]


def _objects(store: S3Store, folder: str, uri: str) -> dict[str, tuple[int, str]]:
    """Key -> (size, ETag) of the objects directly in a folder."""
    with explained(uri, "list"):
        found = again(lambda: obstore.list_with_delimiter(store, folder or None, return_arrow=True))
    table = pa.table(found["objects"])
    sizes = zip(table["size"].to_pylist(), table["e_tag"].to_pylist(), strict=True)
    return dict(zip(table["path"].to_pylist(), sizes, strict=True))


def _put(store: S3Store, file: _Local, public_read: bool) -> int | None:
    """Bytes sent, or None when the object is there already."""
    try:
        with open(file.path, "rb") as content:  # noqa: PTH123 - a path of scandir, 100,000 times
            checksum = hashlib.file_digest(content, "md5").hexdigest()
            if file.etag is not None and _is_same(store, file, checksum):
                return None
            size = os.fstat(content.fileno()).st_size
            content.seek(0)
            kind = mimetypes.guess_type(file.path)[0] or "application/octet-stream"
            if public_read:
                to = f"{store.config['bucket']}/{file.key}"
                more = {"ContentType": kind, "Metadata": {_CHECKSUM: checksum}}
                file_system().put_file(file.path, to, ACL="public-read", **more)
            elif size <= _ONE_PUT:
                attributes = {"Content-Type": kind, _CHECKSUM: checksum}
                obstore.put(store, file.key, content.read(), attributes=attributes, use_multipart=False)
            else:
                attributes = {"Content-Type": kind, _CHECKSUM: checksum}
                obstore.put(store, file.key, content, attributes=attributes, chunk_size=16 << 20)
    except OSError as error:
        if error.filename == file.path:
            raise _UnreadableError(failed(file.path, "read", error).message) from error
        raise
    return size


def _is_same(store: S3Store, file: _Local, checksum: str) -> bool:
    if file.etag is not None and file.etag.strip('"') == checksum:
        return True
    attributes = obstore.get(store, file.key, options={"head": True}).attributes
    return attributes.get(_CHECKSUM) == checksum
