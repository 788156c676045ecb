"""The encoding "none": a picture's only row, as it is."""

import numpy as np
import pytest

from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook

NONE = ENCODINGS.get("none")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_the_row_of_each_picture_is_its_vector_and_a_picture_without_one_is_zero(dtype):
    rows = np.arange(12).reshape(3, 4).astype(dtype)
    found = NONE.encode(rows, np.array([0, 2, 3]), 5, Codebook())
    assert (found.shape, found.dtype) == ((5, NONE.width(9, 4)), NONE.dtype)
    np.testing.assert_array_equal(found[[0, 2, 3]], rows)
    np.testing.assert_array_equal(found[[1, 4]], 0)


@pytest.mark.parametrize("pictures", [[0, 0, 1], [0, 1, 1]])
def test_several_rows_of_a_picture_are_refused_in_a_sentence(pictures):
    with pytest.raises(ValueError, match="A picture has several rows of descriptors"):
        NONE.encode(np.zeros((3, 4), np.float32), np.array(pictures), 2, Codebook())


def test_no_rows_give_zeros():
    found = NONE.encode(np.empty((0, 4), np.float32), np.empty(0, np.int64), 2, Codebook())
    np.testing.assert_array_equal(found, np.zeros((2, 4)))


def test_nothing_is_drawn_or_learned():
    assert not NONE.learns
    assert NONE.sample_size(50, 128) == 0
    assert not NONE.fit(np.zeros((3, 4)), 50, quantum=None, seed=1).arrays
