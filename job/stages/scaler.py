"""The vectors of several blocks side by side, each block scaled as a whole."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCols
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql.types import StructType

from job.columns import rows_of, vectors
from job.learn import scaling
from job.stages.base import (
    Accessors,
    HasOutputCol,
    Stored,
    append_columns,
    collect_sum,
    keyword_only,
    require,
    with_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Blocks = Callable[[pa.RecordBatch], list[NDArray[Any]]]
"""Makes the vectors of each block of a batch, in a worker."""


class _ScalerParams(Accessors, HasInputCols, HasOutputCol):
    scaled: Param[bool] = Param(
        Params._dummy(),
        "scaled",
        "bring each block to length 1, centre it and divide it by its total deviation",
        typeConverter=TypeConverters.toBoolean,
    )

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the output for an input of `schema`. ValueError when an input is missing or no vector."""
        for name in self.getInputCols():
            require(schema, vector=name)
        return with_columns(schema, {self.getOutputCol(): VectorUDT()})


class BlockScaler(Estimator["BlockScalerModel"], _ScalerParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Puts vectors side by side. With `scaled`, each block is first brought to length 1, centred and divided by its
    total deviation, as `job.learn.scaling` says."""

    _input_kwargs: dict[str, Any]

    weights: Param[list[float]] = Param(
        Params._dummy(),
        "weights",
        "deviations of the scaled blocks; none: 1 each",
        typeConverter=TypeConverters.toListFloat,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: Sequence[str] = ("bag",),
        outputCol: str = "features",
        scaled: bool = True,
        weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self._setDefault(inputCols=["bag"], outputCol="features", scaled=True, weights=[])
        self._set(**self._input_kwargs)

    def _fit(self, dataset: "DataFrame") -> "BlockScalerModel":
        self.transformSchema(dataset.schema)
        columns = self.getInputCols()
        return self.fit_batches(dataset, columns, lambda batch: [rows_of(batch[name]) for name in columns])

    def fit_batches(self, dataset: "DataFrame", columns: Sequence[str], blocks: Blocks) -> "BlockScalerModel":
        """The same where `blocks` gives the vectors of each block (n, width) of a batch with `columns`."""

        def sums(batch: pa.RecordBatch) -> scaling.Sums:
            return scaling.sums(blocks(batch))

        part = collect_sum(dataset, list(columns), sums, scaling.Sums.of)
        if part is None:
            raise ValueError(f"There are no rows in '{columns[0]}' to scale by.")
        return self._model(part)

    def fit_arrays(self, rows: NDArray[Any], widths: Sequence[int]) -> "BlockScalerModel":
        """The same from the blocks side by side, (n, sum of `widths`), that the driver holds already."""
        return self._model(scaling.sums(scaling.split(rows, widths)))

    def _model(self, part: scaling.Sums) -> "BlockScalerModel":
        weights: Sequence[float] = self.getOrDefault("weights")
        fitted = scaling.fit(part, scaled=self.getOrDefault(self.scaled), weights=weights)
        return self._copyValues(BlockScalerModel(fitted))


class BlockScalerModel(Model, _ScalerParams, Stored):
    """Adds `features` (vector): the blocks side by side, each of them scaled."""

    def __init__(self, found: scaling.Scaling | None = None) -> None:
        super().__init__()
        self._scaling = found

    @property
    def fitted(self) -> scaling.Scaling:
        """Widths, means and deviations of the blocks."""
        if self._scaling is None:
            raise ValueError("The model has learned nothing yet: fit a BlockScaler, or load a stored model.")
        return self._scaling

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        self.transformSchema(dataset.schema)
        columns, found = self.getInputCols(), self.fitted

        def features(batch: pa.RecordBatch) -> list[pa.Array]:
            blocks = [rows_of(batch[name], int(width)) for name, width in zip(columns, found.widths, strict=True)]
            return [vectors(scaling.scale(np.hstack(blocks), found))]

        return append_columns(dataset, columns, {self.getOutputCol(): VectorUDT()}, features)

    def transform_arrays(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scaled blocks, float64 of the shape of `rows`, that the driver holds already side by side."""
        return scaling.scale(rows, self.fitted)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Widths, means and deviations of the blocks."""
        return self.fitted.arrays()

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The stage, with what was learned put in."""
        self._scaling = scaling.Scaling.of(arrays)
        return self
