"""One vector a picture to features: blocks side by side, and principal components."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql.types import StructType

from job.columns import rows_of, vectors
from job.learn import pca
from job.stages.base import (
    Accessors,
    HasInputCol,
    HasOutputCol,
    Stored,
    Vectors,
    append_columns,
    at_least,
    collect_sum,
    keyword_only,
    require,
    width_of,
    with_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _ReducerParams(Accessors, HasInputCol, HasOutputCol):
    k: Param[int] = Param(Params._dummy(), "k", "components kept", typeConverter=at_least(1))

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`. ValueError when the input is missing or no vector."""
        require(schema, vector=self.getInputCol())
        return with_columns(schema, {self.getOutputCol(): VectorUDT()})


class PrincipalComponents(
    Estimator["PrincipalComponentsModel"], _ReducerParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Fits the `k` principal axes of vectors (Spark ML's, or arrays of numbers): one pass over them.

    Axes beyond the rank of the data are zero, so that the components there are 0 for every picture.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, k: int = 35, inputCol: str = "bag", outputCol: str = "features") -> None:
        super().__init__()
        self._setDefault(k=35, inputCol="bag", outputCol="features")
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "PrincipalComponentsModel":
        column = self.getInputCol()
        self.transformSchema(dataset.schema)
        return self.fit_batches(dataset, [column], lambda batch: rows_of(batch[column]), width_of(dataset, column))

    def fit_batches(
        self, dataset: "DataFrame", columns: Sequence[str], made: Vectors, width: int
    ) -> "PrincipalComponentsModel":
        """The same where `made` gives the vectors (n, width) of a batch with `columns`."""
        self._check(width)

        def sums(batch: pa.RecordBatch) -> pca.Moments:
            return pca.moments(made(batch))

        part = collect_sum(dataset, list(columns), sums, pca.Moments.of, width=width)
        if part is None:
            raise ValueError("There are no rows to find components of.")
        return self._model(pca.fit(part, self.getOrDefault(self.k)))

    def fit_arrays(self, rows: Any) -> "PrincipalComponentsModel":
        """The same from vectors (n, K) that the driver holds already: an array, or a sparse matrix of scipy."""
        self._check(rows.shape[1])
        return self._model(pca.fit_rows(rows, self.getOrDefault(self.k)))

    def _check(self, width: int) -> None:
        if self.getOrDefault(self.k) > width:
            raise ValueError(
                f"k is {self.getOrDefault(self.k)}: there are at most {width} components of {width} values."
            )

    def _model(self, projection: pca.Projection) -> "PrincipalComponentsModel":
        return self._copyValues(PrincipalComponentsModel(projection))


class PrincipalComponentsModel(Model, _ReducerParams, Stored):
    """Adds `features` (vector): the input, centred, on the principal axes."""

    def __init__(self, projection: pca.Projection | None = None) -> None:
        super().__init__()
        self._projection = projection

    @property
    def projection(self) -> pca.Projection:
        """Mean, axes and variances."""
        if self._projection is None:
            raise ValueError("The model has learned nothing yet: fit PrincipalComponents, or load a stored model.")
        return self._projection

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        self.transformSchema(dataset.schema)
        column, projection = self.getInputCol(), self.projection
        width = len(projection.mean)

        def features(batch: pa.RecordBatch) -> list[pa.Array]:
            return [vectors(pca.project(rows_of(batch[column], width), projection))]

        return append_columns(dataset, [column], {self.getOutputCol(): VectorUDT()}, features)

    def transform_arrays(self, rows: Any) -> NDArray[np.float64]:
        """Features of shape (n, k) of vectors of shape (n, K) that the driver holds already, sparse or not."""
        return pca.project(rows, self.projection)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean (K,), axes (K, k) and variances (k,), all float64."""
        own = self.projection
        return {"mean": own.mean, "axes": own.axes, "variances": own.variances}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        self._projection = pca.Projection(arrays["mean"], arrays["axes"], arrays["variances"])
        return self
