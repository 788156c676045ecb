"""Features to categories."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model, Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StringType

from job.columns import rows_of
from job.learn import network
from job.stages.base import HasInputCol, HasOutputCol, Stored, append_columns, driver_cores, keyword_only, require

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class CategoryIndexer(Transformer, HasInputCol, HasOutputCol, Stored):
    """Adds `label` (double): the place of `cat` in the alphabetical list of `categories`; null where it is not in it.
    A frame without the column `cat` is left as it is, so that new pictures can be classified."""

    _input_kwargs: dict[str, Any]

    categories: Param[list[str]] = Param(
        Params._dummy(), "categories", "names, alphabetical", typeConverter=TypeConverters.toListString
    )

    @keyword_only
    def __init__(self, *, categories: Sequence[str] = (), inputCol: str = "cat", outputCol: str = "label") -> None:
        super().__init__()
        self._setDefault(categories=[], inputCol="cat", outputCol="label")
        self._set(**self._input_kwargs)

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        if self.getInputCol() not in dataset.columns:
            return dataset
        names = F.array(*(F.lit(name) for name in self.getOrDefault(self.categories)))
        place = F.array_position(names, F.col(self.getInputCol()))
        return dataset.withColumn(self.getOutputCol(), F.when(place > 0, (place - 1).cast("double")))


class _ClassifierParams(HasFeaturesCol, HasLabelCol):
    kind: Param[str] = Param(Params._dummy(), "kind", "mlp or logistic", typeConverter=TypeConverters.toString)
    categories: Param[list[str]] = Param(
        Params._dummy(), "categories", "names, alphabetical", typeConverter=TypeConverters.toListString
    )
    maxIter: Param[int] = Param(Params._dummy(), "maxIter", "most iterations", typeConverter=TypeConverters.toInt)
    seed: Param[int] = Param(Params._dummy(), "seed", "seed of the weights", typeConverter=TypeConverters.toInt)


class CategoryClassifier(
    Estimator["CategoryClassifierModel"], _ClassifierParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Trains, in the driver, a network on the features of all pictures (280 bytes each at 35 components).

    `mlp`: layers [d, d, d, C], as the prototype's. `logistic`: multinomial logistic regression on scaled features.
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
        featuresCol: str = "features",
        labelCol: str = "label",
    ) -> None:
        super().__init__()
        self._setDefault(kind="mlp", categories=[], maxIter=200, seed=123, featuresCol="features", labelCol="label")
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "CategoryClassifierModel":
        features, label = self.getFeaturesCol(), self.getLabelCol()
        require(dataset, "ima", features, label)
        table = dataset.select("ima", features, label).toArrow().sort_by("ima")
        matrix = rows_of(table[features], len(table[features][0]))
        return self.fit_arrays(matrix, table[label].to_numpy().astype(np.int64))

    def fit_arrays(self, features: NDArray[np.float64], labels: NDArray[np.int64]) -> "CategoryClassifierModel":
        """The same from features (n, d) and labels (n,), sorted by picture, that the driver holds already."""
        categories, width = self.getOrDefault(self.categories), features.shape[1]
        linear = self.getOrDefault(self.kind) == "logistic"
        layers = [width, len(categories)] if linear else [width, width, width, len(categories)]
        found = network.train(
            features,
            labels,
            layers,
            seed=self.getOrDefault(self.seed),
            max_iterations=self.getOrDefault(self.maxIter),
            scaled=linear,
            penalty=1e-2 if linear else 0.0,
            threads=driver_cores(),
        )
        return self._copyValues(CategoryClassifierModel(found))


class CategoryClassifierModel(Model, _ClassifierParams, Stored):
    """Adds `prediction` (double, a label), `predicted_cat` (string) and `probability` (double, of that category); null
    for pictures that could not be described."""

    def __init__(self, trained: network.Network | None = None) -> None:
        super().__init__()
        self.network = trained

    @property
    def layers(self) -> list[int]:
        """Values in each layer: features, hidden ..., categories."""
        assert self.network is not None
        return self.network.layers

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        column, trained = self.getFeaturesCol(), self.network
        assert trained is not None
        names = self.getOrDefault(self.categories)

        def predict(batch: pa.RecordBatch) -> list[pa.Array]:
            unknown = None
            if "reason" in batch.schema.names:
                unknown = np.asarray(batch["reason"].is_valid().to_numpy(zero_copy_only=False))
            return network.predictions(rows_of(batch[column], len(trained.centre)), trained, names, unknown)

        outputs = {"prediction": DoubleType(), "predicted_cat": StringType(), "probability": DoubleType()}
        return append_columns(dataset, [column], outputs, predict)

    def transform_arrays(self, features: NDArray[np.float64]) -> list[pa.Array]:
        """The three columns for features (n, d) that the driver holds already."""
        assert self.network is not None
        names: list[str] = self.getOrDefault(self.categories)
        return network.predictions(features, self.network, names)

    def arrays(self) -> dict[str, NDArray[Any]]:
        assert self.network is not None
        own = self.network
        return {
            "centre": own.centre,
            "scale": own.scale,
            **{f"weights_{depth}": matrix for depth, matrix in enumerate(own.weights)},
        }

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        depths = sorted((key for key in arrays if key.startswith("weights_")), key=lambda key: int(key[8:]))
        self.network = network.Network(arrays["centre"], arrays["scale"], tuple(arrays[key] for key in depths))
        return self
