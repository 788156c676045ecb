"""What a worker does with pictures: read, decode, describe. Imports no Spark."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from time import perf_counter
from typing import Any

import pyarrow as pa

from job import storage
from job.vision import pixels
from job.vision.descriptors.base import Descriptor
from job.vision.picture import Picture

# Most rows and bytes of one batch that is handed on: large enough for few calls, small enough for a small worker.
_ROWS, _BYTES = 256, 4 << 20


@dataclass(frozen=True)
class Extraction:
    """How a worker describes a batch of pictures.

    Attributes
    ----------
    descriptors
        What describes each picture, in the order of the output columns.
    kept
        Columns of the input that are handed on.
    names
        Names of all output columns: those of `kept`, one for each descriptor (packed binary), the number of rows of
        all descriptors (int32), and the reason why there are none (string or null).
    max_bytes
        Pictures of more bytes are not read.
    mask
        Whether descriptors that know a background leave it out.
    image, root, content
        Input columns: the name of a picture, the address that names are relative to, and a picture's bytes. Where
        there is a column `content`, the other two are not needed.

    """

    descriptors: tuple[Descriptor, ...]
    kept: tuple[str, ...]
    names: tuple[str, ...]
    max_bytes: int
    mask: bool = True
    image: str = "ima"
    root: str = "root"
    content: str = "content"

    def describe(
        self, batch: pa.RecordBatch, waited: Callable[[float], None] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The described pictures of a batch, a slice at a time. `waited` is told the seconds for which each picture's
        bytes were waited for."""
        if not batch.num_rows:
            return
        rows = batch.select(list(self.kept))
        found = _Slice(self)
        done = 0
        contents = self._contents(batch)
        for content in _timed(contents, waited) if waited else contents:
            found.add(content)
            if found.full:
                yield found.batch(rows.slice(done, found.count), self.names)
                done, found = done + found.count, _Slice(self)
        if found.count:
            yield found.batch(rows.slice(done, found.count), self.names)

    def _contents(self, batch: pa.RecordBatch) -> Iterator[Any]:
        if self.content in batch.schema.names:
            return (
                value.as_buffer().to_pybytes() if value.is_valid else storage.Fault("unreadable")
                for value in batch[self.content]
            )
        addresses = zip(batch[self.root].to_pylist(), batch[self.image].to_pylist(), strict=True)
        return chain.from_iterable(
            storage.read_many(root, [name for _, name in group], max_bytes=self.max_bytes)
            for root, group in groupby(addresses, key=lambda address: address[0])
        )


class _Slice:
    """Described pictures on their way into a batch."""

    def __init__(self, extraction: Extraction) -> None:
        self._own = extraction
        self._packed: list[list[bytes]] = [[] for _ in extraction.descriptors]
        self._counts: list[int] = []
        self._reasons: list[str | None] = []
        self._bytes = 0

    @property
    def count(self) -> int:
        return len(self._counts)

    @property
    def full(self) -> bool:
        return self.count >= _ROWS or self._bytes >= _BYTES

    def add(self, content: Any) -> None:
        values, count, reason = self._described(content)
        for column, value in zip(self._packed, values, strict=True):
            column.append(value)
            self._bytes += len(value)
        self._counts.append(count)
        self._reasons.append(reason)

    def _described(self, content: Any) -> tuple[Sequence[bytes], int, str | None]:
        own = self._own
        nothing = [b""] * len(own.descriptors)
        if isinstance(content, storage.Fault):
            return nothing, 0, content.reason
        try:
            picture = Picture.decode(content, own.max_bytes, mask=own.mask)
            found = [descriptor.describe(picture) for descriptor in own.descriptors]
        except pixels.Unusable as unusable:
            return nothing, 0, unusable.reason
        count = sum(map(len, found))
        return [rows.tobytes() for rows in found], count, None if count else "no_descriptors"

    def batch(self, rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        columns = [
            *rows.columns,
            *(pa.array(column, pa.binary()) for column in self._packed),
            pa.array(self._counts, pa.int32()),
            pa.array(self._reasons, pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, list(names))


def _timed(contents: Iterator[Any], waited: Callable[[float], None]) -> Iterator[Any]:
    begun = perf_counter()
    for content in contents:
        waited(perf_counter() - begun)
        yield content
        begun = perf_counter()
