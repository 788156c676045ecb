"""Features to categories."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from pyspark.sql.types import DataType, DoubleType, StringType, StructType

from job.columns import predicted, rows_of, vectors
from job.cores import available_cores
from job.learn.calibration import temperature
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.learn.halves import Halves, checked, held_out
from job.stages.base import (
    Accessors,
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
    width_of,
    with_columns,
)

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
    row counts for in them. Others are trained in the driver on the features of all pictures, 8 bytes a value.

    Rows are ordered by `imageCol` where the frame has it, else by their features, so that what is learned does not
    depend on partitions.
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
        features, label, name = self.getFeaturesCol(), self.getLabelCol(), self.getOrDefault(self.imageCol)
        self.transformSchema(dataset.schema)
        require(dataset.schema, number=label)
        named = [name] if name in dataset.columns else []
        if self._classifier().from_moments is not None:
            return self._fit_sums(dataset, bool(named))
        if self.getOrDefault(self.weightCol):
            raise ValueError(f"The classifier '{self.getOrDefault(self.kind)}' takes no weights: leave out weightCol.")
        table = dataset.select(*named, features, label).toArrow()
        if table[label].null_count:
            raise ValueError(f"A row has no label: leave out the rows whose '{label}' is null.")
        table = table.sort_by(name) if named else table
        matrix, labels = rows_of(table[features]), table[label].to_numpy().astype(np.int64)
        if not named:
            order = np.lexsort((labels, *matrix.T[::-1]))
            matrix, labels = matrix[order], labels[order]
        return self.fit_arrays(np.asarray(matrix, np.float64), labels)

    def _fit_sums(self, dataset: "DataFrame", named: bool) -> "CategoryClassifierModel":
        """From sums over the rows of the executors: of those that are held out to calibrate, and of all others."""
        features, label, weight = self.getFeaturesCol(), self.getLabelCol(), self.getOrDefault(self.weightCol)
        name, seed, count = self.getOrDefault(self.imageCol), self.getOrDefault(self.seed), self._count(dataset)
        calibrated = named and self.getOrDefault(self.calibrated)

        def parted(batch: pa.RecordBatch) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
            if batch[label].null_count:
                raise ValueError(f"A row has no label: leave out the rows whose '{label}' is null.")
            rows, labels = np.asarray(rows_of(batch[features]), np.float64), batch[label].to_numpy().astype(np.int64)
            held = held_out(batch[name].to_pylist(), seed) if calibrated else np.zeros(len(labels), np.bool_)
            return rows, checked(labels, count), held

        def sums(batch: pa.RecordBatch) -> Halves:
            rows, labels, held = parted(batch)
            weights = batch[weight].to_numpy() if weight else np.ones(len(labels))
            return Halves.over(rows, labels, count, weights, held)

        columns = [features, label, *([weight] if weight else []), *([name] if named else [])]
        found = collect_sum(dataset, columns, sums, Halves.of, width=width_of(dataset, features))
        assert found is not None
        return self._calibrated_model(found, lambda trained: self._held_scores(dataset, columns, parted, trained))

    def _held_scores(
        self, dataset: "DataFrame", columns: list[str], parted: Callable[[pa.RecordBatch], Any], trained: Trained
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logarithms of the probabilities of the rows that were held out, (m, C), and their labels."""
        classifier = self._classifier()

        def scored(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                rows, labels, held = parted(batch)
                if held.any():
                    chances = classifier.probabilities(rows[held], trained)
                    parts = [pa.array([part.tobytes()], pa.binary()) for part in (chances, labels[held])]
                    yield pa.RecordBatch.from_arrays(parts, ["chances", "labels"])

        found = dataset.select(*columns).mapInArrow(scored, "chances binary, labels binary").toArrow()
        chances, labels = (b"".join(found[part].to_pylist()) for part in ("chances", "labels"))
        own = np.frombuffer(labels, np.int64)
        return _logarithms(np.frombuffer(chances, np.float64).reshape(len(own), -1)), own

    def _calibrated_model(
        self, found: "Halves", scored: Callable[[Trained], tuple[NDArray[np.float64], NDArray[np.int64]]]
    ) -> "CategoryClassifierModel":
        """The model of all rows, its temperature found on those that were held out."""
        learn = self._classifier().from_moments
        assert learn is not None
        trained = learn(found.rest + found.held)
        if self.getOrDefault(self.calibrated) and found.held.total and found.rest.counts.min() > 0:
            heat = temperature(*scored(learn(found.rest)))
            trained = Trained({**trained.arrays, "temperature": np.array(heat)}, {**trained.facts, "temperature": heat})
        return self._named(trained, len(found.rest.counts))

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
    ) -> "CategoryClassifierModel":
        """The same from features (n, d) and labels (n,), sorted by picture, that the driver holds already.

        `names` (n,) of the pictures say which are held out to calibrate; `weights` (n,) what each row counts for.
        """
        if not len(labels):
            raise ValueError("There are no pictures to learn categories from.")
        count = len(self.getOrDefault(self.categories)) or int(labels.max()) + 1
        checked(labels, count)
        if self._classifier().from_moments is not None:
            seed, calibrated = self.getOrDefault(self.seed), names is not None and self.getOrDefault(self.calibrated)
            held = held_out(names or (), seed) if calibrated else np.zeros(len(labels), np.bool_)
            halves = Halves.over(features, labels, count, np.ones(len(labels)) if weights is None else weights, held)

            def scored(trained: Trained) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
                return _logarithms(self._classifier().probabilities(features[held], trained)), labels[held]

            return self._calibrated_model(halves, scored)
        trained = self._classifier().fit(
            features,
            labels,
            count,
            seed=self.getOrDefault(self.seed),
            max_iterations=self.getOrDefault(self.maxIter),
            threads=available_cores(),
        )
        return self._named(trained, count)


def _logarithms(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(chances, 1e-300))


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
            unknown = np.asarray(batch["reason"].is_valid().to_numpy(zero_copy_only=False)) if known else None
            chances = classifier.probabilities(np.asarray(rows_of(batch[column]), np.float64), trained)
            return [*predicted(chances, names, unknown), vectors(chances, unknown)]

        inputs = [column, *(["reason"] if known else [])]
        return append_columns(dataset, inputs, self._outputs(), predict)

    def transform_arrays(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of shape (n, C) for features (n, d) that the driver holds already."""
        return self._classifier().probabilities(features, self.trained)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned, as its classifier names it."""
        return dict(self.trained.arrays)

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        self._trained = Trained(dict(arrays), {})
        return self
