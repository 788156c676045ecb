import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from job import vision
from job.vision import augment, fruit, sample
from job.vision.augment import KINDS, LEVELS, Strengths, augmented, strengths
from job.vision.picture import Picture

COPIES = 40


@pytest.fixture(scope="module")
def colour():
    return Picture.decode(sample.sample_picture(3, 0)).colour


def copies(colour, how, count=COPIES, **options):
    return [augmented(colour, f"Fruit/{number}.jpg", 0, 7, how, **options) for number in range(count)]


def test_a_copy_depends_on_seed_name_and_number_alone(colour):
    how = LEVELS["strong"]
    once = augmented(colour, "a/1.jpg", 2, 5, how)
    copies(colour, how, 3)
    np.testing.assert_array_equal(augmented(colour.copy(), "a/1.jpg", 2, 5, how), once)
    for name, copy, seed in (("a/2.jpg", 2, 5), ("a/1.jpg", 3, 5), ("a/1.jpg", 2, 6)):
        assert (augmented(colour, name, copy, seed, how) != once).any()


def test_another_process_makes_the_same_copies(colour):
    code = (
        "from hashlib import sha256; from job.vision import augment, sample; from job.vision.picture import Picture\n"
        "colour = Picture.decode(sample.sample_picture(3, 0)).colour\n"
        "made = augment.augmented(colour, 'a/1.jpg', 2, 5, augment.LEVELS['strong'])\n"
        "print(sha256(made.tobytes()).hexdigest())"
    )
    root = vision.__path__[0] + "/../.."
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    here = sha256(augmented(colour, "a/1.jpg", 2, 5, LEVELS["strong"]).tobytes()).hexdigest()
    assert done.stdout.strip() == here


def test_names_that_are_no_text_have_copies_too(colour):
    augmented(colour, b"caf\xe9.jpg".decode(errors="surrogateescape"), 0, 1, LEVELS["mild"])


def test_off_leaves_a_picture_of_working_size_as_it_is(colour):
    np.testing.assert_array_equal(augmented(colour, "a", 0, 1, LEVELS["off"]), fruit.resized(colour, fruit.EDGE))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_changes_pictures(colour, kind):
    changed = copies(colour, LEVELS["strong"].only([kind]))
    assert sum((copy != colour).any() for copy in changed) >= COPIES * 0.25
    assert all(copy.shape == colour.shape and copy.dtype == np.uint8 for copy in changed)


def test_leaving_one_kind_out_changes_no_other(colour):
    how = LEVELS["strong"].only(["light"])
    both = LEVELS["strong"].only(["light", "noise"])
    for one, other in zip(copies(colour, how), copies(colour, both), strict=True):
        assert np.abs(one.astype(float) - other).mean() < 12  # the same light: noise is all there is between them


def test_light_multiplies_within_its_bounds(colour):
    ratios = [copy.mean() / colour.mean() for copy in copies(colour, Strengths(light=(0.5, 0.9)), 100)]
    assert 0.49 < min(ratios) < 0.55
    assert 0.85 < max(ratios) < 0.91


def test_temperature_moves_red_and_blue_in_opposite_directions(colour):
    dim = (colour * 0.7).astype(np.uint8)  # far from white, where channels are cut off
    for copy in copies(dim, Strengths(temperature=0.2)):
        blue, green, red = copy.mean(axis=(0, 1)) / dim.mean(axis=(0, 1))
        assert abs(green - 1) < 0.01
        assert abs((blue - 1) + (red - 1)) < 0.02


def test_a_turned_hue_keeps_greys_and_the_sum_of_channels(colour):
    matrix = augment._hue_matrix(12)
    np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3))
    np.testing.assert_allclose(matrix.sum(axis=0), 1)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(augment._hue_matrix(120) @ (1, 2, 3), (2, 3, 1), atol=1e-12)


def test_a_new_ground_leaves_the_fruit_and_is_found_again(colour):
    inside = fruit.find(colour).inside
    found = 0
    for copy in copies(colour, Strengths(ground=1.0)):
        core = np.zeros_like(inside)
        core[2:-2, 2:-2] = inside[2:-2, 2:-2] & inside[:-4, 2:-2] & inside[4:, 2:-2] & inside[2:-2, :-4]
        core &= np.roll(core, 3, axis=0) & np.roll(core, -3, axis=0) & np.roll(core, 3, 1) & np.roll(core, -3, 1)
        assert np.abs(copy[core].astype(int) - colour[core]).max() <= 1
        found += np.mean(fruit.find(copy).inside == inside) > 0.95
    assert found >= COPIES * 0.8  # some are of the fruit's own colour


def test_without_a_mask_the_ground_stays(colour):
    for copy in copies(colour, Strengths(ground=1.0), 5, mask=False):
        np.testing.assert_array_equal(copy, colour)


def test_rotation_keeps_the_area_of_the_fruit(colour):
    small = np.full_like(colour, 255)
    small[30:70, 40:60] = (30, 60, 200)
    areas = [fruit.find(copy).inside.sum() for copy in copies(small, LEVELS["strong"].only(["rotation"]))]
    assert min(areas) / (38 * 18) > 0.85
    assert max(areas) / (38 * 18) < 1.2


def test_noise_has_the_deviation_that_is_asked_for():
    grey = np.full((100, 100, 3), 128, np.uint8)
    deviations = [(copy - 128.0).std() for copy in copies(grey, Strengths(noise=12.0), 60)]
    assert 10.5 < max(deviations) < 13
    assert abs(np.mean(deviations) - 6) < 1.5


def test_kinds_are_taken_from_a_level():
    how = strengths("strong:light:rotation")
    assert how == Strengths(
        light=LEVELS["strong"].light,
        rotation=LEVELS["strong"].rotation,
        stretch=LEVELS["strong"].stretch,
        shear=LEVELS["strong"].shear,
    )
    assert strengths("mild") == LEVELS["mild"]
    assert replace(LEVELS["off"]) == Strengths()


def test_unknown_levels_and_kinds_get_a_sentence():
    with pytest.raises(ValueError, match="no level of augmentation 'wild': choose one of off, mild, strong"):
        strengths("wild")
    with pytest.raises(ValueError, match="no kind of augmentation 'fog': choose one of light, gamma"):
        strengths("mild:fog")
