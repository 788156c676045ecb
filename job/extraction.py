"""What a worker does with pictures: read, decode, describe. Imports no Spark."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from job import storage
from job.vision import pixels
from job.vision.descriptors.base import Descriptor
from job.vision.look import look
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
        all descriptors (int32), the reason why there are none (string or null), where there are copies the number of
        the copy (int32, 0 is the original), and, where there are looks, the look (binary).
    max_bytes
        Pictures of more bytes are not read.
    mask
        Whether descriptors that know a background leave it out.
    disturbance
        What is done to each picture before it is described, one of `job.vision.disturb.KINDS`; None: nothing.
    copies
        Levels of augmentation (`job.vision.augment.LEVELS`): each adds a changed copy of every picture, as a row of
        its own after the original's.
    on_copies
        Which of the descriptors describe the copies too, in their order; None: all. A copy has no rows of the others.
    seed
        Seed of the copies.
    looks
        Whether there is a last column with the look of each picture (`job.vision.look`), empty for copies and for
        pictures that could not be described.
    image, root, content
        Input columns: the name of a picture, the address that names are relative to, and a picture's bytes. Where
        there is a column `content`, the other two are not needed.

    """

    descriptors: tuple[Descriptor, ...]
    kept: tuple[str, ...]
    names: tuple[str, ...]
    max_bytes: int
    mask: bool = True
    disturbance: str | None = None
    copies: tuple[str, ...] = ()
    on_copies: tuple[bool, ...] | None = None
    seed: int = 123
    looks: bool = False
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
        names = batch[self.image].to_pylist() if self.copies else [""] * batch.num_rows
        for name, content in zip(names, _timed(contents, waited) if waited else contents, strict=True):
            found.add(content, name)
            if found.full:
                yield found.batch(rows.slice(done, found.pictures), self.names)
                done, found = done + found.pictures, _Slice(self)
        if found.pictures:
            yield found.batch(rows.slice(done, found.pictures), self.names)

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
        self._copies: list[int] = []
        self._looks: list[bytes] = []
        self._bytes = 0
        self.pictures = 0

    @property
    def full(self) -> bool:
        return len(self._counts) >= _ROWS or self._bytes >= _BYTES

    def add(self, content: Any, name: str) -> None:
        """Describes a picture, and its copies where there are to be some and it can be described."""
        own = self._own
        self.pictures += 1
        if isinstance(content, storage.Fault):
            self._append(None, content.reason, 0)
            return
        try:
            picture = Picture.decode(content, own.max_bytes, mask=own.mask)
            if own.disturbance:
                from job.vision.disturb import disturbed

                picture = Picture.of(disturbed(picture.colour, own.disturbance)[..., ::-1], mask=own.mask)
            found = [descriptor.describe(picture) for descriptor in own.descriptors]
        except pixels.Unusable as unusable:
            self._append(None, unusable.reason, 0)
            return
        if not any(map(len, found)):
            self._append(None, "no_descriptors", 0)
            return
        self._append(found, None, 0, look(picture).tobytes() if own.looks else b"")
        for number, level in enumerate(own.copies, start=1):
            from job.vision.augment import augmented, strengths

            colour = augmented(picture.colour, name, number, own.seed, strengths(level), mask=own.mask)
            copy = Picture.of(colour[..., ::-1], mask=own.mask)
            wanted = own.on_copies or (True,) * len(own.descriptors)
            described = [
                descriptor.describe(copy) if own_copy else None
                for descriptor, own_copy in zip(own.descriptors, wanted, strict=True)
            ]
            self._append(described, None, number)

    def _append(self, found: Sequence[Any] | None, reason: str | None, copy: int, seen: bytes = b"") -> None:
        for place, column in enumerate(self._packed):
            rows = None if found is None else found[place]
            value = b"" if rows is None else rows.tobytes()
            column.append(value)
            self._bytes += len(value)
        self._counts.append(sum(len(rows) for rows in found or () if rows is not None))
        self._reasons.append(reason)
        self._copies.append(copy)
        self._looks.append(seen)

    def batch(self, rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """The described pictures as a batch; `rows` are their other columns."""
        columns = [
            *(pa.array(column, pa.binary()) for column in self._packed),
            pa.array(self._counts, pa.int32()),
            pa.array(self._reasons, pa.string()),
        ]
        if self._own.copies:
            copies = np.array(self._copies)
            rows = rows.take(pa.array(np.cumsum(copies == 0) - 1))
            columns.append(pa.array(copies, pa.int32()))
        if self._own.looks:
            columns.append(pa.array(self._looks, pa.binary()))
        return pa.RecordBatch.from_arrays([*rows.columns, *columns], list(names))


def _timed(contents: Iterator[Any], waited: Callable[[float], None]) -> Iterator[Any]:
    begun = perf_counter()
    for content in contents:
        waited(perf_counter() - begun)
        yield content
        begun = perf_counter()
