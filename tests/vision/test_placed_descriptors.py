"""Descriptors whose rows say where they are."""

import itertools

import cv2
import numpy as np
import pytest

from job.vision import sample
from job.vision.descriptors import DESCRIPTORS, get
from job.vision.picture import Picture

NAMES = ("sift", "rootsift", "orb", "surf", "dense-rootsift")


@pytest.fixture(scope="module")
def pictures():
    return [Picture.decode(sample.sample_picture(category, 0)) for category in range(13)]


def test_every_local_descriptor_has_one_with_places():
    local = {name for name in DESCRIPTORS if get(name).local and not get(name).places}
    assert {f"placed-{name}" for name in local} == {name for name in DESCRIPTORS if get(name).places}
    assert local == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_descriptor_with_x_and_y_in_256ths_of_the_picture(name, pictures):
    plain, placed = get(name), get(f"placed-{name}")
    for picture in pictures:
        packed = placed.describe(picture)
        assert (packed.shape, packed.dtype) == ((len(plain.describe(picture)), placed.values), plain.dtype)
        rows = placed.unpack(packed)
        assert rows.shape == (len(packed), placed.width)
        np.testing.assert_array_equal(rows[:, :-3], plain.unpack(plain.describe(picture)))
        np.testing.assert_array_equal(placed.unpack(packed.tobytes()), rows)
        height, width = picture.grey.shape
        for row, (x, y, _) in zip(rows, plain.keypoints(picture), strict=True):
            assert row[-3] == min(max(int((x + 0.5) * 256 / width), 0), 255)
            assert row[-2] == min(max(int((y + 0.5) * 256 / height), 0), 255)


@pytest.mark.parametrize("name", ["placed-orb", "placed-dense-rootsift", "placed-surf"])
def test_a_ring_is_the_deeper_the_farther_from_the_outline(name):
    # a disc with a texture on white: its rings are those of circles of equal area
    grey = np.random.default_rng(1).integers(0, 120, (100, 100), dtype=np.uint8)
    outside = np.hypot(*np.mgrid[-49.5:50, -49.5:50]) > 40
    colour = cv2.GaussianBlur(np.where(outside, 255, grey).astype(np.uint8), (3, 3), 0)[..., None].repeat(3, 2)
    picture = Picture.of(colour)
    assert picture.fruit.mask.mean() < 200
    rows = get(name).unpack(get(name).describe(picture))
    distance = np.hypot(*(get(name).keypoints(picture)[:, :2] - 49.5).T)
    assert set(rows[:, -1]) == {1, 2, 3}
    bounds = 40 * np.sqrt([0, 1 / 3, 2 / 3, 4])
    for ring, (inner, outer) in zip((3, 2, 1), itertools.pairwise(bounds), strict=True):
        own = distance[rows[:, -1] == ring]
        assert inner - 4 < own.min()
        assert own.max() < outer + 4


def test_flat_and_tiny_pictures_have_no_rows():
    for shape in ((100, 100), (1, 1), (2, 3)):
        flat = Picture.of(np.full(shape, 128, np.uint8))
        for name in NAMES:
            assert get(f"placed-{name}").describe(flat).shape == (0, get(f"placed-{name}").values)


def test_what_was_found_is_computed_once_for_descriptors_that_share_it(monkeypatch, pictures):
    found = []
    once = Picture.once
    monkeypatch.setattr(
        Picture, "once", lambda self, name, compute: once(self, name, lambda: found.append(name) or compute())
    )
    picture = Picture.of(pictures[0].grey)
    for name in ("sift", "rootsift", "placed-sift", "placed-rootsift", "orb", "placed-orb"):
        get(name).describe(picture)
    assert found == ["sift", "orb"]
