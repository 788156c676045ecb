"""Sums as rows of a frame."""

import numpy as np
import pyarrow as pa
import pytest

from job.stages import parts


def sums(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "count": np.array(random.integers(100), np.int64),
        "gram": random.integers(-(2**60), 2**60, (40, 40)),
        "mean": random.normal(size=7),
        "none": np.empty((0, 3)),
    }


def test_arrays_of_a_row_are_those_that_were_put_in():
    row = parts.whole(sums(1))["part"][0].as_py()
    found = parts.arrays(row)
    for name, array in sums(1).items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("values", [1 << 19, 1600, 999, 1])
def test_pieces_of_several_tasks_add_up_to_the_sum_of_their_arrays(values: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parts, "_PIECE_VALUES", values)
    rows = [batch for seed in range(3) for batch in parts.pieces(sums(seed))]
    assert max(len(row["values"][0].as_py()) for row in rows) <= 8 * values
    halves = [batch for place in (0, 1) for batch in parts.add(rows[place::2])]
    found = parts.joined(pa.Table.from_batches(list(parts.add(halves[::-1]))))
    for name, array in sums(0).items():
        expected = array + sums(1)[name] + sums(2)[name]
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)
    np.testing.assert_array_equal(found["gram"], sums(0)["gram"] + sums(1)["gram"] + sums(2)["gram"])
