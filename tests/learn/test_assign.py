from collections import Counter

import numpy as np
import pytest

from job.learn import assign as module
from job.learn.assign import assign, histograms
from job.threads import Threads
from job.vision import descriptors as registry


def on_grid(spec, k, seed):
    """Words as training leaves them: means of some descriptors, rounded to the grid."""
    random = np.random.default_rng(seed)
    values = random_descriptors(spec, 20 * k, seed)
    means = values[random.permutation(len(values))].reshape(k, 20, -1).mean(axis=1)
    return (np.rint(means / spec.quantum) * spec.quantum).astype(np.float32)


def random_descriptors(spec, n, seed):
    """Unpacked descriptors of the right range and length."""
    random = np.random.default_rng(seed)
    if spec.binary:
        return random.integers(0, 2, (n, spec.width), np.uint8)
    raw = np.abs(random.normal(size=(n, spec.width))) if spec.dtype.kind == "u" else random.normal(size=(n, spec.width))
    raw *= 0.95 * spec.max_norm / np.linalg.norm(raw, axis=1, keepdims=True)
    limits = np.iinfo(spec.dtype)
    return np.clip(np.rint(raw), limits.min, limits.max).astype(spec.dtype)


def squared_distances(descriptors, words):
    """All of them in float64, where each is exact."""
    difference = descriptors.astype(np.float64)[:, None, :] - words.astype(np.float64)[None]
    return np.square(difference).sum(axis=2)


@pytest.mark.parametrize("name", ["sift", "rootsift", "orb", "surf"])
def test_each_descriptor_goes_to_the_word_that_float64_finds_nearest(name):
    spec = registry.get(name)
    words = on_grid(spec, 30, seed=1)
    descriptors = random_descriptors(spec, 2000, seed=2)
    distances = squared_distances(descriptors, words)
    nearest = assign(descriptors, words)
    chosen = distances[np.arange(len(descriptors)), nearest]
    # scores are rounded once to float32: a word may win that is farther by less than that
    slack = 4 * np.finfo(np.float32).eps * spec.max_norm**2
    assert (chosen <= distances.min(axis=1) + slack).all()
    clear = np.partition(distances, 1, axis=1)
    clear = clear[:, 1] - clear[:, 0] > 2 * slack
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(nearest[clear], distances.argmin(axis=1)[clear])


@pytest.mark.parametrize("name", ["sift", "rootsift", "orb", "surf"])
def test_the_product_of_descriptor_and_word_is_exact_in_float32(name):
    spec = registry.get(name)
    words, descriptors = on_grid(spec, 30, seed=3), random_descriptors(spec, 500, seed=4)
    exact = descriptors.astype(np.float64) @ words.astype(np.float64).T
    np.testing.assert_array_equal((descriptors.astype(np.float32) @ words.T).astype(np.float64), exact)
    backwards = descriptors[:, ::-1].astype(np.float32) @ words[:, ::-1].T
    np.testing.assert_array_equal(backwards.astype(np.float64), exact)


@pytest.mark.parametrize("values", [1, 30 * 64, 1 << 14, 1 << 18, 1 << 24])
@pytest.mark.parametrize("threads", [1, 4])
def test_blocks_and_threads_change_nothing(values, threads, monkeypatch):
    spec = registry.get("sift")
    words, descriptors = on_grid(spec, 30, seed=5), random_descriptors(spec, 3000, seed=6)
    one_by_one = np.concatenate([assign(row[None], words) for row in descriptors])
    monkeypatch.setattr(module, "_BLOCK_VALUES", values)
    with Threads(threads) as pool:
        np.testing.assert_array_equal(assign(descriptors, words, pool), one_by_one)


def test_of_equally_near_words_the_first_is_taken():
    words = np.array([[4.0, 0.0], [0.0, 0.0], [4.0, 0.0]], np.float32)
    np.testing.assert_array_equal(assign(np.array([[2, 0], [4, 0], [1, 0]], np.uint8), words), [0, 0, 1])


def test_no_descriptors_have_no_words():
    nearest = assign(np.empty((0, 128), np.uint8), np.ones((3, 128), np.float32))
    assert nearest.shape == (0,)
    assert nearest.dtype == np.int32


def test_bags_are_what_a_counter_counts():
    random = np.random.default_rng(7)
    nearest = random.integers(0, 12, 3000).astype(np.int32)
    pictures = np.sort(random.integers(0, 40, 3000))
    bags = histograms(nearest, pictures, 41, 13)
    assert bags.dtype == np.int32
    assert bags.shape == (41, 13)
    counted = Counter(zip(pictures.tolist(), nearest.tolist(), strict=True))
    assert {(row, word): int(n) for (row, word), n in np.ndenumerate(bags) if n} == counted
    assert not bags[40].any()


def test_a_picture_without_descriptors_has_an_empty_bag():
    bags = histograms(np.empty(0, np.int32), np.empty(0, np.int64), 3, 5)
    np.testing.assert_array_equal(bags, np.zeros((3, 5), np.int32))
