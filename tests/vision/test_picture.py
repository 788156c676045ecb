import re

import cv2
import numpy as np
import pytest

from job.vision import pixels
from job.vision.picture import Picture
from job.vision.sample import sample_picture


@pytest.fixture(scope="module")
def data():
    return sample_picture(0, 0)


def test_a_decoded_picture_has_the_pixels_that_decode_gives(data):
    picture = Picture.decode(data)
    np.testing.assert_array_equal(picture.grey, pixels.decode(data))
    np.testing.assert_array_equal(picture.colour, pixels.decode_colour(data))


def test_pixels_are_decoded_once(data, monkeypatch):
    calls = []
    read = pixels.read
    monkeypatch.setattr(pixels, "read", lambda *arguments: calls.append(arguments) or read(*arguments))
    picture = Picture.decode(data)
    assert not calls
    assert picture.grey is picture.grey
    assert picture.colour is picture.colour
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"GIF89a" + bytes(50), "not_supported"), (b"\xff\xd8", "truncated")]
)
def test_bytes_that_give_no_picture_are_refused_at_once(content, reason):
    with pytest.raises(pixels.Unusable) as caught:
        Picture.decode(content)
    assert caught.value.reason == reason


def test_a_file_of_too_many_bytes_is_refused(data):
    with pytest.raises(pixels.Unusable) as caught:
        Picture.decode(data, max_bytes=len(data) - 1)
    assert caught.value.reason == "too_large"


def test_a_file_that_is_damaged_inside_is_refused_when_its_pixels_are_asked_for():
    content = cv2.imencode(".png", np.zeros((50, 50), np.uint8))[1].tobytes()
    place = content.index(b"IDAT") + 4
    picture = Picture.decode(content[:place] + bytes(8) + content[place + 8 :])
    with pytest.raises(pixels.Unusable) as caught:
        _ = picture.grey
    assert caught.value.reason == "not_an_image"


def test_an_array_in_colour_is_taken_red_first():
    array = np.zeros((4, 6, 3), np.uint8)
    array[..., 0] = 200
    picture = Picture.of(array)
    np.testing.assert_array_equal(picture.colour, array[..., ::-1])
    np.testing.assert_array_equal(picture.grey, np.full((4, 6), 60))  # ITU-R BT.601: 0.299 of red


def test_a_grey_array_has_three_equal_colours():
    grey = np.arange(30, dtype=np.uint8).reshape(5, 6)
    picture = Picture.of(grey)
    np.testing.assert_array_equal(picture.grey, grey)
    np.testing.assert_array_equal(picture.colour, np.repeat(grey[..., None], 3, axis=2))


def test_an_array_of_many_pixels_is_shrunk_to_a_megapixel():
    assert Picture.of(np.zeros((2048, 2048), np.uint8)).grey.shape == (1024, 1024)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_no_picture_gets_a_sentence(array):
    with pytest.raises(ValueError, match=re.escape(f"not {array.dtype} of shape {array.shape}.")):
        Picture.of(array)
