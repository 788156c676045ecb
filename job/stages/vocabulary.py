"""Descriptors to one vector a picture: visual words and their counts, or any other encoding."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DataType, FloatType, IntegerType, StructType

from job.columns import binaries, flatten, lists, packed, ragged, unpacked
from job.cores import available_cores
from job.learn import kmeans, sampling
from job.learn.assign import assign
from job.learn.encodings import ENCODINGS, fitting
from job.learn.encodings.base import Codebook, Encoding
from job.learn.start import random_words
from job.stages.base import (
    Batches,
    HasDescriptor,
    HasImageCol,
    HasInputCol,
    HasOutputCol,
    Stored,
    append_columns,
    at_least,
    collect_sum,
    keyword_only,
    one_of,
    require,
    with_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Descriptors that are trained on in one place, the driver: a million rows of SIFT are 128 MB. More are trained on where
# they are, on the executors.
ONE_PLACE = 1_000_000


class _VocabularyParams(HasDescriptor, HasImageCol, HasInputCol, HasOutputCol):
    encoding: Param[str] = Param(
        Params._dummy(), "encoding", "what makes a vector of descriptors", typeConverter=one_of("encoding", ENCODINGS)
    )
    k: Param[int] = Param(Params._dummy(), "k", "number of visual words", typeConverter=at_least(1))
    sampleSize: Param[int] = Param(
        Params._dummy(),
        "sampleSize",
        "descriptors to train on; 0: as many as the encoding wants; -1: all",
        typeConverter=at_least(-1),
    )
    initMode: Param[str] = Param(
        Params._dummy(),
        "initMode",
        "first words: 'k-means||' (far ones) or 'random'",
        typeConverter=one_of("initMode", ("k-means||", "random")),
    )
    tolerance: Param[float] = Param(
        Params._dummy(),
        "tolerance",
        "least relative gain of an iteration; 0: until no word moves",
        typeConverter=TypeConverters.toFloat,
    )
    maxIter: Param[int] = Param(Params._dummy(), "maxIter", "most iterations", typeConverter=at_least(1))
    seed: Param[int] = Param(Params._dummy(), "seed", "seed of every draw", typeConverter=at_least(0))

    def _encoding(self) -> Encoding:
        return ENCODINGS.get(self.getOrDefault(self.encoding))

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`.

        Raises
        ------
        ValueError
            The column of descriptors is missing, of a wrong type, or was written by another descriptor, or the encoding
            needs descriptors with places and these have none (or the other way round).

        """
        column, spec, encoding = self.getInputCol(), self._spec(), self._encoding()
        if encoding.placed != bool(spec.places):
            which = ", ".join(fitting(placed=not encoding.placed))
            raise ValueError(
                f"The encoding '{encoding.name}' does not go with the descriptor '{spec.name}', whose rows say "
                f"{'where they are' if spec.places else 'nothing of their places'}: choose one of {which}."
            )
        require(schema, binary=column)
        written_by = schema[column].metadata.get("descriptor", self.getDescriptor())
        if written_by != self.getDescriptor():
            raise ValueError(
                f"The column '{column}' holds descriptors of '{written_by}', not of '{self.getDescriptor()}': set the "
                "parameter descriptor."
            )
        return with_columns(schema, {self.getOutputCol(): self._output_type()})

    def _output_type(self) -> DataType:
        whole = np.issubdtype(self._encoding().dtype, np.integer)
        return ArrayType(IntegerType() if whole else FloatType(), False)


class VisualVocabulary(
    Estimator["VisualVocabularyModel"], _VocabularyParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Learns `k` visual words, or what else the encoding needs, from packed descriptors.

    Descriptors are drawn by a hash of the picture's name and their number, sorted by it and trained on in one place, so
    the words do not depend on partitions or executors. When all are wanted and there are more than `ONE_PLACE`, the
    words of k-means are trained on the executors, an exact sum over all descriptors per iteration; what other encodings
    learn (`fisher`, `patches` and those with places) they learn from a draw of `ONE_PLACE`.

    The names in `imageCol` must differ from picture to picture. Where two pictures share one, the draw is still the
    same for any partitions, because equal keys are ordered by the descriptors themselves.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        k: int = 50,
        descriptor: str = "sift",
        encoding: str = "counts",
        sampleSize: int = 0,
        initMode: str = "k-means||",
        tolerance: float = 1e-4,
        maxIter: int = 2000,
        seed: int = 123,
        imageCol: str = "ima",
        inputCol: str = "descriptors",
        outputCol: str = "bag",
    ) -> None:
        super().__init__()
        self._setDefault(
            k=50,
            descriptor="sift",
            encoding="counts",
            sampleSize=0,
            initMode="k-means||",
            tolerance=1e-4,
            maxIter=2000,
            seed=123,
            imageCol="ima",
            inputCol="descriptors",
            outputCol="bag",
        )
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "VisualVocabularyModel":
        return self.fit_counted(dataset, 0)

    def fit_counted(self, dataset: "DataFrame", total: int) -> "VisualVocabularyModel":
        """The same as `fit`, from a frame that is known to hold `total` descriptors; 0: they are counted first."""
        self.transformSchema(dataset.schema)
        if not self._encoding().learns:
            return self.fit_drawn(np.empty((0, self._spec().values), self._spec().dtype))
        require(dataset.schema, text=self.getOrDefault(self.imageCol))
        total = total or self._count(dataset)
        if not total:
            raise ValueError("There are no descriptors to learn words from.")
        wanted = self.sample_size()
        size = min(wanted or total, total, max(wanted or ONE_PLACE, 1))
        drawn = self._draw(dataset, size, total)
        if wanted is None and total > ONE_PLACE:
            return self._copyValues(VisualVocabularyModel(self._refined(dataset, drawn)))
        return self.fit_drawn(drawn)

    def fit_drawn(self, drawn: NDArray[Any]) -> "VisualVocabularyModel":
        """The same from descriptors drawn already, `sample_size` of them, in the order of their keys: packed, of shape
        (n, values)."""
        return self._copyValues(VisualVocabularyModel(self._train(drawn)))

    def sample_size(self) -> int | None:
        """How many of very many descriptors are drawn; None where all are wanted."""
        size = self.getOrDefault(self.sampleSize)
        spec = self._spec()
        wanted = size or self._encoding().sample_size(self.getOrDefault(self.k), spec.bytes)
        return None if size < 0 else wanted

    def _train(self, drawn: NDArray[Any]) -> Codebook:
        spec, encoding = self._spec(), self._encoding()
        if not encoding.learns:
            return Codebook({}, {})
        return encoding.fit(
            spec.unpack(drawn),
            self.getOrDefault(self.k),
            quantum=spec.quantum,
            seed=self.getOrDefault(self.seed),
            start=self.getOrDefault(self.initMode),
            tolerance=self.getOrDefault(self.tolerance),
            max_iterations=self.getOrDefault(self.maxIter),
            threads=available_cores(),
        )

    def _count(self, dataset: "DataFrame") -> int:
        length = dataset.select(F.sum(F.length(self.getInputCol()))).first()
        return int((length and length[0]) or 0) // self._spec().bytes

    def _draw(self, dataset: "DataFrame", wanted: int, total: int) -> NDArray[Any]:
        """`wanted` descriptors with the lowest keys, in the order of their keys: packed, (wanted, values)."""
        column, name, seed = self.getInputCol(), self.getOrDefault(self.imageCol), self.getOrDefault(self.seed)
        spec, limit = self._spec(), sampling.threshold(wanted, total)

        def work(batches: Batches) -> Batches:
            for batch in batches:
                if batch.num_rows:
                    rows, pictures = flatten(batch[column], spec.dtype, spec.values)
                    keys = sampling.descriptor_keys(batch[name].to_pylist(), pictures, seed)
                    keep = keys <= limit
                    parts = [keys[keep].tobytes(), rows[keep].tobytes()]
                    yield pa.RecordBatch.from_arrays([binaries([part]) for part in parts], ["keys", "rows"])

        schema = StructType().add("keys", BinaryType()).add("rows", BinaryType())
        found = dataset.select(name, column).mapInArrow(work, schema).toArrow()
        keys = np.concatenate([np.frombuffer(part.as_buffer(), np.uint64) for part in found["keys"]])
        rows = np.concatenate(
            [np.frombuffer(part.as_buffer(), spec.dtype).reshape(-1, spec.values) for part in found["rows"]]
        )
        return np.ascontiguousarray(rows[_order(keys, rows)[:wanted]])

    def _refined(self, dataset: "DataFrame", drawn: NDArray[Any]) -> Codebook:
        """Words from all descriptors, by Lloyd's iterations on the executors: a Spark job each, without a shuffle.

        They start where the parameters say: with a tolerance from the words of a draw, without one from random words
        of it, and then go on until no word moves.
        """
        encoding = self._encoding()
        if encoding.of_words is None:
            return self._train(drawn)
        column, spec = self.getInputCol(), self._spec()
        quantum, tolerance = spec.quantum, self.getOrDefault(self.tolerance)
        most = self.getOrDefault(self.maxIter)
        if quantum is None:
            raise ValueError(f"Words need descriptors of whole numbers, and those of {spec.name} are not.")
        if tolerance or self.getOrDefault(self.initMode) != "random":
            trained = self._train(drawn)
            words, iterations = trained.arrays["words"], int(trained.facts["iterations"])
        else:
            words, iterations = random_words(spec.unpack(drawn), self.getOrDefault(self.k)), 0
        before = float("inf")
        while True:

            def sums(batch: pa.RecordBatch, words: NDArray[np.float32] = words) -> kmeans.ClusterSums:
                return kmeans.cluster_sums(spec.unpack(flatten(batch[column], spec.dtype, spec.values)[0]), words)

            part = collect_sum(dataset, [column], sums, kmeans.ClusterSums.of)
            assert part is not None
            inertia = kmeans.inertia_of(part, words)
            moved = kmeans.grid_mean(part.counts, part.sums, words, quantum)
            self._fill_empty(dataset, part.counts, words, moved)
            iterations += 1
            calm = bool(tolerance) and before - inertia < tolerance * before
            if calm or np.array_equal(moved, words) or iterations >= most:
                found = kmeans.Vocabulary(words, inertia, iterations, int(part.counts.sum()))
                return encoding.of_words(found.codebook(), part.counts)
            words, before = moved, inertia

    def _fill_empty(
        self, dataset: "DataFrame", counts: NDArray[np.int64], words: NDArray[np.float32], moved: NDArray[np.float32]
    ) -> None:
        """Puts words without descriptors where descriptors lie farthest from their own words; a job, where there are
        such words."""
        empty = np.flatnonzero(counts == 0)
        if not len(empty):
            return
        column, spec = self.getInputCol(), self._spec()

        def far(batch: pa.RecordBatch) -> kmeans.Farthest:
            rows = spec.unpack(flatten(batch[column], spec.dtype, spec.values)[0])
            return kmeans.farthest(rows, words, len(empty), moved)

        found = collect_sum(dataset, [column], far, kmeans.Farthest.of)
        assert found is not None
        moved[empty[: len(found.rows)]] = found.rows.astype(np.float32)


def _order(keys: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.intp]:
    """The order of descriptors by their keys; where keys are equal, by the bytes of the descriptors themselves."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if not (ordered[1:] == ordered[:-1]).any():
        return order
    texts = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    places = np.unique(texts, return_inverse=True)[1].ravel()
    return np.lexsort((places, keys))


class VisualVocabularyModel(Model, _VocabularyParams, Stored):
    """Adds `bag`: one vector a picture, an array of ints (how often each of the K words occurs in it) or, for other
    encodings, of floats."""

    def __init__(self, codebook: Codebook | None = None) -> None:
        super().__init__()
        self._codebook = codebook

    @property
    def codebook(self) -> Codebook:
        """What was learned."""
        if self._codebook is None:
            raise ValueError("The model has learned nothing yet: fit a VisualVocabulary, or load a stored model.")
        return self._codebook

    @property
    def vocabulary(self) -> kmeans.Vocabulary:
        """Visual words, and how they were learned; of the encoding "counts"."""
        facts = self.codebook.facts
        return kmeans.Vocabulary(
            self.words, float(facts["inertia"]), int(facts["iterations"]), int(facts["descriptors"])
        )

    @property
    def words(self) -> NDArray[np.float32]:
        """Visual words, float32 of shape (K, d)."""
        return self.codebook.arrays["words"]

    @property
    def width(self) -> int:
        """Length of the vector of a picture."""
        return self._encoding().width(self.getOrDefault(self.k), self._spec().width)

    def encode(self, column: pa.Array) -> NDArray[Any]:
        """The vectors of a column of packed descriptors: int32 or float32 of shape (rows of the column, width)."""
        spec = self._spec()
        stacked, pictures = flatten(column, spec.dtype, spec.values)
        return self._encoding().encode(spec.unpack(stacked), pictures, len(column), self.codebook)

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        return _encoded(dataset, [self], None, lists, {self.getOutputCol(): self._output_type()})

    def nearest_words(self, dataset: "DataFrame", output: str = "words") -> "DataFrame":
        """Adds the word of each descriptor, in their order: array of ints."""
        column, spec, words = self.getInputCol(), self._spec(), self.words

        def nearest(batch: pa.RecordBatch) -> list[pa.Array]:
            stacked, pictures = flatten(batch[column], spec.dtype, spec.values)
            counts = np.bincount(pictures, minlength=batch.num_rows).astype(np.int64)
            return [ragged(assign(spec.unpack(stacked), words), counts)]

        return append_columns(dataset, [column], {output: ArrayType(IntegerType(), False)}, nearest)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned, and how: the facts are arrays of no dimension, named `fact_...`."""
        own = self.codebook
        return {**own.arrays, **{f"fact_{name}": np.array(value) for name, value in own.facts.items()}}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        facts = {name.removeprefix("fact_"): array.item() for name, array in arrays.items() if name[:5] == "fact_"}
        self._codebook = Codebook({name: array for name, array in arrays.items() if name[:5] != "fact_"}, facts)
        return self


def encoded_as_bytes(dataset: "DataFrame", models: Sequence[VisualVocabularyModel], keep: Sequence[str]) -> "DataFrame":
    """The frame with the vectors of several models, in one pass, and of its own columns those in `keep`.

    Each vector is bytes, which `blocks_of` reads: Spark hands bytes on as a whole, and arrays value by value.
    """
    return _encoded(dataset, models, keep, packed, {model.getOutputCol(): BinaryType() for model in models})


def blocks_of(models: Sequence[VisualVocabularyModel]) -> Callable[[pa.RecordBatch | pa.Table], list[NDArray[Any]]]:
    """What reads the columns of `encoded_as_bytes`: it gives the vectors of each model, int32 or float32 (n, width)."""
    found = [(model.getOutputCol(), model._encoding().dtype, model.width) for model in models]

    def blocks(batch: pa.RecordBatch | pa.Table) -> list[NDArray[Any]]:
        return [unpacked(batch[name], dtype, width) for name, dtype, width in found]

    return blocks


def _encoded(
    dataset: "DataFrame",
    models: Sequence[VisualVocabularyModel],
    keep: Sequence[str] | None,
    column_of: Callable[[NDArray[Any]], pa.Array],
    outputs: Mapping[str, DataType],
) -> "DataFrame":
    schema = dataset.schema
    for model in models:
        model.transformSchema(schema)
    specs = [(model.getInputCol(), model._spec(), model._encoding(), model.codebook) for model in models]

    def bags(batch: pa.RecordBatch) -> list[pa.Array]:
        found = []
        for column, spec, encoding, codebook in specs:
            stacked, pictures = flatten(batch[column], spec.dtype, spec.values)
            found.append(column_of(encoding.encode(spec.unpack(stacked), pictures, batch.num_rows, codebook)))
        return found

    return append_columns(dataset, [model.getInputCol() for model in models], outputs, bags, keep)
