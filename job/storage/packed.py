"""Packed pictures: Parquet files of about 128 MB, listed and read like the folder tree that they were made of.

A packed address holds `part-<attempt>-<number>.parquet` (columns `path`, `category`, `split`, `size`, `content`, sorted
by path; row groups of about 1 MB) and `_pack.json`, written last: the row groups in order, each with its first and last
path. The address of `_pack.json` itself is what this module's functions take as their root.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.errors import UserError
from job.storage.backend import backend
from job.storage.names import PassedOver, pictures
from job.storage.ranges import arrow_file
from job.storage.types import INDEX, LISTING, Fault

SCHEMA_VERSION = 1
_BLOCK = pa.schema([("path", pa.string()), ("size", pa.int64()), ("content", pa.binary())])
_READERS = 8
# Number of names that are turned into Python strings at a time.
_ROWS_AT_ONCE = 1 << 16
# Numbers of Parquet, of 31 and of 63 bits: row groups and rows, and bytes.
_MOST_ROWS, _MOST_BYTES = 1 << 31, 1 << 63


class Block(NamedTuple):
    """One row group: `group` is its number in `file`, `bytes` those of its pictures."""

    file: str
    group: int
    rows: int
    bytes: int
    first: str
    last: str


class Index(NamedTuple):
    """`_pack.json`: sizes of the files in bytes, and all row groups in the order of their paths."""

    files: dict[str, int]
    blocks: tuple[Block, ...]

    def holder(self, path: str) -> int:
        """The number of the only block that can hold `path`; `len(blocks)` if none can."""
        return bisect_left(self.blocks, path, key=lambda block: block.last)


@lru_cache(maxsize=16)
def index(root: str) -> Index:
    """Reads the index. Raises UserError when it can't be read."""
    try:
        content = json.loads(backend(root).read_bytes(root))
        if content["schema_version"] != SCHEMA_VERSION:
            raise UserError(f"'{root}' was packed by another version of this program: pack the pictures again.")
        return _checked(Index(content["files"], tuple(Block(*block) for block in content["blocks"])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"'{root}' is no index of packed pictures: pack them again.") from error


def _checked(found: Index) -> Index:
    """The index, which may be a stranger's. ValueError where it has not what it must have, or names files elsewhere."""
    kinds = (str, int, int, int, str, str)
    files = all(
        re.fullmatch(r"part-[0-9a-f]+-\d+\.parquet", file) is not None and type(size) is int and 0 <= size < _MOST_BYTES
        for file, size in found.files.items()
    )
    blocks = all(
        tuple(map(type, block)) == kinds
        and block.file in found.files
        and min(block[1:4]) >= 0
        and max(block.group, block.rows) < _MOST_ROWS
        and block.bytes < _MOST_BYTES
        for block in found.blocks
    )
    if not files or not blocks:
        raise ValueError
    return found


@contextmanager
def _told(root: str, file: str) -> Iterator[None]:
    """Raises UserError where a file is no part of packed pictures any more, or never was."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, IndexError, ValueError, TypeError) as error:
        raise UserError(
            f"'{root.removesuffix(INDEX)}{file}' is missing or damaged, or no file of packed pictures: pack them again."
        ) from error


def index_json(found: Index) -> bytes:
    """The index as it is stored."""
    content = {"schema_version": SCHEMA_VERSION, "files": found.files, "blocks": found.blocks}
    return json.dumps(content, ensure_ascii=False).encode()


def list_images(
    root: str, prefix: str, folders: Collection[str] = (), passed_over: PassedOver | None = None
) -> pa.Table:
    """See `job.storage.list_images`: only row groups that can hold the prefix are opened, and no pictures read.

    Other files than pictures were left out when the pictures were packed.
    """
    del folders, passed_over
    start = f"{prefix}/" if prefix else ""
    files: dict[str, list[int]] = {}
    for block in index(root).blocks:
        if block.last >= start and block.first[: len(start)] <= start:
            files.setdefault(block.file, []).append(block.group)

    def names(file: str) -> pa.Table:
        with _told(root, file):
            return listed(file)

    def listed(file: str) -> pa.Table:
        table = _open(root, file).read_row_groups(files[file], columns=["path", "size"], use_threads=False)
        if any(column.null_count for column in table.columns):
            raise ValueError
        table = table.filter(pc.starts_with(table["path"], start)).rename_columns(["name", "size"])
        # files are never changed: who packs again writes others
        changed = int.from_bytes(hashlib.sha256(file.encode()).digest()[:8], "big", signed=True)
        same = pa.repeat(changed, len(table))
        return pictures(table.append_column("changed", same).append_column("version", same).cast(LISTING), prefix)

    with ThreadPoolExecutor(_READERS) as pool:
        return pa.concat_tables([LISTING.empty_table(), *pool.map(names, files)])


def list_folders(root: str, prefix: str) -> list[str]:
    """See `job.storage.list_folders`."""
    start = len(f"{prefix}/") if prefix else 0
    below = pc.utf8_slice_codeunits(list_images(root, prefix)["name"], start)
    inside = pc.extract_regex(below, "^(?P<folder>[^/]+)/")
    return sorted(pc.unique(pc.struct_field(inside, "folder")).drop_null().to_pylist())


def block_of(root: str, names: pa.ChunkedArray) -> pa.Array:
    """The number of the row group that holds each of these paths: int32, of the same length."""
    lasts = [block.last for block in index(root).blocks]
    found = np.empty(len(names), np.int32)
    for start in range(0, len(names), _ROWS_AT_ONCE):
        part = names.slice(start, _ROWS_AT_ONCE).to_pylist()
        found[start : start + len(part)] = [bisect_left(lasts, name) for name in part]
    return pa.array(found)


def read_many(root: str, names: Sequence[str], max_bytes: int, in_flight: int) -> Iterator[bytes | Fault]:
    """See `job.storage.read_many`.

    A row group is read once for all names that follow each other in it; the next is on its way meanwhile.
    """
    del in_flight
    found = index(root)
    runs = [(number, list(run)) for number, run in groupby(names, found.holder)]
    numbers = iter([number for number, _ in runs])
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(_read_block, root, found, number) for number in islice(numbers, 2))
        for _, wanted in runs:
            block = waiting.popleft().result()
            waiting += [pool.submit(_read_block, root, found, number) for number in islice(numbers, 1)]
            for name in wanted:
                size, content = block.get(name, (0, None))
                yield _judged(size, content, max_bytes)


def _judged(size: int, content: bytes | None, max_bytes: int) -> bytes | Fault:
    if size > max_bytes:
        return Fault("too_large")
    if content is None:
        return Fault("unreadable")
    return content or Fault("empty")


def _read_block(root: str, found: Index, number: int) -> dict[str, tuple[int, bytes | None]]:
    """Path -> (size, content) of one row group; nothing for a number past the last."""
    if number >= len(found.blocks):
        return {}
    block = found.blocks[number]
    columns = ["path", "size", "content"]
    with _told(root, block.file):
        table = _open(root, block.file).read_row_group(block.group, columns=columns, use_threads=False)
        table = table.cast(_BLOCK)
    rows = zip(table["size"].to_pylist(), table["content"].to_pylist(), strict=True)
    return dict(zip(table["path"].to_pylist(), rows, strict=True))


def _open(root: str, file: str) -> pq.ParquetFile:
    """One Parquet file, its footer read once per process."""
    return pq.ParquetFile(_source(root, file), metadata=_footer(root, file), pre_buffer=True)


@lru_cache(maxsize=64)
def _footer(root: str, file: str) -> pq.FileMetaData:
    return pq.read_metadata(_source(root, file))


def _source(root: str, file: str) -> Any:
    return arrow_file(root.removesuffix(INDEX) + file, index(root).files[file])
