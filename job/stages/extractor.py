"""Pictures to descriptors, on the executors."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql.types import BinaryType, IntegerType, StringType, StructType

from job import storage
from job.imaging import descriptors, pixels
from job.stages.base import Batches, HasDescriptor, HasOutputCol, keyword_only, require

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What is handed on at a time: enough to fill a batch, little enough to keep a worker small.
_ROWS, _BYTES = 256, 4 << 20


class DescriptorExtractor(Transformer, HasDescriptor, HasOutputCol, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Reads and describes the pictures `root/ima`, or those in the column `content` where there is one.

    Adds `descriptors` (binary: n x values, row-major, see `job.imaging.descriptors`), `keypoints` (int, n) and
    `reason` (string, null when the picture could be described: `empty`, `too_large`, `not_an_image`, `truncated`,
    `no_descriptors`, `unreadable`); drops `root` and `content`.
    """

    _input_kwargs: dict[str, Any]

    maxBytes: Param[int] = Param(Params._dummy(), "maxBytes", "pictures of more bytes are not read",
                                 typeConverter=TypeConverters.toInt)

    @keyword_only
    def __init__(self, *, descriptor: str = "sift", outputCol: str = "descriptors",
                 maxBytes: int = pixels.MAX_BYTES) -> None:
        super().__init__()
        self._setDefault(descriptor="sift", outputCol="descriptors", maxBytes=pixels.MAX_BYTES)
        self._set(**self._input_kwargs)

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        require(dataset, "ima")
        packed = "content" in dataset.columns
        if not packed:
            require(dataset, "root")
        name, limit = self.getDescriptor(), int(self.getOrDefault(self.maxBytes))
        kept = [column for column in dataset.columns if column not in ("root", "content")]
        output = self.getOutputCol()
        schema = StructType(dataset.select(*kept).schema.fields.copy())
        schema = schema.add(output, BinaryType()).add("keypoints", IntegerType()).add("reason", StringType())

        def work(batches: Batches) -> Batches:
            for batch in batches:
                if not batch.num_rows:
                    continue
                contents: Iterator[Any]
                if packed:
                    contents = (value.as_buffer() for value in batch["content"])
                else:
                    contents = storage.read_many(batch["root"][0].as_py(), batch["ima"].to_pylist(), max_bytes=limit)
                yield from _described(batch.select(kept), contents, name, schema.names)

        return dataset.mapInArrow(work, schema)


def _described(rows: pa.RecordBatch, contents: Iterator[Any], name: str, names: Sequence[str]) -> Batches:
    """Rows with three more columns, a slice at a time."""
    describe = descriptors.get(name).describe
    done, size = 0, 0
    packed: list[bytes] = []
    counts: list[int] = []
    reasons: list[str | None] = []
    for content in contents:
        values, reason = b"", None
        if isinstance(content, storage.Fault):
            reason = content.reason
        else:
            try:
                found = describe(pixels.decode(content))
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


def _batch(rows: pa.RecordBatch, packed: list[bytes], counts: list[int], reasons: list[str | None],
           names: Sequence[str]) -> pa.RecordBatch:
    columns = [*rows.columns, pa.array(packed, pa.binary()), pa.array(counts, pa.int32()),
               pa.array(reasons, pa.string())]
    return pa.RecordBatch.from_arrays(columns, names)
