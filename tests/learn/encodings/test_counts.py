"""Visual words and their counts."""

import numpy as np
import pytest

from job.learn import kmeans, sampling
from job.learn.assign import assign, histograms
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook

COUNTS = ENCODINGS.get("counts")
QUANTUM = 2.0**-5


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(1)
    centres = random.integers(0, 200, (9, 16))
    return np.clip(centres[random.integers(0, 9, 3000)] + random.normal(0, 12, (3000, 16)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("start", ["k-means||", "random"])
@pytest.mark.parametrize("tolerance", [0.0, 1e-4])
def test_the_words_are_those_of_k_means_to_the_bit(rows, start, tolerance):
    options = {"seed": 7, "start": start, "tolerance": tolerance, "max_iterations": 30, "threads": 2}
    found, expected = COUNTS.fit(rows, 8, quantum=QUANTUM, **options), kmeans.train(rows, 8, quantum=QUANTUM, **options)
    assert found.arrays["words"].tobytes() == expected.words.tobytes()
    assert found.facts == {
        "inertia": expected.inertia,
        "iterations": expected.iterations,
        "descriptors": expected.descriptors,
    }


def test_the_vectors_are_histograms_of_the_nearest_words(rows):
    codebook = COUNTS.fit(rows, 8, quantum=QUANTUM, seed=7)
    pictures = np.sort(np.random.default_rng(2).choice([0, 1, 2, 4], 3000)).astype(np.int64)  # the fourth has none
    found = COUNTS.encode(rows, pictures, 6, codebook)
    assert (found.shape, found.dtype) == ((6, COUNTS.width(8, 16)), COUNTS.dtype)
    np.testing.assert_array_equal(found, histograms(assign(rows, codebook.arrays["words"]), pictures, 6, 8))
    np.testing.assert_array_equal(found.sum(axis=1), np.bincount(pictures, minlength=6))


def test_a_vector_does_not_depend_on_the_other_pictures(rows):
    codebook = COUNTS.fit(rows, 8, quantum=QUANTUM, seed=7)
    pictures = np.repeat(np.arange(30), 100)
    together = COUNTS.encode(rows, pictures, 30, codebook)
    for picture in range(30):
        alone = COUNTS.encode(rows[pictures == picture], np.zeros(100, np.int64), 1, codebook)
        np.testing.assert_array_equal(alone[0], together[picture])


def test_no_descriptors_give_zeros():
    words = np.ones((3, 16), np.float32)
    found = COUNTS.encode(np.empty((0, 16), np.uint8), np.empty(0, np.int64), 2, Codebook({"words": words}))
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


def test_as_many_are_drawn_as_sampling_says_by_default():
    assert COUNTS.sample_size(1000, 128) == sampling.default_size(1000, 128)


def test_descriptors_without_a_grid_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="learned from descriptors of whole numbers"):
        COUNTS.fit(np.ones((10, 4), np.float32), 2, quantum=None, seed=1)
