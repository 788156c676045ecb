import colorsys

import cv2
import numpy as np
import pytest
from scipy import ndimage

from job.vision import fruit, sample
from job.vision.descriptors import get, lbp, patches
from job.vision.picture import Picture

NAMES = ["hsv", "soft-hsv", "lbp", "patches"]


@pytest.fixture(scope="module")
def pictures():
    return [Picture.decode(sample.sample_picture(category, 0)) for category in range(13)]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_one_row_of_the_shape_and_type_that_are_promised(name, pictures):
    found = get(name)
    assert not found.local
    for picture in pictures:
        packed = found.describe(picture)
        assert (packed.shape, packed.dtype) == ((1, found.values), found.dtype)
        assert packed.flags.c_contiguous
        assert len(packed.tobytes()) == found.bytes
        np.testing.assert_array_equal(found.unpack(packed.tobytes()), packed)
        assert found.keypoints(picture) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 100), (100, 1), (3, 200), (31, 31)])
@pytest.mark.parametrize("tone", [0, 128, 255, None])
def test_a_flat_or_tiny_picture_has_one_row_too(name, shape, tone):
    random = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    array = random if tone is None else np.full((*shape, 3), tone, np.uint8)
    assert get(name).describe(Picture.of(array)).shape == (1, get(name).values)


def test_hsv_is_the_histogram_of_the_formula():
    pixels = np.random.default_rng(2).integers(0, 256, (40, 100, 3), dtype=np.uint8)
    picture = Picture.of(pixels, mask=False)
    colour = picture.fruit.colour
    expected = np.zeros((16, 8, 4), int)
    doubtful = 0
    for blue, green, red in colour.reshape(-1, 3):
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        # OpenCV rounds hue to 2 degrees and saturation to 1 / 255 before they are put into bins
        place = np.array((round(hue * 180) % 180 / 180 * 16, round(saturation * 255) / 256 * 8, value * 255 / 256 * 4))
        expected[tuple(place.astype(int))] += 1
        halves = np.array((hue * 180, saturation * 255)) % 1
        doubtful += (np.abs(halves - 0.5) < 1e-3).any()
    found = get("hsv").describe(picture).reshape(16, 8, 4)
    assert found.sum() == 4000
    assert np.abs(found - expected).sum() <= 2 * doubtful + 8


@pytest.mark.parametrize("name", ["hsv", "soft-hsv"])
def test_the_palette_has_the_colour_that_each_bin_counts(name):
    palette = get(name).palette()
    assert (palette.shape, palette.dtype) == ((512, 3), np.uint8)
    plain = get("hsv")
    for place, colour in enumerate(palette):
        counts = plain.describe(Picture.of(np.full((8, 8, 3), colour, np.uint8), mask=False))
        # the middle of a bin stays in it as a colour of 24 bits, but where hues of dark or pale ones are a few steps
        if colour.max() > 128 and int(colour.max()) - int(colour.min()) > 64:
            assert counts.argmax() == place


def test_hsv_counts_the_fruit_alone(pictures):
    for picture in pictures:
        assert get("hsv").describe(picture).sum() == picture.fruit.inside.sum()


def test_patterns_are_those_of_the_definition():
    plane = np.random.default_rng(3).integers(0, 8, (12, 15), dtype=np.uint8)
    circle = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    for y in range(1, 11):
        for x in range(1, 14):
            bits = [int(plane[y + down, x + across] >= plane[y, x]) for down, across in circle]
            changes = sum(bits[place] != bits[place - 1] for place in range(8))
            assert lbp.patterns(plane)[y - 1, x - 1] == (sum(bits) if changes <= 2 else 9)


def test_patterns_do_not_depend_on_quarter_turns(pictures):
    for picture in pictures:
        plane = picture.fruit.grey
        np.testing.assert_array_equal(lbp.patterns(np.rot90(plane).copy()), np.rot90(lbp.patterns(plane)))


def test_lbp_has_four_histograms_of_shares(pictures):
    for picture in pictures:
        shares = get("lbp").describe(picture).reshape(4, 10).sum(axis=1)
        assert np.abs(shares.astype(int) - lbp.TOTAL).max() <= 5  # each of ten is rounded
    plane, inside = pictures[0].fruit.grey, pictures[0].fruit.inside[1:-1, 1:-1]
    counts = np.bincount(lbp.patterns(plane)[inside], minlength=10)
    np.testing.assert_array_equal(get("lbp").describe(pictures[0])[0, :10], np.rint(counts / counts.sum() * lbp.TOTAL))


def test_rings_have_equal_areas_and_follow_each_other_inwards(pictures):
    for picture in pictures:
        rings = patches.rings(picture.fruit)
        sizes = np.bincount(rings.ravel(), minlength=4)[1:]
        assert sizes.max() - sizes.min() <= 1
        outside = np.pad(picture.fruit.mask, 1)
        distance = ndimage.distance_transform_edt(outside)[1:-1, 1:-1]
        small = cv2.resize(distance, (32, 32), interpolation=cv2.INTER_AREA)
        means = [small[rings == ring].mean() for ring in (1, 2, 3)]
        assert means == sorted(means)
        # OpenCV's distance is within a few per cent of the Euclidean one
        assert small[rings == 1].max() <= small[rings == 2].min() * 1.2 + 0.5


def test_the_fruit_has_a_middle_luminance_and_its_background_its_mean_colour(pictures):
    for picture in pictures:
        found = picture.fruit
        even = patches.evened(found).astype(float)
        luminance = (even[found.inside] @ (0.114, 0.587, 0.299)).mean()
        assert luminance < patches.MIDDLE + 1
        if even[found.inside].max() < 255:  # nothing was cut off at white
            assert abs(luminance - patches.MIDDLE) < 1
        gain = patches.MIDDLE / (found.colour[found.inside] @ (0.114, 0.587, 0.299)).mean()
        mean = np.minimum(found.colour[found.inside].mean(axis=0) * gain, 255)
        np.testing.assert_allclose(even[~found.inside], np.broadcast_to(mean, even[~found.inside].shape), atol=0.51)


def test_light_changes_patches_little():
    colour = Picture.decode(sample.sample_picture(0, 0)).colour
    found = fruit.find(colour)
    dark = fruit.Fruit(np.rint(found.colour * 0.6).astype(np.uint8), found.mask)
    assert np.abs(patches.evened(found).astype(int) - patches.evened(dark)).mean() < 1


def test_soft_hsv_is_the_histogram_blurred_by_scipy(pictures):
    for picture in pictures:
        expected = get("hsv").describe(picture).reshape(16, 8, 4).astype(int)
        for axis, mode in enumerate(("wrap", "nearest", "nearest")):
            expected = ndimage.convolve1d(expected, [1, 2, 1], axis=axis, mode=mode)
        np.testing.assert_array_equal(get("soft-hsv").describe(picture).reshape(16, 8, 4), expected)
        assert get("soft-hsv").describe(picture).sum() == 64 * picture.fruit.inside.sum()
