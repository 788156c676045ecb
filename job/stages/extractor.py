"""Pictures to descriptors, on the executors."""

from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql.types import BinaryType, IntegerType, StringType, StructType

from job.stages import extraction
from job.stages.base import Batches, HasDescriptor, HasOutputCol, Stored, keyword_only, require
from job.vision import pixels

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame


class DescriptorExtractor(Transformer, HasDescriptor, HasOutputCol, Stored):
    """Reads and describes the pictures `root/ima`, or those in the column `content` where there is one.

    Adds `descriptors` (binary: n x values, row-major, see `job.vision.descriptors`), `keypoints` (int, n) and
    `reason` (string, null when the picture could be described: `empty`, `too_large`, `not_an_image`, `truncated`,
    `no_descriptors`, `unreadable`); drops `root` and `content`.
    """

    _input_kwargs: dict[str, Any]

    maxBytes: Param[int] = Param(
        Params._dummy(), "maxBytes", "pictures of more bytes are not read", typeConverter=TypeConverters.toInt
    )

    @keyword_only
    def __init__(
        self, *, descriptor: str = "sift", outputCol: str = "descriptors", maxBytes: int = pixels.MAX_BYTES
    ) -> None:
        super().__init__()
        self._setDefault(descriptor="sift", outputCol="descriptors", maxBytes=pixels.MAX_BYTES)
        self._set(**self._input_kwargs)
        self.waited: Accumulator[float] | None = None
        """Where it is set: adds up the seconds that workers waited for pictures, all of them together."""

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        require(dataset, "ima")
        packed = "content" in dataset.columns
        if not packed:
            require(dataset, "root")
        name, limit = self.getDescriptor(), int(self.getOrDefault(self.maxBytes))
        kept = [column for column in dataset.columns if column not in ("root", "content")]
        output = self.getOutputCol()
        schema = StructType([field for field in dataset.schema if field.name in kept])
        schema = schema.add(output, BinaryType()).add("keypoints", IntegerType()).add("reason", StringType())

        names, waited = schema.names, self.waited

        def work(batches: Batches) -> Batches:
            for batch in batches:
                yield from extraction.described(batch, kept, names, name, limit, waited.add if waited else None)

        return dataset.mapInArrow(work, schema)
