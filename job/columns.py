"""Columns of Arrow batches as arrays of numpy, and back. Imports no Spark: workers need nothing else of it."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def flatten(column: pa.Array, dtype: type | np.dtype[Any], width: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A column of packed binary as one array (n, width), and the row that each of the n comes from, int64 (n,)."""
    rows = [np.frombuffer(value.as_buffer(), dtype).reshape(-1, width) for value in column]
    counts = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    stacked = np.concatenate(rows) if rows else np.empty((0, width), dtype)
    return stacked, np.repeat(np.arange(len(rows)), counts)


def lists(matrix: NDArray[Any]) -> pa.ListArray:
    """A matrix as a column of lists, one a row."""
    offsets = np.arange(0, matrix.size + 1, max(1, matrix.shape[1]), dtype=np.int32)[: len(matrix) + 1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).reshape(-1)))


def ragged(values: NDArray[Any], counts: NDArray[np.int64]) -> pa.ListArray:
    """Values (n,) as a column of lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def rows_of(column: pa.Array | pa.ChunkedArray, width: int) -> NDArray[Any]:
    """A column of lists, all of the same length, as a matrix (n, width)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten() if len(column) else pa.array([], column.type.value_type)
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width)
