import cv2
import numpy as np
import pytest

from job.vision.drawing import MAX_EDGE, draw_keypoints, enlarged, patch, thumbnail


def opened(content):
    assert content.startswith((b"\x89PNG", b"\xff\xd8\xff"))
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def colour():
    return np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_ring_is_drawn_round_its_keypoint_and_nowhere_else():
    white = np.full((50, 50, 3), 255, np.uint8)
    drawn = opened(draw_keypoints(white, np.array([[25, 25, 10]], np.float32), scale=4))
    assert drawn.shape == (200, 200, 3)
    rows, columns = np.nonzero((drawn < 200).any(axis=2))  # beside the ring, JPEG has waves of a few levels
    distance = np.hypot(rows - 101.5, columns - 101.5)
    assert distance.min() > 20 - 4
    assert distance.max() < 20 + 4


def test_a_picture_without_keypoints_is_drawn_as_it_is():
    white = np.full((5, 7, 3), 255, np.uint8)
    drawn = opened(draw_keypoints(white, np.empty((0, 3), np.float32)))
    assert drawn.shape == (15, 21, 3)
    assert drawn.min() == 255


def test_a_large_picture_is_drawn_small():
    drawn = opened(draw_keypoints(np.zeros((30, 3000, 3), np.uint8), np.array([[2990, 10, 8]], np.float32)))
    assert drawn.shape == (6, MAX_EDGE, 3)


def test_drawing_leaves_the_picture_itself_alone(colour):
    before = colour.copy()
    draw_keypoints(colour, np.array([[5, 5, 9]], np.float32), scale=1)
    np.testing.assert_array_equal(colour, before)


def test_a_patch_is_what_lies_round_its_keypoint(colour):
    # A diameter of 10 spans 1.5 * 10 = 15 pixels, 7.5 either way, rounded to the even 8: 17 rows.
    cut = opened(patch(colour, np.array([30, 20, 10], np.float32), pixels=17))
    np.testing.assert_array_equal(cut, colour[12:29, 22:39])


def test_a_wider_span_cuts_out_more(colour):
    cut = opened(patch(colour, np.array([30, 20, 4], np.float32), pixels=25, span=6))
    np.testing.assert_array_equal(cut, colour[8:33, 18:43])


def test_a_patch_at_the_edge_repeats_the_edge(colour):
    cut = opened(patch(colour, np.array([0, 0, 10], np.float32), pixels=17))
    np.testing.assert_array_equal(cut[8:, 8:], colour[:9, :9])
    np.testing.assert_array_equal(cut[:8, :8], np.broadcast_to(colour[0, 0], (8, 8, 3)))


@pytest.mark.parametrize("diameter", [0.0, 1.0, 500.0])
def test_a_patch_has_its_size_whatever_the_keypoints(colour, diameter):
    assert opened(patch(colour, np.array([59.4, 39.4, diameter], np.float32))).shape == (32, 32, 3)


def test_a_thumbnail_keeps_its_proportions_and_never_grows(colour):
    assert opened(thumbnail(colour, 30)).shape == (20, 30, 3)
    smooth = cv2.GaussianBlur(colour, (0, 0), 4)
    np.testing.assert_allclose(opened(thumbnail(smooth, 500)).astype(int), smooth, atol=8)


def test_a_tiny_picture_is_enlarged_to_squares():
    tiny = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    found = opened(enlarged(tiny, 30))
    assert found.shape == (20, 30, 3)
    np.testing.assert_array_equal(found[::10, ::10], tiny)
    np.testing.assert_array_equal(found[:10, :10], np.broadcast_to(tiny[0, 0], (10, 10, 3)))
