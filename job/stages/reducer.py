"""Bags of words to features: principal components."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql.types import ArrayType, DoubleType

from job.columns import lists, rows_of
from job.learn import pca
from job.stages.base import (
    HasInputCol,
    HasOutputCol,
    Stored,
    append_columns,
    collect_sum,
    keyword_only,
    require,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class PrincipalComponents(
    Estimator["PrincipalComponentsModel"], HasInputCol, HasOutputCol, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Fits the `k` principal axes of the bags of words, from exact sums: one pass, no shuffle."""

    _input_kwargs: dict[str, Any]

    k: Param[int] = Param(Params._dummy(), "k", "components kept", typeConverter=TypeConverters.toInt)

    @keyword_only
    def __init__(self, *, k: int = 35, inputCol: str = "bag", outputCol: str = "features") -> None:
        super().__init__()
        self._setDefault(k=35, inputCol="bag", outputCol="features")
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "PrincipalComponentsModel":
        column = self.getInputCol()
        require(dataset, column)

        def sums(batch: pa.RecordBatch) -> pca.Moments:
            return pca.moments(rows_of(batch[column], len(batch[column][0])))

        part = collect_sum(dataset, [column], sums, pca.Moments.from_bytes)
        if part is None:
            raise ValueError("there are no bags of words to fit principal components to")
        return self._model(part)

    def fit_arrays(self, bags: NDArray[np.integer]) -> "PrincipalComponentsModel":
        """The same from bags (n, K) that the driver holds already."""
        return self._model(pca.moments(bags))

    def _model(self, part: pca.Moments) -> "PrincipalComponentsModel":
        model = PrincipalComponentsModel(pca.fit(part, self.getOrDefault(self.k)))
        return self._copyValues(model)


class PrincipalComponentsModel(Model, HasInputCol, HasOutputCol, Stored):
    """Adds `features` (array of doubles): the bag, centred, on the principal axes."""

    def __init__(self, projection: pca.Projection | None = None) -> None:
        super().__init__()
        self.projection = projection

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        column, projection = self.getInputCol(), self.projection
        assert projection is not None
        width = len(projection.mean)

        def features(batch: pa.RecordBatch) -> list[pa.Array]:
            return [lists(pca.project(rows_of(batch[column], width), projection))]

        return append_columns(dataset, [column], {self.getOutputCol(): ArrayType(DoubleType(), False)}, features)

    def transform_arrays(self, bags: NDArray[np.integer]) -> NDArray[np.float64]:
        """Features (n, k) of bags (n, K) that the driver holds already."""
        assert self.projection is not None
        return pca.project(bags, self.projection)

    def arrays(self) -> dict[str, NDArray[Any]]:
        assert self.projection is not None
        own = self.projection
        return {"mean": own.mean, "axes": own.axes, "variances": own.variances}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        self.projection = pca.Projection(arrays["mean"], arrays["axes"], arrays["variances"])
        return self
