import math
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from mahotas.features import surf as mahotas_surf

from job import vision
from job.vision import sample
from job.vision.descriptors import DESCRIPTORS, get
from job.vision.descriptors.sift import rootsift
from job.vision.picture import Picture

NAMES = ("sift", "rootsift", "orb", "surf", "dense-rootsift")


@pytest.fixture(scope="module")
def pictures():
    return [Picture.decode(sample.sample_picture(category, 0)) for category in range(13)]


def test_names_are_listed_without_loading_a_library():
    code = (
        "import sys; from job.vision.descriptors import DESCRIPTORS; assert 'sift' in DESCRIPTORS.names\n"
        "assert not {'cv2', 'numpy', 'mahotas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=vision.__path__[0] + "/../..")


def test_mahotas_is_loaded_for_surf_alone():
    code = (
        "import sys; from job.vision.descriptors import get; get('sift'), get('orb')\n"
        "assert 'mahotas' not in sys.modules\n"
        "get('surf'); assert 'mahotas' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=vision.__path__[0] + "/../..")


@pytest.mark.parametrize("name", DESCRIPTORS.names)
def test_every_entry_goes_by_its_own_name(name):
    assert get(name).name == name


def test_an_unknown_name_gets_a_sentence_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no descriptor 'brisk': choose one of sift, rootsift, orb, surf\b"):
        get("brisk")


@pytest.mark.parametrize(
    ("name", "width", "dtype", "size", "quantum", "binary"),
    [
        ("sift", 128, "uint8", 128, 1 / 32, False),
        ("rootsift", 128, "uint8", 128, 1 / 32, False),
        ("dense-rootsift", 128, "uint8", 128, 1 / 32, False),
        ("orb", 256, "uint8", 32, 1, True),
        ("surf", 64, "<i2", 128, 1, False),
    ],
)
def test_a_descriptor_says_its_size_and_its_grid(name, width, dtype, size, quantum, binary):
    found = get(name)
    assert (found.width, found.dtype, found.bytes) == (width, np.dtype(dtype), size)
    assert (found.quantum, found.binary, found.values) == (quantum, binary, size // np.dtype(dtype).itemsize)


@pytest.mark.parametrize("name", NAMES)
def test_products_with_words_on_the_grid_fit_in_the_24_bits_of_float32(name):
    found = get(name)
    word = found.max_norm + found.quantum * math.sqrt(found.width) / 2  # a mean, rounded to the grid
    assert found.max_norm * word / found.quantum <= 2**24


@pytest.mark.parametrize("name", NAMES)
def test_products_with_words_on_the_grid_are_exact_in_float32(name, pictures):
    found = get(name)
    values = np.vstack([found.unpack(found.describe(picture)) for picture in pictures])[:400]
    centres = values.reshape(20, -1, found.width).mean(axis=1)
    centres = np.rint(centres / found.quantum) * found.quantum
    single = values.astype(np.float32) @ centres.T.astype(np.float32)
    np.testing.assert_array_equal(single, values.astype(np.float64) @ centres.T)


@pytest.mark.parametrize("name", NAMES)
def test_packed_rows_have_the_shape_and_type_that_are_promised(name, pictures):
    found = get(name)
    for picture in pictures:
        packed = found.describe(picture)
        assert (packed.shape[1], packed.dtype) == (found.values, found.dtype)
        assert packed.flags.c_contiguous
        assert len(packed.tobytes()) == len(packed) * found.bytes
        values = found.unpack(packed)
        assert values.shape == (len(packed), found.width)
        assert np.linalg.norm(values.astype(np.float64), axis=1).max() <= found.max_norm


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_bytes_unpack_to_what_was_packed(name, container, pictures):
    found = get(name)
    packed = found.describe(pictures[0])
    np.testing.assert_array_equal(found.unpack(container(packed.tobytes())), found.unpack(packed))
    assert found.unpack(container(b"")).shape == (0, found.width)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_no_whole_number_of_descriptors_are_refused(name, pictures):
    with pytest.raises(ValueError, match=r"reshape|buffer size"):
        get(name).unpack(get(name).describe(pictures[0]).tobytes()[:-2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(100, 100), (1, 1), (2, 2), (3, 200), (200, 3), (8, 8), (30, 30), (31, 31)])
def test_a_flat_picture_has_no_descriptors(name, shape):
    for tone in (0, 128, 255):
        flat = Picture.of(np.full(shape, tone, np.uint8))
        assert get(name).describe(flat).shape == (0, get(name).values)
        assert get(name).describe(flat).dtype == get(name).dtype
        assert get(name).keypoints(flat).shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (1, 100), (100, 1), (8, 8), (9, 9), (9, 200), (31, 31)])
def test_a_tiny_picture_is_no_error(name, shape):
    noise = Picture.of(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
    packed = get(name).describe(noise)
    assert packed.shape[1] == get(name).values
    assert len(get(name).keypoints(noise)) == len(packed)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_picture_gives_the_same_rows_with_any_number_of_threads(name, pictures):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        once = [get(name).describe(Picture.of(picture.grey)) for picture in pictures]
        cv2.setNumThreads(4)
        again = [get(name).describe(Picture.of(picture.grey.copy())) for picture in reversed(pictures)]
    finally:
        cv2.setNumThreads(before)
    for first, second in zip(once, reversed(again), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_lie_in_the_picture_one_for_each_row(name, pictures):
    for picture in pictures:
        points = get(name).keypoints(picture)
        assert (points.dtype, points.shape) == (np.float32, (len(get(name).describe(picture)), 3))
        assert (points[:, :2] >= -0.5).all()
        assert (points[:, 0] <= picture.grey.shape[1] - 0.5).all()
        assert (points[:, 1] <= picture.grey.shape[0] - 0.5).all()
        assert (points[:, 2] > 0).all()


@pytest.mark.parametrize("name", ["sift", "rootsift", "orb", "surf"])
def test_x_runs_along_the_rows_and_y_down(name):
    grey = np.full((120, 200), 255, np.uint8)
    cv2.circle(grey, (150, 40), 7, 0, -1, cv2.LINE_AA)
    points = get(name).keypoints(Picture.of(grey))
    assert len(points)
    assert np.hypot(*(points[:, :2] - (150, 40)).T).max() < 20


@pytest.mark.parametrize("name", [*NAMES, "placed-sift", "placed-orb"])
def test_a_descriptor_can_be_sent_to_another_process(name, pictures):
    copy = pickle.loads(pickle.dumps(get(name)))
    np.testing.assert_array_equal(copy.describe(pictures[0]), get(name).describe(pictures[0]))


def test_sift_as_bytes_equals_the_float_sift_of_opencv(pictures):
    for picture in pictures:
        keypoints, floats = cv2.SIFT_create().detectAndCompute(picture.grey, None)
        packed = get("sift").describe(picture)
        assert floats.dtype == np.float32
        np.testing.assert_array_equal(packed, floats)
        np.testing.assert_array_equal(get("sift").keypoints(picture)[:, :2], [keypoint.pt for keypoint in keypoints])


def test_rootsift_follows_the_formula(pictures):
    for picture in pictures:
        sift = get("sift").describe(picture).astype(np.float64)
        expected = np.minimum(np.rint(512 * np.sqrt(sift / sift.sum(axis=1, keepdims=True))), 255)
        packed = get("rootsift").describe(picture)
        assert np.abs(packed - expected).max() <= 1  # float32 may round a tie the other way
        assert (packed != expected).mean() < 1e-4


def test_rootsift_has_length_512_and_compares_by_hellinger_distance(pictures):
    packed = get("rootsift").describe(pictures[0]).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(packed, axis=1), 512, atol=2)
    sift = get("sift").describe(pictures[0]).astype(np.float64)
    sift /= sift.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(packed @ packed.T / 512**2, np.sqrt(sift) @ np.sqrt(sift).T, atol=0.01)


def test_rootsift_of_nothing_but_zeros_is_zero_and_a_single_peak_is_cut_off_at_255():
    peaks = np.zeros((2, 128), np.uint8)
    peaks[1, 5] = 200
    np.testing.assert_array_equal(rootsift(peaks).max(axis=1), [0, 255])


def test_orb_equals_a_direct_call(pictures):
    for picture in pictures:
        detector = cv2.ORB_create(500, 1.2, 8, 4, 0, 2, cv2.ORB_HARRIS_SCORE, 31, 20)
        np.testing.assert_array_equal(get("orb").describe(picture), detector.detectAndCompute(picture.grey, None)[1])


def test_squared_distance_of_unpacked_orb_is_hamming_distance(pictures):
    packed = get("orb").describe(pictures[0])[:50]
    bits = get("orb").unpack(packed)
    assert set(np.unique(bits)) == {0, 1}
    euclidean = ((bits[:, None].astype(int) - bits[None]) ** 2).sum(axis=2)
    hamming = np.bitwise_count(packed[:, None] ^ packed[None]).sum(axis=2)
    np.testing.assert_array_equal(euclidean, hamming)
    assert euclidean[0, 1] == cv2.norm(packed[0], packed[1], cv2.NORM_HAMMING)


def test_surf_is_4000_times_that_of_mahotas_in_twice_the_size(pictures):
    for picture in pictures:
        twice = cv2.resize(picture.grey, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        rows = mahotas_surf.surf(twice, nr_octaves=3, nr_scales=4, threshold=0.1, descriptor_only=True)
        np.testing.assert_array_equal(get("surf").describe(picture), np.rint(4000 * rows))


def test_surf_leaves_a_large_picture_at_its_size():
    grey = Picture.decode(sample.sample_picture(0, 0)).grey
    picture = Picture.of(cv2.resize(grey, (520, 520), interpolation=cv2.INTER_CUBIC))
    rows = mahotas_surf.surf(picture.grey, nr_octaves=3, nr_scales=4, threshold=0.1)
    np.testing.assert_array_equal(get("surf").describe(picture), np.rint(4000 * rows[:, 6:]))
    np.testing.assert_allclose(get("surf").keypoints(picture)[:, :2], rows[:, 1::-1], rtol=1e-6)


def test_surf_drops_rows_without_a_direction(monkeypatch, pictures):
    rows = mahotas_surf.surf(pictures[0].grey)[:3]
    rows[1, 20] = np.nan
    monkeypatch.setattr(mahotas_surf, "surf", lambda *_, **__: rows)
    picture = Picture.of(pictures[0].grey)
    assert get("surf").describe(picture).shape == (2, 64)
    assert get("surf").keypoints(picture).shape == (2, 3)


def test_dense_rootsift_is_rootsift_at_each_point_of_a_grid_on_the_fruit(pictures):
    for picture in pictures[:4]:
        points = get("dense-rootsift").keypoints(picture)
        inside = picture.fruit.inside
        expected = [(x, y) for y in range(4, 100, 8) for x in range(4, 100, 8) if inside[y, x]]
        assert {tuple(place) for place in points[:, :2].astype(int)} <= set(expected)
        assert len(points) >= 1.9 * len(expected)  # windows without a gradient are left out
        for row, (x, y, diameter) in zip(get("dense-rootsift").describe(picture)[::9], points[::9], strict=True):
            keypoint = cv2.KeyPoint(float(x), float(y), float(diameter), 0.0)
            _, alone = cv2.SIFT_create().compute(picture.fruit.grey, [keypoint])
            np.testing.assert_array_equal(row, rootsift(alone.astype(np.uint8))[0])


def test_dense_rootsift_gives_its_places_in_pixels_of_the_picture():
    grey = Picture.decode(sample.sample_picture(0, 0)).grey
    large = Picture.of(cv2.resize(grey, (300, 300), interpolation=cv2.INTER_CUBIC))
    points = get("dense-rootsift").keypoints(large)
    assert set(points[:, 2]) <= {12.0, 24.0}
    assert points[:, :2].max() > 200
