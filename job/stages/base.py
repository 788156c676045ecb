"""What the stages share: batches through numpy, and models stored as parameters (JSON) and arrays (NPZ, no pickle)."""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql.types import DataType, StructType

from job import storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["ArraysModel", "HasDescriptor", "HasInputCol", "HasOutputCol", "append_columns", "collect_sum",
           "keyword_only", "require"]

Batches = Iterable[pa.RecordBatch]


class _Addable(Protocol):
    def __add__(self, other: Self, /) -> Self: ...
    def to_bytes(self) -> bytes: ...


Sums = TypeVar("Sums", bound=_Addable)


def require(df: "DataFrame", *columns: str) -> None:
    """Raise ValueError, before any job runs, when a column is missing."""
    missing = [name for name in columns if name not in df.columns]
    if missing:
        raise ValueError(f"the column '{missing[0]}' is missing: the frame has {', '.join(df.columns)}")


def append_columns(df: "DataFrame", inputs: list[str], outputs: Mapping[str, DataType],
                   function: Callable[[pa.RecordBatch], list[pa.Array]]) -> "DataFrame":
    """The frame with new columns, computed batch by batch from the columns `inputs`; no shuffle."""
    require(df, *inputs)
    kept = [name for name in df.columns if name not in outputs]
    schema = StructType([*df.select(*kept).schema.fields, *StructType().fields])
    for name, type_ in outputs.items():
        schema = schema.add(name, type_)
    names = [*kept, *outputs]

    def work(batches: Batches) -> Batches:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([*(batch[name] for name in kept), *function(batch)], names)

    return df.mapInArrow(work, schema)


def collect_sum(df: "DataFrame", columns: list[str], function: Callable[[pa.RecordBatch], Sums],
                from_bytes: Callable[[bytes], Sums]) -> Sums | None:
    """The sum, in the driver, of what `function` gives for every batch; each partition adds up its own. None when
    there is nothing to add."""
    def work(batches: Batches) -> Batches:
        total: Sums | None = None
        for batch in batches:
            if batch.num_rows:
                part = function(batch)
                total = part if total is None else total + part
        if total is not None:
            yield pa.RecordBatch.from_arrays([pa.array([total.to_bytes()], pa.binary())], ["part"])

    require(df, *columns)
    total: Sums | None = None
    for value in df.select(*columns).mapInArrow(work, "part binary").toArrow()["part"]:
        part = from_bytes(value.as_py())
        total = part if total is None else total + part
    return total


class HasDescriptor(Params):
    """The name of the descriptor, in the registry `job.imaging.descriptors`."""

    descriptor: Param[str] = Param(Params._dummy(), "descriptor", "name of the descriptor",
                                   typeConverter=TypeConverters.toString)

    def getDescriptor(self) -> str:
        return self.getOrDefault(self.descriptor)


class ArraysModel(MLWritable, MLReadable[Any]):
    """A fitted stage whose state is a dict of arrays; `save` writes plain files, by the store and not by Spark jobs."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        raise NotImplementedError

    def write(self) -> MLWriter:
        return _ArraysWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        return _ArraysReader(cls)


class _ArraysWriter(MLWriter):
    def __init__(self, stage: Any) -> None:
        super().__init__()
        self._stage = stage

    def saveImpl(self, path: str) -> None:
        metadata = DefaultParamsWriter._get_metadata_to_save(self._stage, self.sparkSession)
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        buffer = io.BytesIO()
        np.savez(buffer, **self._stage.arrays())
        storage.write_bytes(storage.join(path, "data/arrays.npz"), buffer.getvalue())
        storage.write_bytes(storage.join(path, "metadata/part-00000"), text.encode() + b"\n")


class _ArraysReader(MLReader[Any]):
    def __init__(self, stage_type: type) -> None:
        super().__init__()
        self._type = stage_type

    def load(self, path: str) -> Any:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        stage = self._type()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        with np.load(io.BytesIO(storage.read_bytes(storage.join(path, "data/arrays.npz"))), allow_pickle=False) as data:
            return stage.with_arrays(dict(data))
