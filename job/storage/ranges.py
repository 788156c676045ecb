"""Files of which parts are read: of this machine, and in an object store."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa

from job.storage.uris import is_remote, split_s3


def arrow_file(uri: str, size: int) -> Any:
    """What Arrow's readers take for the file of `size` bytes at a normalised address: they read no more of it than they
    need."""
    return pa.PythonFile(_Remote(uri, size), mode="r") if is_remote(uri) else uri


class _Remote(io.RawIOBase):
    """An object as a file that can be read anywhere, each read one request."""

    def __init__(self, uri: str, size: int) -> None:
        super().__init__()
        from job.storage.clients import object_store

        bucket, self._key = split_s3(uri)
        self._uri = uri
        self._store = object_store(bucket)
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        import obstore

        from job.storage.faults import again, explained

        end = self._size if size < 0 else min(self._size, self._place + size)
        if end <= self._place:
            return b""
        with explained(self._uri, "read"):
            data = bytes(again(lambda: obstore.get_range(self._store, self._key, start=self._place, end=end)))
        self._place += len(data)
        return data
