import numpy as np
import pytest
from clusters import blobs

from job.learn import nearest
from job.learn.assign import assign, squared_lengths
from job.learn.start import random_words
from job.threads import Threads
from job.vision import descriptors as registry


@pytest.mark.parametrize("calm", [0.0, 0.02, 1.1])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("width", [2, 128])  # in a plane moves often go straight towards a descriptor
def test_words_nearest_while_words_move_are_those_of_comparing_all(calm, count, width, monkeypatch):
    monkeypatch.setattr(nearest, "_CALM", calm)
    spec = registry.get("sift")
    once = blobs(n=3000, width=width)
    descriptors = np.concatenate([once, once[::-1]])  # each twice
    lengths, random = squared_lengths(descriptors), np.random.default_rng(5)
    words = random_words(descriptors, 30)
    with Threads(count) as threads:
        found = nearest.Nearest(descriptors, words, lengths, threads)
        for size in (40, 20, 0.1, 3, 0.5, 0.1, 0.05, 0, 1, 60, 0.1, 0.03):
            before = found.words_of.copy()
            words = words + np.rint(random.normal(0, size, words.shape) / spec.quantum) * np.float32(spec.quantum)
            words = np.clip(words, 0, 255).astype(np.float32)
            changed = found.move(words)
            np.testing.assert_array_equal(found.words_of, assign(descriptors, words))
            np.testing.assert_array_equal(changed, np.flatnonzero(found.words_of != before))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("k", [7, 200])
def test_words_nearest_while_some_words_stay_are_those_of_comparing_all(k, count):
    random = np.random.default_rng(6)
    # of so few values many are equally near to several words
    descriptors = random.integers(0, 4, (4000, 4)).astype(np.uint8)
    words = random.integers(0, 4, (k, 4)).astype(np.float32)
    with Threads(count) as threads:
        found = nearest.Nearest(descriptors, words, squared_lengths(descriptors), threads)
        for share in (0.5, 0.3, 0.0, 0.1, 1.0, 0.2, 0.7, *[1.5 / k] * 20):
            before, moves = found.words_of.copy(), random.random(k) < share
            words = np.where(moves[:, None], random.integers(0, 4, (k, 4)), words).astype(np.float32)
            changed = found.move(words)
            np.testing.assert_array_equal(found.words_of, assign(descriptors, words))
            np.testing.assert_array_equal(changed, np.flatnonzero(found.words_of != before))
