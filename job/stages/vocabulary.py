"""Descriptors to visual words, and pictures to bags of words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, StructType

from job.columns import flatten, lists, ragged
from job.learn import kmeans, sampling
from job.learn.assign import assign, histograms
from job.stages.base import (
    Batches,
    HasDescriptor,
    HasInputCol,
    HasOutputCol,
    Stored,
    append_columns,
    collect_sum,
    driver_cores,
    keyword_only,
    require,
)
from job.vision import descriptors as registry
from job.vision.descriptors.base import Descriptor

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Descriptors trained on in one place, the driver: 1 million of SIFT are 128 MB. Beyond it, on the executors.
ONE_PLACE = 1_000_000
# On the executors an iteration is a job: stop where one more is not worth it.
_EXECUTORS_TOLERANCE = 1e-5


class _VocabularyParams(HasDescriptor, HasInputCol, HasOutputCol):
    k: Param[int] = Param(Params._dummy(), "k", "number of visual words", typeConverter=TypeConverters.toInt)
    sampleSize: Param[int] = Param(
        Params._dummy(),
        "sampleSize",
        "descriptors to train on; 0: 1000 a word, at least 100,000; -1: all",
        typeConverter=TypeConverters.toInt,
    )
    initMode: Param[str] = Param(
        Params._dummy(),
        "initMode",
        "first words: 'k-means||' (far ones) or 'random'",
        typeConverter=TypeConverters.toString,
    )
    tolerance: Param[float] = Param(
        Params._dummy(),
        "tolerance",
        "least relative gain of an iteration; 0: until no word moves",
        typeConverter=TypeConverters.toFloat,
    )
    maxIter: Param[int] = Param(Params._dummy(), "maxIter", "most iterations", typeConverter=TypeConverters.toInt)
    seed: Param[int] = Param(Params._dummy(), "seed", "seed of the draw", typeConverter=TypeConverters.toInt)
    total: Param[int] = Param(
        Params._dummy(),
        "total",
        "descriptors there are, where that is known; 0: count them",
        typeConverter=TypeConverters.toInt,
    )


class VisualVocabulary(
    Estimator["VisualVocabularyModel"], _VocabularyParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Learns `k` visual words from packed descriptors.

    Descriptors are drawn by a hash of the picture's name and their number, sorted by it and trained on in one place, so
    the words do not depend on partitions or executors. When all are wanted and there are more than `ONE_PLACE`, the
    words learned from a draw are refined on the executors, an exact sum over all descriptors per iteration.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        k: int = 50,
        descriptor: str = "sift",
        sampleSize: int = 0,
        initMode: str = "k-means||",
        tolerance: float = 1e-4,
        maxIter: int = 2000,
        seed: int = 123,
        total: int = 0,
        inputCol: str = "descriptors",
        outputCol: str = "bag",
    ) -> None:
        super().__init__()
        self._setDefault(
            k=50,
            descriptor="sift",
            sampleSize=0,
            initMode="k-means||",
            tolerance=1e-4,
            maxIter=2000,
            seed=123,
            total=0,
            inputCol="descriptors",
            outputCol="bag",
        )
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "VisualVocabularyModel":
        require(dataset, "ima", self.getInputCol())
        total = self.getOrDefault(self.total) or self._count(dataset)
        if not total:
            raise ValueError("there are no descriptors to learn words from")
        wanted, much = self.sample_size(), total > ONE_PLACE
        size = wanted or (sampling.default_size(self.getOrDefault(self.k)) if much else total)
        found = self._train(self._draw(dataset, min(size, total), total))
        if wanted is None and much:
            found = self._refine(dataset, found)
        return self._copyValues(VisualVocabularyModel(vocabulary=found))

    def fit_drawn(self, drawn: NDArray[Any]) -> "VisualVocabularyModel":
        """The same from descriptors drawn already, `sample_size` of them, in the order of their keys: packed, of shape
        (n, values)."""
        return self._copyValues(VisualVocabularyModel(vocabulary=self._train(drawn)))

    def sample_size(self) -> int | None:
        """How many of very many descriptors are drawn; None where all are wanted."""
        size = self.getOrDefault(self.sampleSize)
        return None if size < 0 else size or sampling.default_size(self.getOrDefault(self.k))

    def _train(self, drawn: NDArray[Any]) -> kmeans.Vocabulary:
        spec = registry.get(self.getDescriptor())
        return kmeans.train(
            spec.unpack(drawn),
            self.getOrDefault(self.k),
            quantum=_quantum(spec),
            start=self.getOrDefault(self.initMode),
            tolerance=self.getOrDefault(self.tolerance),
            max_iterations=self.getOrDefault(self.maxIter),
            threads=driver_cores(),
        )

    def _count(self, dataset: "DataFrame") -> int:
        length = dataset.select(F.sum(F.length(self.getInputCol()))).first()
        return int((length and length[0]) or 0) // registry.get(self.getDescriptor()).bytes

    def _draw(self, dataset: "DataFrame", wanted: int, total: int) -> NDArray[Any]:
        """`wanted` descriptors with the lowest keys, in the order of their keys: packed, (wanted, values)."""
        column, seed = self.getInputCol(), self.getOrDefault(self.seed)
        spec, limit = registry.get(self.getDescriptor()), sampling.threshold(wanted, total)
        values = spec.values

        def work(batches: Batches) -> Batches:
            for batch in batches:
                if batch.num_rows:
                    rows, pictures = flatten(batch[column], spec.dtype, values)
                    keys = sampling.descriptor_keys(batch["ima"].to_pylist(), pictures, seed)
                    keep = keys <= limit
                    columns = [keys[keep].tobytes(), rows[keep].tobytes()]
                    yield pa.RecordBatch.from_arrays(
                        [pa.array([value], pa.binary()) for value in columns], ["keys", "rows"]
                    )

        schema = StructType().add("keys", BinaryType()).add("rows", BinaryType())
        found = dataset.select("ima", column).mapInArrow(work, schema).toArrow()
        keys = np.concatenate([np.frombuffer(part.as_buffer(), np.uint64) for part in found["keys"]])
        rows = np.concatenate(
            [np.frombuffer(part.as_buffer(), spec.dtype).reshape(-1, values) for part in found["rows"]]
        )
        return np.ascontiguousarray(rows[np.argsort(keys, kind="stable")[:wanted]])

    def _refine(self, dataset: "DataFrame", found: kmeans.Vocabulary) -> kmeans.Vocabulary:
        """Lloyd's iterations over all descriptors: a Spark job each, without a shuffle."""
        column, spec = self.getInputCol(), registry.get(self.getDescriptor())
        values = spec.values
        tolerance = max(self.getOrDefault(self.tolerance), _EXECUTORS_TOLERANCE)
        words, iterations, before = found.words, 0, float("inf")
        while True:

            def sums(batch: pa.RecordBatch, words: NDArray[np.float32] = words) -> kmeans.ClusterSums:
                return kmeans.cluster_sums(spec.unpack(flatten(batch[column], spec.dtype, values)[0]), words)

            part = collect_sum(dataset, [column], sums, kmeans.ClusterSums.from_bytes)
            assert part is not None
            inertia = kmeans.inertia_of(part, words)
            moved = kmeans.grid_mean(part.counts, part.sums, words, _quantum(spec))
            iterations += 1
            if (
                before - inertia < tolerance * before
                or np.array_equal(moved, words)
                or found.iterations + iterations >= self.getOrDefault(self.maxIter)
            ):
                return kmeans.Vocabulary(words, inertia, found.iterations + iterations, int(part.counts.sum()))
            words, before = moved, inertia


def _quantum(spec: Descriptor) -> float:
    if spec.quantum is None:
        raise ValueError(f"Words are learned from local descriptors of whole numbers, which {spec.name} has none of.")
    return spec.quantum


class VisualVocabularyModel(Model, _VocabularyParams, Stored):
    """Adds `bag` (array of K ints): how often each word occurs in the picture. `words` float32 (K, d)."""

    def __init__(self, vocabulary: kmeans.Vocabulary | None = None) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    @property
    def words(self) -> NDArray[np.float32]:
        assert self.vocabulary is not None
        return self.vocabulary.words

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        column, spec, words = self.getInputCol(), registry.get(self.getDescriptor()), self.words
        values = spec.values

        def bags(batch: pa.RecordBatch) -> list[pa.Array]:
            stacked, pictures = flatten(batch[column], spec.dtype, values)
            nearest = assign(spec.unpack(stacked), words)
            return [lists(histograms(nearest, pictures, batch.num_rows, len(words)))]

        return append_columns(dataset, [column], {self.getOutputCol(): ArrayType(IntegerType(), False)}, bags)

    def nearest_words(self, dataset: "DataFrame", output: str = "words") -> "DataFrame":
        """Adds the word of each descriptor, in their order: array of ints."""
        column, spec, words = self.getInputCol(), registry.get(self.getDescriptor()), self.words
        values = spec.values

        def nearest(batch: pa.RecordBatch) -> list[pa.Array]:
            stacked, pictures = flatten(batch[column], spec.dtype, values)
            counts = np.bincount(pictures, minlength=batch.num_rows).astype(np.int64)
            return [ragged(assign(spec.unpack(stacked), words), counts)]

        return append_columns(dataset, [column], {output: ArrayType(IntegerType(), False)}, nearest)

    def arrays(self) -> dict[str, NDArray[Any]]:
        assert self.vocabulary is not None
        own = self.vocabulary
        return {
            "words": own.words,
            "inertia": np.array(own.inertia),
            "iterations": np.array(own.iterations),
            "descriptors": np.array(own.descriptors),
        }

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        self.vocabulary = kmeans.Vocabulary(
            arrays["words"], float(arrays["inertia"]), int(arrays["iterations"]), int(arrays["descriptors"])
        )
        return self
