import cv2
import numpy as np
import pytest

from job.vision import augment, fruit, sample
from job.vision.disturb import CASE_OF, KINDS, disturbed, is_in_copies
from job.vision.picture import Picture


@pytest.fixture(scope="module")
def colour():
    return Picture.decode(sample.sample_picture(2, 0)).colour


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_picture_the_same_way_every_time(colour, kind):
    before = colour.copy()
    found = disturbed(colour, kind)
    np.testing.assert_array_equal(colour, before)
    np.testing.assert_array_equal(disturbed(colour, kind), found)
    assert found.dtype == np.uint8
    assert found.shape != colour.shape or (found != colour).any()


def test_there_are_sixteen_kinds():
    assert len(KINDS) == 16


def test_a_disturbance_is_in_copies_that_have_such_changes():
    assert set(CASE_OF) < set(KINDS)
    assert set(CASE_OF.values()) <= set(augment.KINDS)
    unseen = {kind for kind in KINDS if not is_in_copies(kind, ["mild", "strong"])}
    assert unseen == {"jpeg-30", "shift", "corner"}
    assert {kind for kind in KINDS if is_in_copies(kind, ["strong:light:blur"])} == {"blur", "dark", "bright"}
    assert not any(is_in_copies(kind, []) for kind in KINDS)


def test_sizes_are_what_their_names_say(colour):
    assert disturbed(colour, "50px").shape == (50, 50, 3)
    assert disturbed(colour, "200px").shape == (200, 200, 3)


def test_light_and_gamma_follow_their_formulas(colour):
    np.testing.assert_allclose(disturbed(colour, "dark"), colour * 0.6, atol=0.51)
    np.testing.assert_allclose(disturbed(colour, "bright"), np.minimum(colour * 1.4, 255), atol=0.51)
    np.testing.assert_allclose(disturbed(colour, "gamma-1.6"), 255 * (colour / 255) ** 1.6, atol=0.51)
    warm = np.minimum(colour * np.array((0.85, 1, 1.15)), 255)
    np.testing.assert_allclose(disturbed(colour, "warm"), warm, atol=0.51)


def test_a_quarter_turn_is_that_of_numpy(colour):
    assert np.abs(disturbed(colour, "turn-90").astype(int) - np.rot90(colour)).mean() < 1


def test_grey_ground_leaves_the_fruit(colour):
    found = disturbed(colour, "grey-ground")
    inside = fruit.find(colour).mask
    core = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    ground = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(found[core], colour[core])
    assert (found[ground] == 128).all()


def test_a_hidden_corner_has_the_colour_of_the_background(colour):
    found = disturbed(colour, "corner")
    assert (found[:40, :40] == fruit.background(colour).astype(np.uint8)).all()
    np.testing.assert_array_equal(found[40:], colour[40:])


def test_an_unknown_kind_gets_a_sentence(colour):
    with pytest.raises(ValueError, match="no disturbance 'fog': choose one of blur, dark"):
        disturbed(colour, "fog")
