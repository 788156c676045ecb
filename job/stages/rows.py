"""Rows that stay on the executors while a network learns from them (`job.learn.network.Rows`).

The executors keep the features as bytes, and add up the loss and its gradient over them whenever the search for weights
asks. The driver gets these sums, one of each task, and never the rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job.columns import packed, unpacked
from job.learn import network
from job.learn.halves import checked
from job.stages.base import Vectors, collect_sum, materialise

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_COLUMNS = ["features", "label"]
_KEPT = "features binary, label bigint"
# Most bytes of rows that are handed to Spark at a time.
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class _Sums:
    """Arrays that add up one by one."""

    parts: tuple[NDArray[np.float64], ...]

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {str(place): part for place, part in enumerate(self.parts)}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> "_Sums":
        return _Sums(tuple(arrays[str(place)] for place in range(len(arrays))))


@dataclass(frozen=True)
class FrameRows:
    """Rows that executors keep: make them with `kept_rows`.

    Attributes
    ----------
    kept
        The frame: `features`, a row's float64 values as bytes, and `label`, from 0 on.
    count
        Number of rows.
    sums, squares
        Sum of each feature, and of its squares: float64 (d,).
    centre, scale
        What a network sees are the features less the centre, divided by the scale: float64 (d,).

    """

    kept: "DataFrame"
    count: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.sums)

    def spread(self) -> tuple[NDArray[np.float64], float]:
        """Mean of each feature, float64 (d,), and the root of their mean variance."""
        mean = self.sums / self.count
        return mean, math.sqrt(np.maximum(self.squares / self.count - np.square(mean), 0.0).mean())

    def scaled(self, centre: NDArray[np.float64], scale: NDArray[np.float64]) -> Self:
        """The rows, centred and divided by the scale."""
        return replace(self, centre=centre, scale=scale)

    def loss_and_gradient(
        self, flat: NDArray[np.float64], layers: Sequence[int], penalty: float
    ) -> tuple[float, NDArray[np.float64]]:
        """See `job.learn.network.loss_and_gradient`.

        The weights of the first layer are sent as they are for rows that are not scaled.
        """
        own = flat.copy()
        first = network.unpack(own, layers)[0]
        first[:-1] /= self.scale[:, None]
        first[-1] -= self.centre @ first[:-1]
        sent = self.kept.sparkSession.sparkContext.broadcast(own)
        count, width = self.count, self.width

        def sums(batch: pa.RecordBatch) -> _Sums:
            rows = unpacked(batch["features"], np.float64, width)
            loss, gradient = network.cross_entropy(sent.value, layers, rows, batch["label"].to_numpy(), count)
            return _Sums((np.array([loss]), gradient))

        try:
            loss, gradient = _added(self.kept, sums, math.isqrt(len(flat)))
        finally:
            sent.destroy()
        slope = network.unpack(gradient, layers)[0]
        slope[:-1] -= np.outer(self.centre, slope[-1])
        slope[:-1] /= self.scale[:, None]
        return network.penalised(flat, layers, penalty, float(loss[0]), gradient)


@contextmanager
def kept_rows(
    frame: "DataFrame", columns: Sequence[str], made: Vectors, label: str, width: int, categories: int
) -> Iterator[FrameRows]:
    """Context manager: the executors keep the features of a frame.

    Parameters
    ----------
    frame
        Has the `columns` and `label` (a number).
    columns, made
        `made` gives the features (n, width) of a batch with the `columns`.
    label
        Name of the column of labels.
    width
        Number of features.
    categories
        Labels are whole numbers in 0..categories-1.

    Raises
    ------
    ValueError
        There are no rows.

    """

    def kept_as(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            rows = np.asarray(made(batch), np.float64)
            labels = labels_of(batch[label], label, categories)
            step = max(1, _PIECE_BYTES // (8 * width))
            for start in range(0, len(rows), step):
                piece = slice(start, start + step)
                yield pa.RecordBatch.from_arrays([packed(rows[piece]), pa.array(labels[piece])], _COLUMNS)

    def sums(batch: pa.RecordBatch) -> _Sums:
        rows = unpacked(batch["features"], np.float64, width)
        return _Sums((np.array([len(rows)], np.float64), rows.sum(axis=0), np.square(rows).sum(axis=0)))

    kept = frame.select(*columns, label).mapInArrow(kept_as, _KEPT).persist()
    try:
        materialise(kept)
        count, total, squares = _added(kept, sums)
        yield FrameRows(kept, int(count[0]), total, squares, np.zeros(width), np.ones(width))
    finally:
        kept.unpersist()


def labels_of(column: pa.Array, name: str, categories: int) -> NDArray[np.int64]:
    """Labels as whole numbers. ValueError where one is null, or not in 0..categories-1."""
    if column.null_count:
        raise ValueError(f"A row has no label: leave out the rows whose '{name}' is null.")
    return checked(column.to_numpy().astype(np.int64), categories)


def _added(
    kept: "DataFrame", sums: Callable[[pa.RecordBatch], _Sums], width: int = 0
) -> tuple[NDArray[np.float64], ...]:
    found = collect_sum(kept, _COLUMNS, sums, _Sums.of, width=width)
    if found is None:
        raise ValueError("There are no pictures to learn categories from.")
    return found.parts
