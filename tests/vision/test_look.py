import cv2
import numpy as np
import pytest

from job.vision.look import KEPT, SIDE, look
from job.vision.picture import Picture
from job.vision.sample import sample_picture


def test_a_look_is_made_of_waves_over_the_picture():
    # a wave of two half periods downwards, round a mean of 100
    wave = 100 + 40 * np.cos(2 * np.pi * (np.arange(4 * SIDE) + 0.5) / (4 * SIDE))
    found = look(Picture.of(np.tile(np.rint(wave).astype(np.uint8)[:, None], (1, 4 * SIDE))))
    expected = np.zeros((KEPT, KEPT))
    expected[0, 0], expected[2, 0] = 100, 40 / 2**0.5
    np.testing.assert_allclose(found, expected, atol=0.5)


def test_a_difference_of_looks_is_in_levels_of_grey():
    one, other = (look(Picture.of(np.full((90, 60), level, np.uint8))) for level in (10, 17))
    assert np.linalg.norm(one - other) == pytest.approx(7, abs=1e-3)


def test_grey_and_colour_look_the_same_but_for_rounding():
    grey, colour = (Picture.decode(sample_picture(0, 0)) for _ in range(2))
    assert colour.colour is not None
    np.testing.assert_allclose(look(grey), look(colour), atol=0.5)
    # what is decoded already is not decoded again
    assert "grey" not in colour.__dict__
    assert "colour" not in grey.__dict__


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (1000, 700)])
def test_every_picture_has_a_look(shape):
    content = cv2.imencode(".png", np.full(shape, 90, np.uint8))[1].tobytes()
    found = look(Picture.decode(content))
    assert (found.dtype, found.shape) == (np.float32, (KEPT, KEPT))
    assert found[0, 0] == pytest.approx(90, abs=1e-3)
