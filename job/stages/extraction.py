"""What a worker does with pictures: read, decode, describe. Imports no Spark."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from time import perf_counter
from typing import Any

import pyarrow as pa

from job import storage
from job.vision import pixels
from job.vision.descriptors import DESCRIPTORS
from job.vision.picture import Picture

# What is handed on at a time: enough to fill a batch, little enough to keep a worker small.
_ROWS, _BYTES = 256, 4 << 20


def described(
    batch: pa.RecordBatch,
    kept: list[str],
    names: Sequence[str],
    descriptor: str,
    max_bytes: int,
    waited: Callable[[float], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The columns `kept` of a batch of pictures with three more, a slice at a time: packed descriptors, their number,
    and why there are none. Reads `root/ima`, or takes the bytes in `content` where there is such a column. `waited` is
    told the seconds that each picture's bytes were waited for."""
    if not batch.num_rows:
        return
    contents: Iterator[Any]
    if "content" in batch.schema.names:
        contents = (value.as_buffer().to_pybytes() for value in batch["content"])
    else:
        addresses = zip(batch["root"].to_pylist(), batch["ima"].to_pylist(), strict=True)
        contents = chain.from_iterable(
            storage.read_many(root, [name for _, name in group], max_bytes=max_bytes)
            for root, group in groupby(addresses, key=lambda address: address[0])
        )
    rows, describe = batch.select(kept), DESCRIPTORS.get(descriptor).describe
    done, size = 0, 0
    packed: list[bytes] = []
    counts: list[int] = []
    reasons: list[str | None] = []
    for content in _timed(contents, waited) if waited else contents:
        values, reason = b"", None
        if isinstance(content, storage.Fault):
            reason = content.reason
        else:
            try:
                found = describe(Picture.decode(content, max_bytes))
            except pixels.Unusable as unusable:
                reason = unusable.reason
            else:
                values = found.tobytes()
                reason = None if len(found) else "no_descriptors"
        counts.append(0 if reason else len(found))
        packed.append(values)
        reasons.append(reason)
        size += len(values)
        if len(packed) == _ROWS or size >= _BYTES:
            yield _batch(rows.slice(done, len(packed)), packed, counts, reasons, names)
            done, size, packed, counts, reasons = done + len(packed), 0, [], [], []
    if packed:
        yield _batch(rows.slice(done, len(packed)), packed, counts, reasons, names)


def _timed(contents: Iterator[Any], waited: Callable[[float], None]) -> Iterator[Any]:
    begun = perf_counter()
    for content in contents:
        waited(perf_counter() - begun)
        yield content
        begun = perf_counter()


def _batch(
    rows: pa.RecordBatch, packed: list[bytes], counts: list[int], reasons: list[str | None], names: Sequence[str]
) -> pa.RecordBatch:
    columns = [
        *rows.columns,
        pa.array(packed, pa.binary()),
        pa.array(counts, pa.int32()),
        pa.array(reasons, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, names)
