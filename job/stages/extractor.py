"""Pictures to descriptors, on the executors."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType, StructType

from job.engine.crashes import tried_again
from job.extraction import ROWS, Extraction
from job.kept import Kept
from job.stages.base import Batches, HasDescriptor, HasImageCol, HasOutputCol, Stored, at_least, keyword_only, require
from job.vision import pixels
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame


def _names(value: Any) -> list[str]:
    names = TypeConverters.toListString(value)
    for name in names:
        DESCRIPTORS.get(name)
    return names


class DescriptorExtractor(Transformer, HasDescriptor, HasImageCol, HasOutputCol, Stored):
    """Reads and describes the pictures `root/ima`, or those in the column `content` where there is one.

    Adds `descriptors` (binary: n x values, row-major, see `job.vision.descriptors`), `keypoints` (int, n) and
    `reason` (string, null when the picture could be described: `empty`, `too_large`, `not_an_image`,
    `not_supported`, `truncated`, `damaged`, `no_descriptors`, `unreadable`, `crashed`); drops the root and, unless
    `keepContent`, the content.

    With `descriptors` and `outputCols`, two lists of the same length, each picture is described in several ways at
    once; `keypoints` then counts the rows of all of them. With `copies` each picture is followed by changed copies of
    it, as rows of their own, and `copy` has their numbers. With `looks` the last column, `look`, has the coarse look
    of each picture (float32, see `job.vision.look`), by which copies of it are recognised.
    """

    _input_kwargs: dict[str, Any]

    descriptors: Param[list[str]] = Param(
        Params._dummy(), "descriptors", "names of several descriptors, in place of one", typeConverter=_names
    )
    outputCols: Param[list[str]] = Param(
        Params._dummy(), "outputCols", "columns of several descriptors", typeConverter=TypeConverters.toListString
    )
    maxBytes: Param[int] = Param(
        Params._dummy(), "maxBytes", "pictures of more bytes are not read", typeConverter=at_least(1)
    )
    mask: Param[bool] = Param(
        Params._dummy(),
        "mask",
        "leave the background out, where a descriptor can",
        typeConverter=TypeConverters.toBoolean,
    )
    disturbance: Param[str] = Param(
        Params._dummy(),
        "disturbance",
        "what is done to each picture before it is described; empty: nothing",
        typeConverter=TypeConverters.toString,
    )
    copies: Param[list[str]] = Param(
        Params._dummy(),
        "copies",
        "levels of augmentation, each of which adds a changed copy of every picture",
        typeConverter=TypeConverters.toListString,
    )
    copiedCol: Param[str] = Param(
        Params._dummy(),
        "copiedCol",
        "column that says of which pictures copies are made (boolean), and goes; where there is none, of all",
        typeConverter=TypeConverters.toString,
    )
    seed: Param[int] = Param(Params._dummy(), "seed", "seed of the copies", typeConverter=at_least(0))
    copyCol: Param[str] = Param(
        Params._dummy(), "copyCol", "column of the number of a copy", typeConverter=TypeConverters.toString
    )
    looks: Param[bool] = Param(
        Params._dummy(), "looks", "add the coarse look of each picture", typeConverter=TypeConverters.toBoolean
    )
    lookCol: Param[str] = Param(
        Params._dummy(), "lookCol", "column of the coarse look", typeConverter=TypeConverters.toString
    )
    rootCol: Param[str] = Param(
        Params._dummy(), "rootCol", "column with the address of names", typeConverter=TypeConverters.toString
    )
    contentCol: Param[str] = Param(
        Params._dummy(), "contentCol", "column with the bytes of pictures", typeConverter=TypeConverters.toString
    )
    keepContent: Param[bool] = Param(
        Params._dummy(), "keepContent", "keep the bytes of pictures", typeConverter=TypeConverters.toBoolean
    )
    keypointsCol: Param[str] = Param(
        Params._dummy(), "keypointsCol", "column of the number of rows", typeConverter=TypeConverters.toString
    )
    reasonCol: Param[str] = Param(
        Params._dummy(), "reasonCol", "column of why there are none", typeConverter=TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        descriptor: str = "sift",
        descriptors: Sequence[str] = (),
        outputCol: str = "descriptors",
        outputCols: Sequence[str] = (),
        maxBytes: int = pixels.MAX_BYTES,
        mask: bool = True,
        disturbance: str = "",
        copies: Sequence[str] = (),
        copiedCol: str = "copied",
        seed: int = 123,
        copyCol: str = "copy",
        looks: bool = False,
        lookCol: str = "look",
        imageCol: str = "ima",
        rootCol: str = "root",
        contentCol: str = "content",
        keepContent: bool = False,
        keypointsCol: str = "keypoints",
        reasonCol: str = "reason",
    ) -> None:
        super().__init__()
        self._setDefault(
            descriptor="sift",
            descriptors=[],
            outputCol="descriptors",
            outputCols=[],
            maxBytes=pixels.MAX_BYTES,
            mask=True,
            disturbance="",
            copies=[],
            copiedCol="copied",
            seed=123,
            copyCol="copy",
            looks=False,
            lookCol="look",
            imageCol="ima",
            rootCol="root",
            contentCol="content",
            keepContent=False,
            keypointsCol="keypoints",
            reasonCol="reason",
        )
        self._set(**self._input_kwargs)
        self.waited: Accumulator[float] | None = None
        """Where it is set: adds up the seconds for which workers waited for pictures."""
        self.apart = False
        """Whether pictures are described in a process of their own, slowly, so that one on which it ends costs no more
        than itself. A task that is tried again does so in any case."""
        self.kept: Kept | None = None
        """Where it is set: the folder that described pictures are taken from and put into. The frame has the columns
        that `Kept.work` needs, which stay in it."""

    def columns(self) -> dict[str, str]:
        """Names of the descriptors by their output columns. ValueError when the two lists differ in length."""
        several, columns = self.getOrDefault(self.descriptors), self.getOrDefault(self.outputCols)
        if not several and not columns:
            return {self.getOutputCol(): self.getDescriptor()}
        if len(several) != len(columns) or len(set(columns)) != len(columns):
            raise ValueError(
                f"descriptors has {len(several)} names and outputCols {len(columns)}: each descriptor needs a column "
                "of its own."
            )
        return dict(zip(columns, several, strict=True))

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`. ValueError when a column is missing or of a wrong type."""
        own = {name: self.getOrDefault(name) for name in ("imageCol", "rootCol", "contentCol", "keepContent")}
        dropped = {own["rootCol"]}
        if own["contentCol"] in schema.names:
            require(schema, binary=own["contentCol"])
            dropped |= set() if own["keepContent"] else {own["contentCol"]}
        else:
            require(schema, text1=own["imageCol"], text2=own["rootCol"])
        columns = self.columns()
        last: dict[str, DataType] = {
            self.getOrDefault("keypointsCol"): IntegerType(),
            self.getOrDefault("reasonCol"): StringType(),
        }
        if self.getOrDefault(self.copies):
            require(schema, text=own["imageCol"])
            dropped |= {self.getOrDefault(self.copiedCol)}
            last[self.getOrDefault("copyCol")] = IntegerType()
        if self.getOrDefault(self.looks):
            last[self.getOrDefault("lookCol")] = BinaryType()
        found = StructType([field for field in schema if field.name not in {*dropped, *columns, *last}])
        for name, descriptor in columns.items():
            found = found.add(name, BinaryType(), metadata={"descriptor": descriptor})
        for name, kind in last.items():
            found = found.add(name, kind)
        return found

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        schema = self.transformSchema(dataset.schema)
        columns = self.columns()
        copies: list[str] = self.getOrDefault(self.copies)
        copied: str = self.getOrDefault(self.copiedCol)
        looks = self.getOrDefault(self.looks)
        kept = tuple(schema.names[: len(schema) - len(columns) - 2 - bool(copies) - looks])
        cache, waited, apart = self.kept, self.waited, self.apart
        extraction = Extraction(
            descriptors=tuple(DESCRIPTORS.get(name) for name in columns.values()),
            kept=kept,
            names=tuple(schema.names),
            max_bytes=self.getOrDefault(self.maxBytes),
            mask=self.getOrDefault(self.mask),
            disturbance=self.getOrDefault(self.disturbance) or None,
            copies=tuple(copies),
            copied=copied if copies and copied in dataset.columns else None,
            seed=self.getOrDefault(self.seed),
            looks=looks,
            image=self.getOrDefault(self.imageCol),
            root=self.getOrDefault(self.rootCol),
            content=self.getOrDefault(self.contentCol),
            rows=cache.pictures if cache else ROWS,
        )

        def describe(batch: pa.RecordBatch) -> Batches:
            return extraction.describe(batch, waited.add if waited else None, apart=apart or tried_again())

        def work(batches: Batches) -> Batches:
            return (
                cache.work(batches, describe, extraction.names)
                if cache
                else chain.from_iterable(map(describe, batches))
            )

        return dataset.mapInArrow(work, schema)
