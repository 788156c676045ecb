"""What a worker does with pictures: read, decode, describe. Imports no Spark."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, groupby
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from job import storage
from job.apart import CRASHED, Apart, CrashedError
from job.columns import binaries, numbers, texts
from job.vision import pixels
from job.vision.descriptors.base import Descriptor
from job.vision.look import look
from job.vision.picture import Picture

ROWS = 256
"""Most rows of one batch that is handed on: large enough for few calls, small enough for a small worker."""
# Most bytes of one.
_BYTES = 4 << 20


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
        Levels of augmentation (`job.vision.augment.strengths`): each adds a changed copy of every picture, as a row of
        its own after the original's.
    copied
        Input column that says of which pictures copies are made (bool); None: of all.
    on_copies
        Which of the descriptors describe the copies too, in their order; None: all. A copy has no rows of the others.
    seed
        Seed of the copies.
    looks
        Whether there is a last column with the look of each picture (`job.vision.look`), empty for copies and for
        pictures that could not be described.
    rows
        A batch is handed on once it has this many rows, or before.
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
    copied: str | None = None
    on_copies: tuple[bool, ...] | None = None
    seed: int = 123
    looks: bool = False
    rows: int = ROWS
    image: str = "ima"
    root: str = "root"
    content: str = "content"

    def describe(
        self, batch: pa.RecordBatch, waited: Callable[[float], None] | None = None, *, apart: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """The described pictures of a batch, a slice at a time. `waited` is told the seconds for which each picture's
        bytes were waited for. With `apart` they are described in another process, one after the other: one on which two
        processes end has the reason `crashed`."""
        if not batch.num_rows:
            return
        rows = batch.select(list(self.kept))
        found = _Slice(self)
        done = 0
        contents = self._contents(batch)
        names = self._copied(batch)
        with Apart(self.described) if apart else nullcontext(self.described) as described:
            for name, content in zip(names, _timed(contents, waited) if waited else contents, strict=True):
                try:
                    found.add(described(content, name))
                except CrashedError:
                    found.add([self._nothing(CRASHED)])
                if found.full:
                    yield found.batch(rows.slice(done, found.pictures), self.names)
                    done, found = done + found.pictures, _Slice(self)
            if found.pictures:
                yield found.batch(rows.slice(done, found.pictures), self.names)

    def described(self, content: Any, name: str | None) -> "list[_Row]":
        """The row of a picture, and where it can be described and there is a name, those of its copies, made by it."""
        if isinstance(content, storage.Fault):
            return [self._nothing(content.reason)]
        try:
            picture = Picture.decode(content, self.max_bytes, mask=self.mask)
            if self.disturbance:
                from job.vision.disturb import disturbed

                picture = Picture.of(disturbed(picture.colour, self.disturbance)[..., ::-1], mask=self.mask)
            found = [descriptor.describe(picture) for descriptor in self.descriptors]
        except pixels.Unusable as unusable:
            return [self._nothing(unusable.reason)]
        if not any(map(len, found)):
            return [self._nothing("no_descriptors")]
        rows = [_row(found, 0, look(picture).tobytes() if self.looks else b"")]
        return rows if name is None else [*rows, *self._copies(picture, name)]

    def _copies(self, picture: Picture, name: str) -> "Iterator[_Row]":
        for number, level in enumerate(self.copies, start=1):
            from job.vision.augment import augmented, strengths

            colour = augmented(picture.colour, name, number, self.seed, strengths(level), mask=self.mask)
            copy = Picture.of(colour[..., ::-1], mask=self.mask)
            wanted = self.on_copies or (True,) * len(self.descriptors)
            described = [
                descriptor.describe(copy) if own_copy else None
                for descriptor, own_copy in zip(self.descriptors, wanted, strict=True)
            ]
            yield _row(described, number)

    def _nothing(self, reason: str) -> "_Row":
        return _Row((b"",) * len(self.descriptors), 0, reason, 0, b"")

    def _copied(self, batch: pa.RecordBatch) -> list[str | None]:
        """The names of the pictures of which copies are made; None in the place of any other."""
        if not self.copies:
            return [None] * batch.num_rows
        names: list[str | None] = batch[self.image].to_pylist()
        if self.copied is None:
            return names
        return [name if wanted else None for name, wanted in zip(names, batch[self.copied].to_pylist(), strict=True)]

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


class _Row(NamedTuple):
    """A described picture or copy: packed rows of each descriptor, how many there are in all, why there are none."""

    packed: tuple[bytes, ...]
    found: int
    reason: str | None
    copy: int
    look: bytes


def _row(found: Sequence[Any], copy: int, seen: bytes = b"") -> _Row:
    packed = tuple(b"" if rows is None else rows.tobytes() for rows in found)
    return _Row(packed, sum(len(rows) for rows in found if rows is not None), None, copy, seen)


class _Slice:
    """Described pictures on their way into a batch."""

    def __init__(self, extraction: Extraction) -> None:
        self._own = extraction
        self._rows: list[_Row] = []
        self._bytes = 0
        self.pictures = 0

    @property
    def full(self) -> bool:
        return len(self._rows) >= min(self._own.rows, ROWS) or self._bytes >= _BYTES

    def add(self, rows: Sequence[_Row]) -> None:
        """Adds a picture with its copies."""
        self.pictures += 1
        self._rows += rows
        self._bytes += sum(len(value) for row in rows for value in row.packed)

    def batch(self, rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """The described pictures as a batch; `rows` are their other columns."""
        packed, counts, reasons, copies, looks = zip(*self._rows, strict=True)
        columns = [
            *(binaries(column) for column in zip(*packed, strict=True)),
            numbers(np.array(counts, np.int32)),
            texts(reasons),
        ]
        if self._own.copies:
            rows = rows.take(numbers(np.cumsum(np.array(copies) == 0) - 1))
            columns.append(numbers(np.array(copies, np.int32)))
        if self._own.looks:
            columns.append(binaries(looks))
        return pa.RecordBatch.from_arrays([*rows.columns, *columns], list(names))


def _timed(contents: Iterator[Any], waited: Callable[[float], None]) -> Iterator[Any]:
    begun = perf_counter()
    for content in contents:
        waited(perf_counter() - begun)
        yield content
        begun = perf_counter()
