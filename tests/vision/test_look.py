import cv2
import numpy as np
import pytest

from job.vision.look import SIDE, look
from job.vision.picture import Picture
from job.vision.sample import sample_picture


def test_a_look_has_the_mean_grey_values_of_parts_of_the_picture():
    picture = Picture.of(np.random.default_rng(1).integers(0, 255, (4 * SIDE, 4 * SIDE), np.uint8))
    means = picture.grey.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(look(picture), means, atol=0.51)


def test_grey_and_colour_look_the_same_but_for_rounding():
    grey, colour = (Picture.decode(sample_picture(0, 0)) for _ in range(2))
    assert colour.colour is not None
    np.testing.assert_allclose(look(grey).astype(int), look(colour).astype(int), atol=1)
    # what is decoded already is not decoded again
    assert "grey" not in colour.__dict__
    assert "colour" not in grey.__dict__


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (1000, 700)])
def test_every_picture_has_a_look(shape):
    content = cv2.imencode(".png", np.full(shape, 90, np.uint8))[1].tobytes()
    found = look(Picture.decode(content))
    assert found.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(found, 90)
