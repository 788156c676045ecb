"""What the stages share: checked parameters and columns, batches through numpy, and how a stage is stored."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import keyword_only
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.pipeline import PipelineSharedReadWrite
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, BinaryType, DataType, NumericType, StringType, StructType

from job.columns import rows_of
from job.engine.sizes import total_cores
from job.errors import UserError
from job.registry import Registry
from job.stages import parts
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from job.vision.descriptors.base import Descriptor

__all__ = [
    "Accessors",
    "HasDescriptor",
    "HasImageCol",
    "HasInputCol",
    "HasOutputCol",
    "Stored",
    "append_columns",
    "collect_sum",
    "keyword_only",
    "pipeline_files",
    "width_of",
]

Batches = Iterable[pa.RecordBatch]
Vectors = Callable[[pa.RecordBatch], NDArray[Any]]
"""Makes the vectors of a batch, (n, d), in a worker."""


class _Addable(Protocol):
    def __add__(self, other: Self, /) -> Self: ...
    def arrays(self) -> Mapping[str, NDArray[Any]]: ...


Sums = TypeVar("Sums", bound=_Addable)


# ---- parameters


class Accessors(Params):
    """Gives a stage a getter and a setter for each of its parameters: `getK`, `setK`, `getInputCol`, ..."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            if isinstance(getattr(cls, name, None), Param):
                capital = name[:1].upper() + name[1:]
                if not hasattr(cls, f"get{capital}"):
                    setattr(cls, f"get{capital}", _getter(name))
                if not hasattr(cls, f"set{capital}"):
                    setattr(cls, f"set{capital}", _setter(name))


def _getter(name: str) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        return self.getOrDefault(name)

    get.__doc__ = f"The value of `{name}`, or its default."
    return get


def _setter(name: str) -> Callable[[Any, Any], Any]:
    def set_(self: Any, value: Any) -> Any:
        return self._set(**{name: value})

    set_.__doc__ = f"Set `{name}`; the stage itself is returned."
    return set_


def one_of(kind: str, names: Sequence[str] | Registry[Any]) -> Callable[[Any], str]:
    """A converter of parameters that takes one of these names and refuses all others with a sentence."""

    def convert(value: Any) -> str:
        if value not in names:
            raise ValueError(f"There is no {kind} '{value}': choose one of {', '.join(names)}.")
        return str(value)

    return convert


def at_least(least: int) -> Callable[[Any], int]:
    """A converter of parameters that takes whole numbers of `least` or more."""

    def convert(value: Any) -> int:
        number = TypeConverters.toInt(value)
        if number < least:
            raise ValueError(f"{value} is too small: the parameter must be {least} or more.")
        return number

    return convert


class HasDescriptor(Accessors):
    """The name of the descriptor, in the registry `job.vision.descriptors.DESCRIPTORS`."""

    descriptor: Param[str] = Param(
        Params._dummy(), "descriptor", "name of the descriptor", typeConverter=one_of("descriptor", DESCRIPTORS)
    )

    def getDescriptor(self) -> str:
        """Name of the descriptor."""
        return self.getOrDefault(self.descriptor)

    def _spec(self) -> "Descriptor":
        return DESCRIPTORS.get(self.getDescriptor())


class HasImageCol(Accessors):
    """The column with a picture's name, which must differ for each picture: draws and orders are made by it."""

    imageCol: Param[str] = Param(
        Params._dummy(), "imageCol", "column with the name of a picture", typeConverter=TypeConverters.toString
    )


# ---- columns


def require(schema: StructType, **columns: str) -> None:
    """Raise ValueError, before any job runs, when a column is missing or of the wrong kind.

    `columns` maps the name of a kind (`binary`, `text`, `number`, `vector`) to the name of a column; append a digit to
    give several of one kind.
    """
    for kind, name in columns.items():
        if name not in schema.names:
            raise ValueError(f"The column '{name}' is missing: the frame has {', '.join(schema.names)}.")
        wanted, accepted = _KINDS[kind.rstrip("0123456789")]
        found = schema[name].dataType
        if not accepted(found):
            raise ValueError(f"The column '{name}' is {found.simpleString()}: it must be {wanted}.")


_KINDS: dict[str, tuple[str, Callable[[DataType], bool]]] = {
    "binary": ("binary", lambda kind: isinstance(kind, BinaryType)),
    "text": ("a string", lambda kind: isinstance(kind, StringType)),
    "number": ("a number", lambda kind: isinstance(kind, NumericType)),
    "vector": (
        "a vector or an array of numbers",
        lambda kind: (
            isinstance(kind, VectorUDT) or (isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType))
        ),
    ),
}


def with_columns(schema: StructType, outputs: Mapping[str, DataType], keep: Sequence[str] | None = None) -> StructType:
    """The schema with further columns; one that is there already is replaced. `keep` names the columns that stay."""
    kept = [field for field in schema if field.name not in outputs and (keep is None or field.name in keep)]
    found = StructType(kept)
    for name, type_ in outputs.items():
        found = found.add(name, type_)
    return found


def append_columns(
    df: "DataFrame",
    inputs: Sequence[str],
    outputs: Mapping[str, DataType],
    function: Callable[[pa.RecordBatch], list[pa.Array]],
    keep: Sequence[str] | None = None,
) -> "DataFrame":
    """The frame with new columns, computed batch by batch from the columns `inputs`; no shuffle.

    `keep` names the columns that are wanted beside the new ones. Naming few spares their way back to Spark, which can't
    see what a Python function leaves unused; None keeps all.
    """
    schema = with_columns(df.schema, outputs, keep)
    kept = [name for name in schema.names if name not in outputs]
    names = [*kept, *outputs]

    def work(batches: Batches) -> Batches:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([*(batch[name] for name in kept), *function(batch)], names)

    return df.select(*dict.fromkeys([*kept, *inputs])).mapInArrow(work, schema)


def width_of(df: "DataFrame", column: str) -> int:
    """Length of the vectors in a column, by the first of them. ValueError when the frame has no rows."""
    first = df.select(column).limit(1).toArrow()[column]
    if not len(first):
        raise ValueError(f"There are no rows in '{column}' to learn from.")
    return int(rows_of(first).shape[1])


def materialise(df: "DataFrame") -> None:
    """Makes the rows of a frame, which the executors keep where it is persisted. No Python worker sees them, so that
    what makes them and what uses them afterwards are not in memory together."""
    df.write.format("noop").mode("overwrite").save()


def collect_sum(
    df: "DataFrame",
    columns: list[str],
    function: Callable[[pa.RecordBatch], Sums],
    of: Callable[[Mapping[str, NDArray[Any]]], Sums],
    *,
    width: int = 0,
) -> Sums | None:
    """The sum, in the driver, of what `function` gives for every batch; each partition adds up its own. None when there
    is nothing to add.

    `width` is given for sums that hold a matrix of width x width values, and whose arrays are added up value by value.
    Where those of all partitions together are too large for the driver, the executors add them up, each a part of the
    arrays, after a shuffle; the driver gets the total alone. Where they are too many for a shuffle, partitions are
    added up together, by no fewer tasks than run at a time.
    """
    size, tasks = width * width * 8, df.rdd.getNumPartitions() if width else 0
    large = tasks * size > parts.MOST_BYTES
    if tasks * size > parts.MOST_SHUFFLED:
        tasks = min(tasks, max(total_cores(df.sparkSession), parts.MOST_SHUFFLED // size))
        df = df.coalesce(tasks)

    def work(batches: Batches) -> Batches:
        total: Sums | None = None
        for batch in batches:
            if batch.num_rows:
                part = function(batch)
                total = part if total is None else total + part
        if total is not None:
            yield from parts.pieces(total.arrays()) if large else [parts.whole(total.arrays())]

    found = df.select(*columns)
    if large:
        pieces = found.mapInArrow(work, parts.PIECES).repartition(tasks, "array", "start")
        table = pieces.mapInArrow(parts.add, parts.PIECES).toArrow()
        return of(parts.joined(table)) if len(table) else None
    total: Sums | None = None
    for row in found.mapInArrow(work, parts.WHOLE).toArrow()["part"]:
        part = of(parts.arrays(row.as_py()))
        total = part if total is None else total + part
    return total


# ---- stored stages


class Stored(MLWritable, MLReadable[Any]):
    """A stage stored as parameters (JSON) and, where it is fitted, a dict of arrays (NPZ, no pickle).

    The files are written through Hadoop, to any address that it knows. Spark's own writers would take a job for each
    stage.
    """

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned; nothing for a stage that learns nothing."""
        return {}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        if arrays:
            raise UserError(f"A stored {type(self).__name__} has arrays, and should have none: it is damaged.")
        return self

    def write(self) -> MLWriter:
        """Spark ML's writer of this stage."""
        return _StoredWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Spark ML's reader of such stages."""
        return _StoredReader(cls)


ARRAYS = "data/arrays.npz"


def stage_files(stage: Any) -> dict[str, bytes]:
    """The files of a stage, by their paths below its address."""
    files = {"metadata/part-00000": _metadata(stage)}
    if arrays := stage.arrays():
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        files[ARRAYS] = buffer.getvalue()
    return files


def stage_folders(model: PipelineModel) -> dict[str, Any]:
    """The stages of a pipeline by their folders, relative to its address."""
    count = len(model.stages)
    return {
        PipelineSharedReadWrite.getStagePath(stage.uid, place, count, "stages"): stage
        for place, stage in enumerate(model.stages)
    }


def pipeline_files(model: PipelineModel) -> dict[str, bytes]:
    """The files of a pipeline whose stages are `Stored`, as `PipelineModel.load` wants them."""
    uids = [stage.uid for stage in model.stages]
    files = {"metadata/part-00000": _metadata(model, {"stageUids": uids, "language": "Python"})}
    for folder, stage in stage_folders(model).items():
        files |= {f"{folder}/{path}": data for path, data in stage_files(stage).items()}
    return files


def _metadata(stage: Any, params: dict[str, Any] | None = None) -> bytes:
    text = DefaultParamsWriter._get_metadata_to_save(stage, SparkSession.active(), paramMap=params)
    return text.encode() + b"\n"


class _Hadoop:
    """Files below an address, by Hadoop's file systems, as the session is configured for them."""

    def __init__(self, spark: SparkSession, address: str) -> None:
        assert spark._jvm is not None
        self._jvm: Any = spark._jvm
        self._address = address
        self._path: Any = self._jvm.org.apache.hadoop.fs.Path
        self._system = self._path(address).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())

    def exists(self, relative: str = "") -> bool:
        """Whether there is something at the address, or below it."""
        return bool(self._system.exists(self._below(relative)))

    def write(self, relative: str, data: bytes) -> None:
        """Write one file."""
        stream = self._system.create(self._below(relative), True)
        try:
            stream.write(bytearray(data))
        finally:
            stream.close()

    def read(self, relative: str) -> bytes:
        """The content of one file."""
        stream = self._system.open(self._below(relative))
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def _below(self, relative: str) -> Any:
        return self._path(self._address, relative) if relative else self._path(self._address)


class _StoredWriter(MLWriter):
    def __init__(self, stage: Stored) -> None:
        super().__init__()
        self._stage = stage

    def saveImpl(self, path: str) -> None:
        files = _Hadoop(self.sparkSession, path)
        if files.exists():  # `overwrite()` has removed it by now
            raise UserError(f"'{path}' already exists: save to another address, or with write().overwrite().save().")
        for relative, data in stage_files(self._stage).items():
            files.write(relative, data)


class _StoredReader(MLReader[Any]):
    def __init__(self, stage_type: type) -> None:
        super().__init__()
        self._type = stage_type

    def load(self, path: str) -> Any:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        stage = self._type()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        files = _Hadoop(self.sparkSession, path)
        if not files.exists(ARRAYS):
            return stage.with_arrays({})
        with np.load(io.BytesIO(files.read(ARRAYS)), allow_pickle=False) as data:
            return stage.with_arrays(dict(data))
