"""Columns of Arrow batches as arrays of numpy, and back. Imports no Spark: workers need nothing else of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def flatten(column: pa.Array, dtype: type | np.dtype[Any], width: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A column of packed binary as one array, and where its rows come from.

    Returns
    -------
    An array of `dtype` and shape (n, width), and for each of its n rows the row of the column, int64 of shape (n,).

    Raises
    ------
    ValueError
        The column has a null, or a value that is not a whole number of rows.

    """
    if column.null_count:
        raise ValueError("A row has no descriptors (null): keep only the rows whose reason is null.")
    try:
        rows = [np.frombuffer(value.as_buffer(), dtype).reshape(-1, width) for value in column]
    except ValueError:
        raise ValueError(
            f"A value in the column of descriptors is not a whole number of rows of {width} values of "
            f"{np.dtype(dtype)}: it was written by another descriptor."
        ) from None
    counts = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    stacked = np.concatenate(rows) if rows else np.empty((0, width), dtype)
    return stacked, np.repeat(np.arange(len(rows)), counts)


# `pa.array` and `to_numpy` import pandas where it is installed, which takes each worker a quarter of a second
# (tests/benchmarks/engine.py: whole). So columns that workers make are made of their buffers.


def numbers(values: NDArray[Any]) -> pa.Array:
    """Numbers of shape (n,) as a column, without a copy where they lie side by side."""
    own = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(own.dtype), len(own), [None, pa.py_buffer(own)])


def binaries(values: Sequence[bytes | None], dtype: pa.DataType | None = None) -> pa.Array:
    """Bytes as a column of binary, or of another type of that form; None as null. ValueError for 2 GB of them."""
    ends = np.cumsum([len(value) if value else 0 for value in values], dtype=np.int64)
    if len(ends) and ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"a column of {ends[-1]} bytes is more than Arrow's offsets reach: make smaller batches")
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    there = np.array([value is not None for value in values], np.bool_)
    bits = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    content = pa.py_buffer(b"".join(value for value in values if value))
    return pa.Array.from_buffers(dtype or pa.binary(), len(values), [bits, pa.py_buffer(offsets), content])


def texts(values: Sequence[str | None]) -> pa.Array:
    """Texts as a column; None as null."""
    return binaries([value if value is None else value.encode() for value in values], pa.string())


def packed(matrix: NDArray[Any]) -> pa.BinaryArray:
    """A matrix as a column of packed binary, a row each."""
    rows = np.ascontiguousarray(matrix)
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * (rows.shape[1] * rows.itemsize)
    return pa.BinaryArray.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])


def unpacked(column: pa.BinaryArray | pa.ChunkedArray, dtype: type | np.dtype[Any], width: int) -> NDArray[Any]:
    """A column of packed binary, each of `width` values, as a matrix (n, width). One in one piece is not copied."""
    if isinstance(column, pa.ChunkedArray):
        parts = [unpacked(chunk, dtype, width) for chunk in column.chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, width), dtype), *parts])
    if not len(column):
        return np.empty((0, width), dtype)
    _, offsets, data = column.buffers()
    begin = int(np.frombuffer(offsets, np.int32)[column.offset])
    return np.frombuffer(data, dtype, len(column) * width, begin).reshape(-1, width)


def lists(matrix: NDArray[Any]) -> pa.ListArray:
    """A matrix as a column of lists, one a row."""
    offsets = np.arange(0, matrix.size + 1, max(1, matrix.shape[1]), dtype=np.int32)[: len(matrix) + 1]
    return pa.ListArray.from_arrays(numbers(offsets), numbers(np.ascontiguousarray(matrix).reshape(-1)))


def one_list(values: pa.Array) -> pa.ListArray:
    """All values of a column as the one list of another."""
    return pa.ListArray.from_arrays(numbers(np.array([0, len(values)], np.int32)), values)


def ragged(values: NDArray[Any], counts: NDArray[np.int64]) -> pa.ListArray:
    """Values of shape (n,) as a column of lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(numbers(offsets), numbers(values))


def vectors(matrix: NDArray[np.float64], missing: NDArray[np.bool_] | None = None) -> pa.StructArray:
    """A matrix as a column of Spark ML's dense vectors, in the form in which Spark hands them to Arrow.

    Rows that are `missing` (bool of shape (n,)) become null.
    """
    count = len(matrix)
    fields = [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False))),
    ]
    values = lists(np.asarray(matrix, np.float64))
    arrays = [
        pa.array(np.ones(count, np.int8)),
        pa.nulls(count, pa.int32()),
        pa.nulls(count, fields[2].type),
        values.cast(fields[3].type),
    ]
    mask = None if missing is None else pa.array(missing)
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)


def rows_of(column: pa.Array | pa.ChunkedArray, width: int | None = None) -> NDArray[Any]:
    """A column of lists, or of Spark ML's vectors, all of the same length, as a matrix of shape (n, width).

    Raises
    ------
    ValueError
        The column has a null, or rows of another length.

    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        raise ValueError("A row has no vector (null): leave out the rows that could not be described.")
    if pa.types.is_struct(column.type):
        return _vector_rows(column, width)
    if width is None:
        width = len(column[0]) if len(column) else 0
    flat = column.flatten() if len(column) else pa.array([], column.type.value_type)
    values = np.asarray(flat.to_numpy(zero_copy_only=False))
    if len(values) != len(column) * width:
        raise ValueError(f"Rows of {width} values were expected, and a row has another number of them.")
    return values.reshape(len(column), width)


def _vector_rows(column: pa.StructArray, width: int | None) -> NDArray[np.float64]:
    kinds = np.asarray(column.field("type"))
    if len(column) and kinds.all():
        return np.asarray(rows_of(column.field("values"), width), np.float64)
    found = column.to_pylist()
    if width is None:
        width = (found[0]["size"] or len(found[0]["values"])) if found else 0
    matrix = np.zeros((len(found), width))
    for row, vector in zip(matrix, found, strict=True):
        if vector["type"]:
            row[:] = vector["values"]
        else:
            row[vector["indices"]] = vector["values"]
    return matrix


def predicted(
    chances: NDArray[np.float64], categories: Sequence[str], unknown: NDArray[np.bool_] | None = None
) -> list[pa.Array]:
    """Columns for probabilities (n, C): the most probable label (float64) and its name; null in rows that are
    `unknown`, bool of shape (n,)."""
    best = chances.argmax(axis=1) if len(chances) else np.empty(0, np.int64)
    names = np.array(categories, object)[best]
    return [pa.array(best.astype(np.float64), mask=unknown), pa.array(names, pa.string(), mask=unknown)]
