import tracemalloc

import cv2
import numpy as np
import pytest

from job.learn import twins
from job.vision.look import look
from job.vision.picture import Picture
from job.vision.sample import sample_picture


def looks(colours):
    return np.stack([look(Picture.of(np.ascontiguousarray(each[..., ::-1]))).ravel() for each in colours])


@pytest.fixture(scope="module")
def fruits():
    """Pictures of three categories, blue first."""
    contents = [sample_picture(category, picture) for category in range(3) for picture in range(20)]
    return [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) for content in contents]


def recompressed(colour):
    return cv2.imdecode(cv2.imencode(".jpg", colour, (cv2.IMWRITE_JPEG_QUALITY, 50))[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "change",
    [
        lambda colour: colour,
        recompressed,
        lambda colour: colour[:, ::-1],
        lambda colour: cv2.resize(colour, (61, 61), interpolation=cv2.INTER_AREA),
        lambda colour: cv2.resize(colour, (180, 180)),
        lambda colour: recompressed(cv2.resize(colour[:, ::-1], (80, 80), interpolation=cv2.INTER_AREA)),
    ],
    ids=["copied", "recompressed", "mirrored", "shrunk", "enlarged", "all of it"],
)
def test_a_copy_is_nearer_than_any_other_picture(fruits, change):
    own = twins.signatures(looks(fruits))
    changed = twins.signatures(looks([change(colour) for colour in fruits]))
    for known, new, levels in zip(own, changed, (2.5, 1.0), strict=True):
        distances = np.linalg.norm(new[:, None] - known[None], axis=2)
        copies = distances.diagonal().copy()
        np.fill_diagonal(distances, np.inf)
        assert copies.max() < levels
        assert distances.min() > 2 * copies.max()


def test_a_picture_that_is_turned_upside_down_is_no_copy(fruits):
    own, turned = (twins.signatures(looks(each))[1] for each in (fruits, [colour[::-1] for colour in fruits]))
    assert np.linalg.norm(own - turned, axis=1).min() > 1


def test_what_is_even_in_both_directions_does_not_decide():
    looks_of = np.arange(16, dtype=np.float32).reshape(1, 16)
    whole, deciding = twins.signatures(looks_of)
    np.testing.assert_array_equal(whole, looks_of)
    assert deciding.ravel().tolist() == [1, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 15]


def test_pairs_have_their_distance():
    rows, others = np.array([[0.0, 3.0], [1.0, 1.0]], np.float32), np.array([[4.0, 0.0]], np.float32)
    found = twins.distances(rows, others, np.array([0, 1]), np.array([0, 0]))
    np.testing.assert_allclose(found, [5, 10**0.5])


@pytest.mark.parametrize("threads", [1, 3])
def test_the_pairs_are_those_that_all_comparisons_find(threads):
    random = np.random.default_rng(5)
    rows, others = random.normal(size=(2500, 4)).astype(np.float32), random.normal(size=(700, 4)).astype(np.float32)
    radius = random.uniform(0, 0.35, 2500)
    found = twins.search(rows, others, radius, threads=threads)
    distances = np.linalg.norm(rows[:, None].astype(float) - others[None], axis=2)
    left, right = np.nonzero(distances <= radius[:, None])
    assert len(left) > 100
    assert set(zip(found.rows.tolist(), found.others.tolist(), strict=True)) == set(
        zip(left.tolist(), right.tolist(), strict=True)
    )
    np.testing.assert_allclose(found.distances, distances[found.rows, found.others], rtol=1e-6)


def test_within_the_same_rows_each_pair_is_found_once_and_no_row_with_itself():
    rows = np.array([[0.0], [5.0], [0.0], [0.1]], np.float32)
    found = twins.search(rows, rows, np.full(4, 0.2), same=True)
    assert list(zip(found.rows.tolist(), found.others.tolist(), strict=True)) == [(0, 2), (0, 3), (2, 3)]


def test_of_many_equal_rows_each_is_paired_with_a_few():
    rows = np.zeros((1500, 3), np.float32)
    found = twins.search(rows, rows, np.full(1500, 0.1), same=True)
    counts = np.bincount(found.rows, minlength=1500)
    assert counts.max() == twins.MOST
    assert counts[: -twins.MOST].min() == twins.MOST
    assert (found.rows < found.others).all()
    # those that are left out are not nearer than those that stay
    line = np.arange(40, dtype=np.float32)[:, None]
    nearest = twins.search(line[:1], line, np.full(1, 30.0))
    assert sorted(nearest.others.tolist()) == list(range(twins.MOST))


def test_nothing_has_no_pairs():
    nothing = np.empty((0, 3), np.float32)
    assert len(twins.search(nothing, nothing, np.empty(0), same=True).rows) == 0
    assert len(twins.search(nothing, np.ones((2, 3), np.float32), np.empty(0)).rows) == 0


def test_the_step_of_a_category_is_the_median_distance_to_the_nearest_of_it():
    rows = np.array([[0.0], [1.0], [3.0], [7.0], [100.0]], np.float32)
    steps = twins.steps(rows, np.array([0, 0, 0, 0, 1]), 3)
    # nearest distances 1, 1, 2 and 4
    assert steps.tolist() == [1.5, np.inf, np.inf]


def test_rows_are_joined_by_way_of_others():
    found = twins.joined(6, [(np.array([0, 3]), np.array([2, 4])), (np.array([4]), np.array([0]))])
    assert found[0] == found[2] == found[3] == found[4]
    assert len({found[0], found[1], found[5]}) == 3


def test_a_hundred_thousand_pictures_are_searched_within_bounded_memory():
    random = np.random.default_rng(1)
    others = random.normal(size=(100_000, 32)).astype(np.float32)
    rows = others[::25] + np.float32(1e-3)
    tracemalloc.start()
    try:
        found = twins.search(rows, others, np.full(len(rows), 0.1), threads=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found.rows, np.arange(len(rows)))
    np.testing.assert_array_equal(found.others, np.arange(0, 100_000, 25))
    assert peak < 350 << 20
