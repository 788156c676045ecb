"""What the stages share: batches through numpy, and models stored as parameters (JSON) and arrays (NPZ, no pickle)."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import keyword_only
from pyspark.ml import PipelineModel
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.pipeline import PipelineSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import SparkSession
from pyspark.sql.types import BinaryType, DataType, StructType

from job import storage
from job.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "HasDescriptor",
    "HasInputCol",
    "HasOutputCol",
    "Stored",
    "append_columns",
    "collect_sum",
    "driver_cores",
    "keyword_only",
    "pipeline_files",
    "require",
]

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


def append_columns(
    df: "DataFrame",
    inputs: list[str],
    outputs: Mapping[str, DataType],
    function: Callable[[pa.RecordBatch], list[pa.Array]],
) -> "DataFrame":
    """The frame with new columns, computed batch by batch from the columns `inputs`; no shuffle."""
    require(df, *inputs)
    kept = [name for name in df.columns if name not in outputs]
    schema = StructType([field for field in df.schema if field.name in kept])
    for name, type_ in outputs.items():
        schema = schema.add(name, type_)
    names = [*kept, *outputs]

    def work(batches: Batches) -> Batches:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([*(batch[name] for name in kept), *function(batch)], names)

    return df.mapInArrow(work, schema)


def collect_sum(
    df: "DataFrame", columns: list[str], function: Callable[[pa.RecordBatch], Sums], from_bytes: Callable[[bytes], Sums]
) -> Sums | None:
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
    for value in df.select(*columns).mapInArrow(work, StructType().add("part", BinaryType())).toArrow()["part"]:
        part = from_bytes(value.as_py())
        total = part if total is None else total + part
    return total


def driver_cores() -> int:
    """Cores that this process may use, for what is fitted in the driver."""
    return len(os.sched_getaffinity(0))


class HasDescriptor(Params):
    """The name of the descriptor, in the registry `job.vision.descriptors`."""

    descriptor: Param[str] = Param(
        Params._dummy(), "descriptor", "name of the descriptor", typeConverter=TypeConverters.toString
    )

    def getDescriptor(self) -> str:
        return self.getOrDefault(self.descriptor)


class Stored(MLWritable, MLReadable[Any]):
    """A stage stored as parameters and, where it is fitted, a dict of arrays: plain files, written by the store.
    Spark's own writers take a job for each stage, 4 s in all."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned; nothing for a stage that learns nothing."""
        return {}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        assert not arrays
        return self

    def write(self) -> MLWriter:
        return _StoredWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        return _StoredReader(cls)


def stage_files(stage: Any) -> dict[str, bytes]:
    """The files of a stage, by their paths below its address."""
    files = {"metadata/part-00000": _metadata(stage)}
    if arrays := stage.arrays():
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        files["data/arrays.npz"] = buffer.getvalue()
    return files


def pipeline_files(model: PipelineModel) -> dict[str, bytes]:
    """The files of a pipeline whose stages are `Stored`, as `PipelineModel.load` wants them."""
    uids = [stage.uid for stage in model.stages]
    files = {"metadata/part-00000": _metadata(model, {"stageUids": uids, "language": "Python"})}
    for place, stage in enumerate(model.stages):
        folder = PipelineSharedReadWrite.getStagePath(stage.uid, place, len(uids), "stages")
        files |= {f"{folder}/{path}": data for path, data in stage_files(stage).items()}
    return files


def _metadata(stage: Any, params: dict[str, Any] | None = None) -> bytes:
    text = DefaultParamsWriter._get_metadata_to_save(stage, SparkSession.active(), paramMap=params)
    return text.encode() + b"\n"


class _StoredWriter(MLWriter):
    def __init__(self, stage: Stored) -> None:
        super().__init__()
        self._stage = stage

    def saveImpl(self, path: str) -> None:
        if storage.exists(path):  # `overwrite()` has removed it by now
            raise UserError(f"'{path}' already exists: save to another address, or with write().overwrite().save().")
        for relative, data in stage_files(self._stage).items():
            storage.write_bytes(storage.join(path, relative), data)


class _StoredReader(MLReader[Any]):
    def __init__(self, stage_type: type) -> None:
        super().__init__()
        self._type = stage_type

    def load(self, path: str) -> Any:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        stage = self._type()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        arrays = storage.join(path, "data/arrays.npz")
        if not storage.exists(arrays):
            return stage.with_arrays({})
        with np.load(io.BytesIO(storage.read_bytes(arrays)), allow_pickle=False) as data:
            return stage.with_arrays(dict(data))
