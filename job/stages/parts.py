"""Sums of a task as rows of a frame, by which they come to the driver or to each other.

Sums are arrays by name. Workers import this module, so that it loads nothing but numpy and pyarrow.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job.columns import binaries

# Sums of all tasks of up to this many bytes go to the driver as they are; larger ones are added up by the executors.
MOST_BYTES = 128 << 20
# Most bytes that all tasks' sums should have together on their way to each other.
MOST_SHUFFLED = 4 << 30
# Values of an array that are added up at a time: rows of 4 MB.
_PIECE_VALUES = 1 << 19

WHOLE = "part binary"
"""Schema of rows with all sums of a task."""
PIECES = "array string, start bigint, dtype string, shape array<bigint>, values binary"
"""Schema of rows with a piece of one array: its name, the place of the piece's first value, type and shape of the whole
array, and the values."""
_PIECES = pa.schema(
    [
        ("array", pa.string()),
        ("start", pa.int64()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("values", pa.binary()),
    ]
)


def whole(sums: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    """All arrays as one row of `WHOLE`."""
    buffer, named = io.BytesIO(), dict[str, Any](sums)
    np.savez(buffer, **named)
    return pa.RecordBatch.from_arrays([binaries([buffer.getvalue()])], ["part"])


def arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a row that `whole` made."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return dict(found)


def pieces(sums: Mapping[str, NDArray[Any]]) -> Iterable[pa.RecordBatch]:
    """All arrays in rows of `PIECES`, a batch each."""
    for name, array in sums.items():
        flat = array.reshape(-1)
        for start in range(0, max(1, array.size), _PIECE_VALUES):
            yield _piece(name, start, array.dtype.str, array.shape, flat[start : start + _PIECE_VALUES])


def add(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """The sums of the pieces that belong to the same place of the same array."""
    found: dict[tuple[str, int], tuple[str, Sequence[int], NDArray[Any]]] = {}
    for batch in batches:
        for row in batch.to_pylist():
            values, place = np.frombuffer(row["values"], row["dtype"]), (row["array"], row["start"])
            known = found.get(place)
            found[place] = (row["dtype"], row["shape"], values if known is None else known[2] + values)
    for (name, start), (dtype, shape, values) in found.items():
        yield _piece(name, start, dtype, shape, values)


def joined(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Arrays by name from all their pieces, in any order."""
    found: dict[str, NDArray[Any]] = {}
    rows = table.sort_by([("array", "ascending"), ("start", "ascending")]).to_pylist()
    for name, own in groupby(rows, key=lambda row: str(row["array"])):
        parts = list(own)
        values = np.concatenate([np.frombuffer(row["values"], row["dtype"]) for row in parts])
        found[name] = values.reshape(parts[0]["shape"])
    return found


def _piece(name: str, start: int, dtype: str, shape: Sequence[int], values: NDArray[Any]) -> pa.RecordBatch:
    row = {"array": name, "start": start, "dtype": dtype, "shape": list(shape), "values": values.tobytes()}
    return pa.RecordBatch.from_pylist([row], _PIECES)
