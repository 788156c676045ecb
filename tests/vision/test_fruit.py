import cv2
import numpy as np
import pytest
from scipy import ndimage

from job.vision import fruit
from job.vision.picture import Picture
from job.vision.sample import sample_picture


def disc(ground, skin=(40, 60, 200), edge=100, radius=30):
    colour = np.full((edge, edge, 3), ground, np.uint8)
    cv2.circle(colour, (edge // 2, edge // 2), radius, skin, -1)
    return colour


@pytest.mark.parametrize("ground", [(255, 255, 255), (128, 128, 128), (0, 0, 0), (200, 120, 30)])
def test_the_background_is_found_whatever_its_colour(ground):
    colour = disc(ground)
    inside = (colour != np.array(ground, np.uint8)).any(axis=2)
    np.testing.assert_array_equal(fruit.find(colour).inside, ndimage.binary_erosion(inside, np.ones((3, 3))))


def test_the_mask_is_that_of_scipy_on_generated_pictures():
    for category in range(13):
        colour = Picture.decode(sample_picture(category, 0)).colour
        ground = fruit.background(colour)
        near = (np.abs(colour - ground) <= fruit.TOLERANCE).all(axis=2)
        labels, _ = ndimage.label(near)
        border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        left = ~np.isin(labels, border[border > 0])
        expected = ndimage.binary_erosion(left, np.ones((3, 3)), border_value=1)
        np.testing.assert_array_equal(fruit.find(colour).inside, expected)


def test_a_spot_of_the_background_colour_within_the_fruit_belongs_to_it():
    colour = disc((255, 255, 255))
    cv2.circle(colour, (50, 50), 8, (255, 255, 255), -1)
    assert fruit.find(colour).inside[50, 50]


def test_a_picture_of_nothing_but_background_is_taken_whole():
    assert fruit.find(np.full((100, 100, 3), 250, np.uint8)).inside.all()
    assert fruit.find(disc((255, 255, 255), radius=7)).inside.all()


def test_without_a_mask_the_whole_picture_is_the_fruit():
    assert fruit.find(disc((255, 255, 255)), mask=False).inside.all()
    assert Picture.of(disc((255, 255, 255)), mask=False).fruit.inside.all()


@pytest.mark.parametrize(("shape", "working"), [((50, 50), (100, 100)), ((300, 150), (100, 50)), ((1, 400), (1, 100))])
def test_pictures_of_any_size_are_brought_to_one(shape, working):
    found = fruit.find(np.zeros((*shape, 3), np.uint8))
    assert found.colour.shape == (*working, 3)
    assert found.mask.shape == working


def test_the_fruit_is_found_once_for_a_picture():
    picture = Picture.decode(sample_picture(0, 0))
    assert picture.fruit is picture.fruit
