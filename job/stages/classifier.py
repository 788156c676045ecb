"""Features to categories."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model, Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol, HasPredictionCol, HasProbabilityCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, StringType, StructType

from job.columns import rows_of, vectors
from job.cores import available_cores
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.stages.base import (
    Accessors,
    HasImageCol,
    HasInputCol,
    HasOutputCol,
    Stored,
    append_columns,
    at_least,
    keyword_only,
    one_of,
    require,
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


class _ClassifierParams(HasImageCol, HasFeaturesCol, HasLabelCol, HasPredictionCol, HasProbabilityCol):
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
    """Trains, in the driver, one of `job.learn.classifiers` on the features of all pictures, 8 bytes a value.

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
        table = dataset.select(*named, features, label).toArrow()
        if table[label].null_count:
            raise ValueError(f"A row has no label: leave out the rows whose '{label}' is null.")
        table = table.sort_by(name) if named else table
        matrix, labels = rows_of(table[features]), table[label].to_numpy().astype(np.int64)
        if not named:
            order = np.lexsort((labels, *matrix.T[::-1]))
            matrix, labels = matrix[order], labels[order]
        return self.fit_arrays(np.asarray(matrix, np.float64), labels)

    def fit_arrays(self, features: NDArray[np.float64], labels: NDArray[np.int64]) -> "CategoryClassifierModel":
        """The same from features (n, d) and labels (n,), sorted by picture, that the driver holds already."""
        if not len(labels):
            raise ValueError("There are no pictures to learn categories from.")
        count = len(self.getOrDefault(self.categories)) or int(labels.max()) + 1
        if labels.min() < 0 or labels.max() >= count:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"The label {wrong} has no category: labels go from 0 to {count - 1}.")
        trained = self._classifier().fit(
            features,
            labels,
            count,
            seed=self.getOrDefault(self.seed),
            max_iterations=self.getOrDefault(self.maxIter),
            threads=available_cores(),
        )
        model = self._copyValues(CategoryClassifierModel(trained))
        if not model.getOrDefault(model.categories):
            model._set(categories=[str(label) for label in range(count)])
        return model


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


def predicted(
    chances: NDArray[np.float64], categories: Sequence[str], unknown: NDArray[np.bool_] | None = None
) -> list[pa.Array]:
    """Columns for probabilities (n, C): the most probable label (float64) and its name; null in rows that are
    `unknown`, bool of shape (n,)."""
    best = chances.argmax(axis=1) if len(chances) else np.empty(0, np.int64)
    names = np.array(categories, object)[best]
    return [pa.array(best.astype(np.float64), mask=unknown), pa.array(names, pa.string(), mask=unknown)]
