"""Features to categories."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model, Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol, HasPredictionCol, HasProbabilityCol, HasWeightCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, DoubleType, StringType, StructField, StructType

from job.columns import packed, predicted, rows_of, unpacked, vectors
from job.cores import available_cores
from job.learn import sketch, unknown
from job.learn.calibration import temperature
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.learn.halves import Halves, checked, held_out
from job.learn.moments import Moments
from job.learn.second_look import SecondLook
from job.learn.spreads import Spreads
from job.stages.base import (
    Accessors,
    HasImageCol,
    HasInputCol,
    HasOutputCol,
    Stored,
    Vectors,
    append_columns,
    at_least,
    collect_sum,
    keyword_only,
    one_of,
    require,
    width_of,
    with_columns,
)
from job.stages.rows import kept_rows, labels_of

# Column with the number of a changed copy of a picture, from 1; 0 for the picture itself.
_COPY = "copy"
# Column in which a row of features comes to the driver, float64 as bytes.
_ROW = "row of features"
# Most values of features that a network is trained on in the driver: 256 MB, and as much again while they are gathered.
_IN_DRIVER = 32_000_000

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class CategoryIndexer(Transformer, HasInputCol, HasOutputCol, Accessors, Stored):
    """Adds `label` (double): the place of `cat` in the alphabetical list of `categories`; null where it is not in it.

    A frame without the column `cat` is left as it is, so that new pictures can be classified.
    """

    _input_kwargs: dict[str, Any]

    categories: Param[list[str]] = Param(
        Params._dummy(), "categories", "names, alphabetical", typeConverter=TypeConverters.toListString
    )

    @keyword_only
    def __init__(self, *, categories: Sequence[str] = (), inputCol: str = "cat", outputCol: str = "label") -> None:
        super().__init__()
        self._setDefault(categories=[], inputCol="cat", outputCol="label")
        self._set(**self._input_kwargs)

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`. ValueError when the category is no text."""
        if self.getInputCol() not in schema.names:
            return schema
        require(schema, text=self.getInputCol())
        return with_columns(schema, {self.getOutputCol(): DoubleType()})

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        self.transformSchema(dataset.schema)
        if self.getInputCol() not in dataset.columns:
            return dataset
        names = F.array(*(F.lit(name) for name in self.getOrDefault(self.categories)))
        place = F.array_position(names, F.col(self.getInputCol()))
        return dataset.withColumn(self.getOutputCol(), F.when(place > 0, (place - 1).cast("double")))


class _ClassifierParams(HasImageCol, HasFeaturesCol, HasLabelCol, HasPredictionCol, HasProbabilityCol, HasWeightCol):
    kind: Param[str] = Param(
        Params._dummy(), "kind", "what learns the categories", typeConverter=one_of("classifier", CLASSIFIERS)
    )
    categories: Param[list[str]] = Param(
        Params._dummy(),
        "categories",
        "names of the labels 0, 1, ...; none: the labels themselves",
        typeConverter=TypeConverters.toListString,
    )
    maxIter: Param[int] = Param(Params._dummy(), "maxIter", "most iterations", typeConverter=at_least(1))
    seed: Param[int] = Param(Params._dummy(), "seed", "seed of the weights", typeConverter=at_least(0))
    calibrated: Param[bool] = Param(
        Params._dummy(),
        "calibrated",
        "make probabilities fit rows that were held out, where the classifier learns from sums",
        typeConverter=TypeConverters.toBoolean,
    )
    categoryCol: Param[str] = Param(
        Params._dummy(), "categoryCol", "column of the predicted category", typeConverter=TypeConverters.toString
    )

    def _classifier(self) -> Classifier:
        return CLASSIFIERS.get(self.getOrDefault(self.kind))

    def _outputs(self) -> dict[str, DataType]:
        return {
            self.getPredictionCol(): DoubleType(),
            self.getOrDefault(self.categoryCol): StringType(),
            self.getProbabilityCol(): VectorUDT(),
        }

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`. ValueError when the features are missing or no vector."""
        require(schema, vector=self.getFeaturesCol())
        return with_columns(schema, self._outputs())


class CategoryClassifier(
    Estimator["CategoryClassifierModel"], _ClassifierParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Trains one of `job.learn.classifiers`.

    One that learns from sums is trained on sums that the executors add up; `weightCol`, where it is set, says what each
    row counts for in them. Others are trained in the driver on the features of all pictures, 8 bytes a value; rows are
    ordered by `imageCol` where the frame has it, else by their features, so that what is learned does not depend on
    partitions.

    Networks (`logistic`, `mlp`) are trained by the executors where there are more than 32 million values: these keep
    the features, and add up the loss and its gradient as often as it is asked for.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        kind: str = "mlp",
        categories: Sequence[str] = (),
        maxIter: int = 200,
        seed: int = 123,
        calibrated: bool = False,
        weightCol: str = "",
        imageCol: str = "ima",
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        categoryCol: str = "predicted_cat",
        probabilityCol: str = "probability",
    ) -> None:
        super().__init__()
        self._setDefault(
            kind="mlp",
            categories=[],
            maxIter=200,
            seed=123,
            calibrated=False,
            weightCol="",
            imageCol="ima",
            featuresCol="features",
            labelCol="label",
            predictionCol="prediction",
            categoryCol="predicted_cat",
            probabilityCol="probability",
        )
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "CategoryClassifierModel":
        features, label = self.getFeaturesCol(), self.getLabelCol()
        self.transformSchema(dataset.schema)
        require(dataset.schema, number=label)
        if self.learns_from_sums():
            width, count = width_of(dataset, features), None
        else:
            if self.getOrDefault(self.weightCol):
                kind = self.getOrDefault(self.kind)
                raise ValueError(f"The classifier '{kind}' takes no weights: leave out weightCol.")
            count = dataset.count()
            width = width_of(dataset, features) if count else 0
        return self.fit_batches(
            dataset, [features], lambda batch: rows_of(batch[features], width or None), width, count
        )

    def fit_batches(
        self, dataset: "DataFrame", columns: Sequence[str], made: Vectors, width: int, count: int | None = None
    ) -> "CategoryClassifierModel":
        """The same where `made` gives the features (n, width) of a batch with `columns`, so that no frame of features
        is needed; `count` is the number of rows, for a classifier that does not learn from sums."""
        if self.learns_from_sums():
            return self._fit_sums(dataset, columns, made, width)
        label, name = self.getLabelCol(), self.getOrDefault(self.imageCol)
        count, from_rows = dataset.count() if count is None else count, self._classifier().from_rows
        if from_rows is not None and count * width > _IN_DRIVER:
            categories = self._count(dataset)
            seed, most = self.getOrDefault(self.seed), self.getOrDefault(self.maxIter)
            with kept_rows(dataset, columns, made, label, width, categories) as rows:
                return self._named(from_rows(rows, categories, seed=seed, max_iterations=most), categories)
        named = [name] if name in dataset.columns else []
        kept = [*named, label]

        def gathered(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                rows = packed(np.asarray(made(batch), np.float64))
                yield pa.RecordBatch.from_arrays([*(batch[own] for own in kept), rows], [*kept, _ROW])

        used = dataset.select(*dict.fromkeys([*kept, *columns]))
        schema = StructType([*(used.schema[own] for own in kept), StructField(_ROW, BinaryType())])
        table = used.mapInArrow(gathered, schema).toArrow()
        if table[label].null_count:
            raise ValueError(f"A row has no label: leave out the rows whose '{label}' is null.")
        table = table.sort_by(name) if named else table
        matrix, labels = unpacked(table[_ROW], np.float64, width), table[label].to_numpy().astype(np.int64)
        if not named:
            order = np.lexsort((labels, *matrix.T[::-1]))
            matrix, labels = matrix[order], labels[order]
        return self.fit_arrays(matrix, labels)

    def learns_from_sums(self) -> bool:
        """Whether the classifier learns from sums that the executors add up."""
        return self._classifier().from_moments is not None

    def _fit_sums(
        self, dataset: "DataFrame", columns: Sequence[str], made: Vectors, width: int
    ) -> "CategoryClassifierModel":
        """The same from sums that the executors add up: over rows held out to calibrate, and over all others."""
        label, weight, name = self.getLabelCol(), self.getOrDefault(self.weightCol), self.getOrDefault(self.imageCol)
        seed, count, named = self.getOrDefault(self.seed), self._count(dataset), name in dataset.columns
        calibrated = named and self.getOrDefault(self.calibrated)
        copied = [_COPY] if _COPY in dataset.columns else []

        def parted(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
            labels = labels_of(batch[label], label, count)
            return labels, held_out(batch[name].to_pylist(), seed) if calibrated else np.zeros(len(labels), np.bool_)

        def weighed(batch: pa.RecordBatch) -> NDArray[Any]:
            return batch[weight].to_numpy() if weight else np.ones(batch.num_rows)

        def sums(batch: pa.RecordBatch) -> Halves:
            labels, held = parted(batch)
            kinds, number = _by_kind(labels, count, _copies(batch))
            return Halves.over(np.asarray(made(batch), np.float64), kinds, number, weighed(batch), held)

        used = [*columns, label, *([weight] if weight else []), *([name] if named else []), *copied]
        found = collect_sum(dataset, used, sums, Halves.of, width=sketch.width_of(width))
        if found is None:
            raise ValueError("There are no pictures to learn categories from.")

        def again(look: SecondLook) -> Spreads | None:
            def seen(batch: pa.RecordBatch) -> Spreads:
                labels, held = parted(batch)
                return look.sums(np.asarray(made(batch), np.float64), labels, weighed(batch), held)

            # as large as a matrix of that width
            return collect_sum(dataset, used, seen, Spreads.of, width=math.isqrt(len(look.models) * count**3))

        return self._calibrated_model(
            found, count, width, again, lambda trained: self._held_scores(dataset, used, parted, made, trained)
        )

    def _held_scores(
        self,
        dataset: "DataFrame",
        columns: list[str],
        parted: Callable[[pa.RecordBatch], tuple[NDArray[np.int64], NDArray[np.bool_]]],
        made: Vectors,
        trained: Trained,
    ) -> "_Held":
        classifier, kinds = self._classifier(), ("chances", "labels", "distances")

        def scored(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                labels, held = parted(batch)
                if held.any():
                    own = batch.filter(pa.array(held))
                    rows = np.asarray(made(own), np.float64)
                    part = _Held.of(classifier, trained, rows, labels[held], _copies(own))
                    arrays = [pa.array([getattr(part, kind).tobytes()], pa.binary()) for kind in kinds]
                    yield pa.RecordBatch.from_arrays(arrays, kinds)

        found = dataset.select(*columns).mapInArrow(scored, ", ".join(f"{kind} binary" for kind in kinds)).toArrow()
        chances, labels, distances = (b"".join(found[kind].to_pylist()) for kind in kinds)
        own = np.frombuffer(labels, np.int64)
        return _Held(np.frombuffer(chances).reshape(len(own), -1), own, np.frombuffer(distances))

    def _calibrated_model(
        self,
        found: Halves,
        count: int,
        width: int,
        again: Callable[[SecondLook], Spreads | None],
        scored: Callable[[Trained], "_Held"],
    ) -> "CategoryClassifierModel":
        """The model of all rows. Its temperature, and how far known pictures may be, are found on those held out.

        `again` takes the sums of a second look at the rows, features of that `width`.
        """
        calibrated = self.getOrDefault(self.calibrated) and found.held.total
        calibrated = calibrated and found.rest.folded(count).counts.min() > 0
        parts = [found.rest + found.held, *([found.rest] if calibrated else [])]
        look = SecondLook(self._classifier(), [self._learned(each, count, width) for each in parts], count)
        trained, *others = look.refined(again(look) if look.wanted(width) else None)
        if others:
            held = scored(others[0])
            heat = temperature(np.log(np.maximum(held.chances, 1e-300)), held.labels)
            arrays = {**trained.arrays, "temperature": np.array(heat)}
            if len(held.distances):
                arrays[unknown.HELD] = unknown.quantiles(held.distances)
            trained = Trained(arrays, {**trained.facts, "temperature": heat})
        return self._named(trained, count)

    def _learned(self, found: Moments, count: int, width: int) -> Trained:
        """What is learned from sums by kind (`_by_kind`) over features of that `width`, and how far a picture is from
        what was learned from."""
        return self._classifier().learned(found.folded(count), width, (found.counts[:count], found.means[:count]))

    def _named(self, trained: Trained, count: int) -> "CategoryClassifierModel":
        model = self._copyValues(CategoryClassifierModel(trained))
        if not model.getOrDefault(model.categories):
            model._set(categories=[str(label) for label in range(count)])
        return model

    def _count(self, dataset: "DataFrame") -> int:
        """Number of categories: of the names that were given, else of the labels."""
        names = self.getOrDefault(self.categories)
        if names:
            return len(names)
        row = dataset.select(F.max(self.getLabelCol())).first()
        if row is None or row[0] is None:
            raise ValueError("There are no pictures to learn categories from.")
        return int(row[0]) + 1

    def fit_arrays(
        self,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        *,
        names: Sequence[str] | None = None,
        weights: NDArray[np.float64] | None = None,
        copies: NDArray[np.bool_] | None = None,
    ) -> "CategoryClassifierModel":
        """The same from features (n, d) and labels (n,), sorted by picture, that the driver holds already.

        `names` (n,) of the pictures say which are held out to calibrate; `weights` (n,) what each row counts for;
        `copies` (n,) which rows are changed copies, by which it is not found how far known pictures may be.
        """
        if not len(labels):
            raise ValueError("There are no pictures to learn categories from.")
        count = len(self.getOrDefault(self.categories)) or int(labels.max()) + 1
        checked(labels, count)
        if self.learns_from_sums():
            seed, calibrated = self.getOrDefault(self.seed), names is not None and self.getOrDefault(self.calibrated)
            held = held_out(names or (), seed) if calibrated else np.zeros(len(labels), np.bool_)
            kinds, number = _by_kind(labels, count, copies)
            whole = np.ones(len(labels)) if weights is None else weights
            halves, classifier = Halves.over(features, kinds, number, whole, held), self._classifier()

            def scored(trained: Trained) -> _Held:
                changed = None if copies is None else copies[held]
                return _Held.of(classifier, trained, features[held], labels[held], changed)

            def again(look: SecondLook) -> Spreads:
                return look.sums(features, labels, whole, held)

            return self._calibrated_model(halves, count, features.shape[1], again, scored)
        trained = self._classifier().fit(
            features,
            labels,
            count,
            seed=self.getOrDefault(self.seed),
            max_iterations=self.getOrDefault(self.maxIter),
            threads=available_cores(),
        )
        return self._named(trained, count)


def _by_kind(labels: NDArray[np.int64], count: int, copies: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], int]:
    """The labels, `count` more for changed copies, so that sums tell them apart; and the number of all of these."""
    return (labels, count) if copies is None else (labels + count * copies, 2 * count)


def _copies(batch: pa.RecordBatch) -> NDArray[np.bool_] | None:
    return np.asarray(batch[_COPY].to_numpy() > 0) if _COPY in batch.schema.names else None


@dataclass(frozen=True)
class _Held:
    """What is said of the m rows that were held out: their probabilities (m, C), `labels` (m,), and of those that are
    no changed copies the distance to the nearest category, which is nothing where the classifier does not know it."""

    chances: NDArray[np.float64]
    labels: NDArray[np.int64]
    distances: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        trained: Trained,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        copies: NDArray[np.bool_] | None,
    ) -> "_Held":
        own = features if copies is None else features[~copies]
        knows = classifier.distances is not None and unknown.WHITENING in trained.arrays
        distances = classifier.distances(own, trained) if classifier.distances and knows else np.empty(0)
        return cls(classifier.probabilities(features, trained), labels, distances)


class CategoryClassifierModel(Model, _ClassifierParams, Stored):
    """Adds `prediction` (double, a label), `predicted_cat` (string) and `probability` (vector, of every category); null
    for pictures that could not be described."""

    def __init__(self, trained: Trained | None = None) -> None:
        super().__init__()
        self._trained = trained

    @property
    def trained(self) -> Trained:
        """What was learned."""
        if self._trained is None:
            raise ValueError("The model has learned nothing yet: fit a CategoryClassifier, or load a stored model.")
        return self._trained

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        self.transformSchema(dataset.schema)
        column, trained, classifier = self.getFeaturesCol(), self.trained, self._classifier()
        names: list[str] = self.getOrDefault(self.categories)
        known = "reason" in dataset.columns

        def predict(batch: pa.RecordBatch) -> list[pa.Array]:
            unusable = np.asarray(batch["reason"].is_valid().to_numpy(zero_copy_only=False)) if known else None
            chances = classifier.probabilities(np.asarray(rows_of(batch[column]), np.float64), trained)
            return [*predicted(chances, names, unusable), vectors(chances, unusable)]

        inputs = [column, *(["reason"] if known else [])]
        return append_columns(dataset, inputs, self._outputs(), predict)

    def transform_arrays(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of shape (n, C) for features (n, d) that the driver holds already."""
        return self.chances_of()(features)

    def chances_of(self) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """What gives probabilities (n, C) for features (n, d), in a worker or in the driver."""
        classifier, trained = self._classifier(), self.trained
        return lambda features: classifier.probabilities(features, trained)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned, as its classifier names it."""
        return dict(self.trained.arrays)

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        self._trained = Trained(dict(arrays), {})
        return self
