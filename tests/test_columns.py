import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from job.columns import (
    binaries,
    flatten,
    lists,
    numbers,
    one_list,
    packed,
    ragged,
    rows_of,
    texts,
    unpacked,
    vectors,
)


def test_packed_descriptors_become_one_array_with_the_row_of_each():
    parts = [np.arange(6, dtype=np.uint8), np.empty(0, np.uint8), np.arange(6, 9, dtype=np.uint8)]
    stacked, rows = flatten(pa.array([part.tobytes() for part in parts], pa.binary()), np.uint8, 3)
    np.testing.assert_array_equal(stacked, np.arange(9).reshape(3, 3))
    assert rows.tolist() == [0, 0, 2]


def test_values_of_more_than_a_byte_keep_their_type_and_order():
    values = np.array([[-32_768, 1], [32_767, -1]], "<i2")
    stacked, rows = flatten(pa.array([values.tobytes()], pa.binary()), np.dtype("<i2"), 2)
    np.testing.assert_array_equal(stacked, values)
    assert rows.tolist() == [0, 0]


@pytest.mark.parametrize("column", [pa.array([], pa.binary()), pa.array([b"", b""], pa.binary())])
def test_no_descriptors_are_an_empty_array(column):
    stacked, rows = flatten(column, np.uint8, 128)
    assert stacked.shape == (0, 128)
    assert rows.shape == (0,)


def test_a_slice_of_a_column_is_what_it_says():
    column = pa.array([bytes([number] * 2) for number in range(5)], pa.binary()).slice(2, 2)
    np.testing.assert_array_equal(flatten(column, np.uint8, 2)[0], [[2, 2], [3, 3]])


@pytest.mark.parametrize("type_", [pa.list_(pa.float64()), vectors(np.empty((0, 3))).type])
def test_no_vectors_are_a_matrix_without_rows(type_):
    assert rows_of(pa.array([], type_)).shape == (0, 0)
    assert rows_of(pa.array([], type_), 3).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_matrix_goes_into_packed_rows_and_back(dtype):
    matrix = np.asfortranarray(np.arange(15).reshape(5, 3).astype(dtype))
    column = packed(matrix)
    np.testing.assert_array_equal(unpacked(column, dtype, 3), matrix)
    np.testing.assert_array_equal(unpacked(column.slice(1, 3), dtype, 3), matrix[1:4])
    np.testing.assert_array_equal(flatten(column, dtype, 3)[0], matrix)
    assert unpacked(column.slice(2, 0), dtype, 3).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_a_matrix_goes_into_a_column_of_lists_and_back(dtype):
    matrix = np.arange(12).reshape(4, 3).astype(dtype)
    column = lists(np.asfortranarray(matrix))
    assert column.to_pylist() == matrix.tolist()
    for form in (column, pa.chunked_array([column.slice(0, 1), column.slice(1)])):
        np.testing.assert_array_equal(rows_of(form, 3), matrix)
    np.testing.assert_array_equal(rows_of(column.slice(1, 2), 3), matrix[1:3])


def test_an_empty_matrix_keeps_its_width():
    column = lists(np.empty((0, 3), np.int32))
    assert len(column) == 0
    assert rows_of(column, 3).shape == (0, 3)


def test_lists_may_differ_in_length():
    assert ragged(np.arange(5, dtype=np.int32), np.array([2, 0, 3])).to_pylist() == [[0, 1], [], [2, 3, 4]]
    assert ragged(np.empty(0, np.int32), np.array([0, 0])).to_pylist() == [[], []]


@pytest.mark.parametrize("values", [[b"a", None, b"", b"long\0er"] * 5, [b"x"], [None], []])
def test_bytes_and_their_nulls_are_the_column_that_arrow_makes(values):
    assert binaries(values).equals(pa.array(values, pa.binary()))
    binaries(values).validate(full=True)
    words = [value if value is None else value.decode() + "é" for value in values]
    assert texts(words).equals(pa.array(words, pa.string()))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.float32, np.float64])
def test_numbers_are_the_column_that_arrow_makes(dtype):
    values = np.arange(20).astype(dtype)
    for part in (values, values[::3], values[:0]):
        assert numbers(part).equals(pa.array(part))
    assert one_list(numbers(values)).equals(pa.array([values.tolist()], pa.list_(pa.from_numpy_dtype(np.dtype(dtype)))))
    assert one_list(numbers(values[:0])).to_pylist() == [[]]


def test_what_a_worker_makes_columns_by_imports_no_pandas():
    program = (
        "import sys, numpy as np\n"
        "from job.columns import binaries, lists, numbers, one_list, ragged, texts\n"
        "one_list(binaries([b'a', None])), texts(['a', None]), numbers(np.arange(3))\n"
        "lists(np.zeros((2, 3))), ragged(np.arange(3), np.array([1, 2]))\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
