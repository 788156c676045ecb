"""Many small pictures into Parquet files of about 128 MB, which are `--data` again (see `job.storage.packed`)."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job import storage
from job.errors import UserError
from job.splits import SPLITS
from job.storage import Fault
from job.storage.attempt import Attempt
from job.storage.packed import Block, Index, index_json
from job.storage.types import INDEX

_FILE_BYTES = 128 << 20
_BLOCK_BYTES = 1 << 20
# The content of larger files is left out, and their size noted: a run would not accept such a picture.
_MOST_BYTES = 256 << 20

_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("category", pa.string()),
        ("split", pa.string()),
        ("size", pa.int64()),
        ("content", pa.binary()),
    ]
)


class Packed(NamedTuple):
    """What has been packed; `faults` counts by reason those without content, which a run will list as rejected."""

    images: int
    bytes: int
    files: int
    faults: dict[str, int]


def pack(
    source: str,
    target: str,
    *,
    in_flight: int = 64,
    file_bytes: int = _FILE_BYTES,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Packed:
    """Packs the pictures below the address `source` into files at the address `target`.

    `progress(done, all)` is called as pictures are packed. Memory: a few blocks of 1 MB; one file at a time is kept on
    disk. The target is whole once its index is there, which comes last. Files that earlier attempts have left are
    removed, where those are known to be over; see `job.storage.attempt`.

    Raises UserError when there is nothing to pack, or the target is packed already, also meanwhile, or can't be
    written. This attempt's files are removed then.
    """
    root, target = storage.data_root(source), storage.normalise(target)
    listing = storage.list_images(root)
    if not listing.num_rows:
        raise UserError(f"There are no pictures (.jpg, .jpeg, .png) in '{source}': check the address.")
    _refuse_if_packed(target)
    files: dict[str, int] = {}
    blocks: list[Block] = []
    faults: Counter[str] = Counter()
    with Attempt(target) as attempt:
        done = 0
        for number, part in enumerate(_parts(listing, file_bytes)):
            file = attempt.file(number)
            with tempfile.TemporaryDirectory(prefix="fruits-pack-") as folder:
                aside = Path(folder) / file
                with pq.ParquetWriter(aside, _SCHEMA, compression=_COMPRESSION, **_LAYOUT) as writer:
                    for group, table in enumerate(_blocks(root, part, in_flight, faults)):
                        writer.write_table(table, row_group_size=table.num_rows)
                        blocks.append(_block(file, group, table))
                        done += table.num_rows
                        progress(done, listing.num_rows)
                storage.put_file(storage.join(target, file), aside)
                files[file] = aside.stat().st_size
            attempt.renew()
        _refuse_if_packed(target)
        storage.write_bytes(storage.join(target, INDEX), index_json(Index(files, tuple(blocks))))
    return Packed(listing.num_rows, sum(block.bytes for block in blocks), len(files), dict(faults))


def _refuse_if_packed(target: str) -> None:
    if storage.exists(storage.join(target, INDEX)):
        raise UserError(f"'{target}' holds packed pictures already: choose another address.", 2)


# Pictures are compressed already; statistics of their bytes would only fill the footer.
_COMPRESSION = {"path": "zstd", "category": "zstd", "split": "zstd", "size": "zstd", "content": "none"}
_LAYOUT: dict[str, Any] = {
    "use_dictionary": ["category", "split"],
    "write_statistics": ["path", "category", "split"],
    "data_page_size": _BLOCK_BYTES,
}


def _parts(listing: pa.Table, file_bytes: int) -> Iterator[pa.Table]:
    """The listing, cut where the pictures before make up another `file_bytes`."""
    before = pc.subtract(pc.cumulative_sum(listing["size"]), listing["size"])
    start = 0
    for part in pc.value_counts(pc.divide(before, file_bytes)):
        rows = part["counts"].as_py()
        yield listing.slice(start, rows)
        start += rows


def _blocks(root: str, part: pa.Table, in_flight: int, faults: Counter[str]) -> Iterator[pa.Table]:
    """The pictures of one file as tables of about 1 MB each."""
    names = part["name"].to_pylist()
    rows: list[tuple[str, str, str, int, bytes | None]] = []
    held = 0
    contents = storage.read_many(root, names, max_bytes=_MOST_BYTES, in_flight=in_flight)
    for name, size, content in zip(names, part["size"].to_pylist(), contents, strict=True):
        if isinstance(content, Fault):
            faults[content.reason] += 1
            rows.append((*_place(name), size, b"" if content.reason == "empty" else None))
        else:
            rows.append((*_place(name), len(content), content))
            held += len(content)
        if held >= _BLOCK_BYTES:
            yield _table(rows)
            rows, held = [], 0
    if rows:
        yield _table(rows)


def _place(name: str) -> tuple[str, str, str]:
    """(path, category, split) of a picture: its parent folder, and what the folder at the top stands for."""
    folders = name.split("/")[:-1]
    return name, folders[-1] if folders else "", SPLITS.get(folders[0], "") if folders else ""


def _table(rows: list[tuple[str, str, str, int, bytes | None]]) -> pa.Table:
    return pa.table(list(zip(*rows, strict=True)), schema=_SCHEMA)


def _block(file: str, group: int, table: pa.Table) -> Block:
    size = pc.sum(pc.binary_length(table["content"])).as_py() or 0
    return Block(file, group, table.num_rows, size, table["path"][0].as_py(), table["path"][-1].as_py())
