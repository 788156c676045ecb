"""Described pictures in files of their own, written as they are done: what a cache of descriptors is made of.

A file has the columns `KEY` and all that a picture was described by: `ima` string, `size` and `version` int64 as the
store listed them. Its name is made of them, so that whoever describes the same pictures writes the same file. Imports
no Spark.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from job import storage
from job.apart import CRASHED
from job.errors import UserError

KEY = ("ima", "size", "version")
"""Columns by which a described picture is known again."""
PART = "part"
"""Column with the name of the file that has a picture described, or null."""
NAME = re.compile(r"[0-9a-f]{32}\.parquet")
"""Names of the files."""
PASSING = ("unreadable", CRASHED)
"""Reasons that may pass: the store was not able to hand a picture over, or a process ended. They are never kept."""

# Bytes of described pictures after which a file is written, and files that are read ahead.
_MOST_BYTES, _AHEAD = 16 << 20, 4
_ANY_SIZE = 1 << 40
# Rows of a batch that is handed on.
_ROWS = 256

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Kept:
    """A folder of described pictures, as a task uses it.

    Attributes
    ----------
    address
        Where the files are.
    pictures
        A file is written after this many pictures, or as many as take 16 MB: as much is lost when a task is.

    """

    address: str
    pictures: int

    def work(
        self, batches: Batches, describe: Callable[[pa.RecordBatch], Batches], names: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of described pictures for batches of the columns `KEY`, `PART` and others.

        Pictures whose `PART` is null are described by `describe`, whose batches have the columns `names`, and written
        to files. All others are taken from their file; where it is gone or damaged they are described as well.

        Raises UserError when the store does not work.
        """
        with _Writer(self) as writer:
            for batch in batches:
                runs = [
                    (part, batch.slice(places[0], len(places)))
                    for part, group in groupby(enumerate(batch[PART].to_pylist()), key=lambda place: place[1])
                    for places in [[number for number, _ in group]]
                ]
                contents = storage.read_many(
                    self.address, [part for part, _ in runs if part], max_bytes=_ANY_SIZE, in_flight=_AHEAD
                )
                for part, rows in runs:
                    found = self._read(part, next(contents), rows, names) if part else None
                    if found is None:
                        yield from writer.kept(describe(rows))
                    else:
                        yield from (found.slice(start, _ROWS) for start in range(0, found.num_rows, _ROWS))

    def _read(
        self, part: str, content: bytes | storage.Fault, rows: pa.RecordBatch, names: Sequence[str]
    ) -> pa.RecordBatch | None:
        """The described pictures of `rows` in a file; None where it does not have them. A damaged file is removed."""
        if isinstance(content, storage.Fault) and content.reason == "unreadable":
            return None
        found = None if isinstance(content, storage.Fault) else _described(content, rows, names)
        if found is None:
            with suppress(UserError):  # another task was first, or the cache may only be read
                storage.delete(storage.join(self.address, part))
        return found


def _described(content: bytes, rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch | None:
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        table = file.read(use_threads=False).combine_chunks()
        places = pc.index_in(table["ima"], rows["ima"]).combine_chunks()
        table, places = table.filter(pc.is_valid(places)), places.drop_null()
        same = all(table[name].combine_chunks().equals(rows[name].take(places)) for name in KEY)
        if not same or len(pc.unique(places)) != rows.num_rows:
            return None
        columns = [
            rows[name].take(places) if name in rows.schema.names else table[name].combine_chunks() for name in names
        ]
    except MemoryError:  # Arrow's is an ArrowException too, and says nothing of the file
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return pa.RecordBatch.from_arrays(columns, list(names))


def part_name(rows: pa.RecordBatch | pa.Table) -> str:
    """Name of the file of these pictures, which have the columns `KEY`."""
    state = hashlib.sha256()
    for key in zip(*(rows[name].to_pylist() for name in KEY), strict=True):
        state.update(repr(key).encode())
    return f"{state.hexdigest()[:32]}.parquet"


class _Writer:
    """Context of a task: gathers what it describes, and writes a file of it whenever there is enough, beside the work.

    On leaving without an error, the rest is written, and all files are whole.
    """

    def __init__(self, kept: Kept) -> None:
        self._own = kept
        self._batches: list[pa.RecordBatch] = []
        self._pictures = self._bytes = 0
        self._pool = ThreadPoolExecutor(1, "fruits-keep")
        self._writing: Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._write()
                self._wait()
        finally:
            self._pool.shutdown()

    def kept(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """The batches, of which what may be kept is."""
        for batch in batches:
            good = batch.filter(pc.invert(pc.is_in(batch["reason"], pa.array(PASSING))))
            if good.num_rows:
                self._batches.append(good)
                self._pictures += good.num_rows if "copy" not in good.schema.names else _originals(good)
                self._bytes += good.nbytes
            if self._pictures >= self._own.pictures or self._bytes >= _MOST_BYTES:
                self._write()
            yield batch

    def _write(self) -> None:
        self._wait()
        if self._batches:
            self._writing = self._pool.submit(_store, self._own.address, self._batches)
        self._batches, self._pictures, self._bytes = [], 0, 0

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


def _originals(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.equal(batch["copy"], 0)).as_py() or 0)


def _store(address: str, batches: list[pa.RecordBatch]) -> None:
    # loaded by those who keep something, not by every worker
    from pyarrow import parquet

    table = pa.Table.from_batches(batches)
    table = table.drop_columns([name for name in ("cat", PART) if name in table.schema.names]).combine_chunks()
    sink = io.BytesIO()
    # zstd takes a quarter less room for SIFT than Parquet's default, snappy (tests/benchmarks/engine.py, part `cache`)
    parquet.write_table(
        table, sink, compression="zstd", use_dictionary=False, write_page_checksum=True, write_statistics=False
    )
    storage.create(storage.join(address, part_name(table)), sink.getvalue())
