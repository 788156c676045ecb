"""Blocks side by side, each scaled as a whole."""

import numpy as np
import pytest

from job.learn import scaling

WIDTHS = [4, 1, 7]


@pytest.fixture
def blocks():
    random = np.random.default_rng(1)
    found = [random.poisson(3, (50, width)).astype(dtype) for width, dtype in zip(WIDTHS, "ifd", strict=True)]
    found[2] = found[2] * 1000.0
    found[0][7] = 0  # a picture without descriptors
    return found


def unit(block):
    lengths = np.linalg.norm(block.astype(float), axis=1, keepdims=True)
    return block / np.where(lengths > 0, lengths, 1)


def test_the_deviation_of_a_block_is_its_weight():
    random = np.random.default_rng(11)
    blocks = [random.random((50, 7)), random.random((50, 3))]
    found = scaling.scale(np.hstack(blocks), scaling.fit(scaling.sums(blocks), weights=(2.0, 1.0)))
    deviations = [np.sqrt(block.var(axis=0).sum()) for block in scaling.split(found, (7, 3))]
    np.testing.assert_allclose(deviations, (2.0, 1.0))


def test_blocks_are_brought_to_length_1_centred_and_divided_by_their_total_deviation(blocks):
    found = scaling.scale(np.hstack(blocks), scaling.fit(scaling.sums(blocks)))
    expected = []
    for block in blocks:
        centred = unit(block) - unit(block).mean(axis=0)
        expected.append(centred / (np.sqrt(np.square(centred).sum(axis=1).mean()) or 1))
    np.testing.assert_allclose(found, np.hstack(expected), atol=1e-12)
    assert found.dtype == np.float64


def test_every_block_weighs_the_same(blocks):
    found = scaling.scale(np.hstack(blocks), scaling.fit(scaling.sums(blocks)))
    for block in (found[:, :4], found[:, 5:]):
        assert np.square(block).sum(axis=1).mean() == pytest.approx(1)


def test_parts_add_up_to_the_whole(blocks):
    whole = scaling.sums(blocks)
    parts = [scaling.Sums.of(scaling.sums([block[rows] for block in blocks]).arrays())
             for rows in np.array_split(np.arange(50), 7)]  # fmt: skip
    total = sum(parts[1:], start=parts[0])
    assert total.count == whole.count == 50
    np.testing.assert_array_equal(total.widths, WIDTHS)
    np.testing.assert_allclose(total.total, whole.total, rtol=1e-12)
    np.testing.assert_allclose(total.squares, whole.squares, rtol=1e-12)


def test_without_scaling_rows_stay_as_they_are(blocks):
    rows = np.hstack(blocks)
    found = scaling.fit(scaling.sums(blocks), scaled=False)
    np.testing.assert_array_equal(scaling.scale(rows, found), rows)
    again = scaling.Scaling.of(found.arrays())
    np.testing.assert_array_equal(scaling.scale(rows, again), rows)


@pytest.mark.parametrize("vector", [[1, 2, 3], [7, 1, 1], [3, 3, 1], [0, 0, 0]])
def test_what_a_block_that_never_varies_leaves_of_rounding_is_not_blown_up(vector):
    block = np.tile(np.array(vector, np.int32), (1000, 1))
    found = scaling.fit(scaling.sums([block]))
    np.testing.assert_array_equal(found.deviation, [1.0])
    other = scaling.scale(np.array([[5, 0, 1]], np.int32), found)
    assert np.abs(other).max() <= 2


def test_what_is_learned_is_stored_as_arrays(blocks):
    found = scaling.fit(scaling.sums(blocks))
    again = scaling.Scaling.of(found.arrays())
    rows = np.hstack(blocks)
    np.testing.assert_array_equal(scaling.scale(rows, again), scaling.scale(rows, found))
