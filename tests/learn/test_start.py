import hashlib

import numpy as np
import pytest
from clusters import blobs, direct_inertia

from job.learn import start
from job.learn.start import far_words, random_words
from job.threads import Threads


def test_a_start_takes_distinct_descriptors_in_their_order():
    descriptors = np.array([[3, 1], [3, 1], [0, 2], [3, 1], [5, 5]], np.uint8)
    np.testing.assert_array_equal(random_words(descriptors, 3), [[3, 1], [0, 2], [5, 5]])


@pytest.mark.parametrize("threads", [1, 4])
def test_a_far_start_finds_the_small_groups_that_a_random_one_misses(threads):
    random = np.random.default_rng(8)
    small = np.repeat(random.integers(0, 250, (40, 16)), 3, axis=0)
    many = np.concatenate([np.full((6000, 16), 125), small]) + random.integers(0, 5, (6120, 16))
    descriptors = random.permutation(many).astype(np.uint8)
    with Threads(threads) as pool:
        far, anyone = far_words(descriptors, 50, pool), random_words(descriptors, 50)
    assert far.shape == (50, 16)
    assert far.dtype == np.float32
    assert len(np.unique(far, axis=0)) == 50
    own = {row.tobytes() for row in descriptors}
    assert all(word.astype(np.uint8).tobytes() in own for word in far)
    assert direct_inertia(descriptors, far) < 0.2 * direct_inertia(descriptors, anyone)


def test_more_words_than_distinct_descriptors_are_refused():
    descriptors = np.array([[1, 2], [3, 4]] * 5, np.uint8)
    with Threads() as pool, pytest.raises(ValueError, match="4 words can't be learned from 2 distinct descriptors"):
        far_words(descriptors, 4, pool)


def test_the_seed_decides_which_far_words_are_drawn():
    descriptors = blobs(n=2000, k=30, width=8, spread=20.0)
    with Threads() as pool:
        one, again, other = (far_words(descriptors, 40, pool, seed) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_the_default_seed_draws_what_was_drawn_before_seeds_were_looked_at():
    descriptors = blobs(n=2000, k=30, width=8, spread=20.0)
    with Threads() as pool:
        words = far_words(descriptors, 40, pool)
        assert far_words(descriptors, 40, pool, start.DEFAULT_SEED).tobytes() == words.tobytes()
    assert (
        hashlib.sha256(words.tobytes()).hexdigest()
        == "2e78eade7203d77ca12f7ddcdeeaf8a575e29ef32a69a3c8c1773c2cbe115707"
    )


@pytest.mark.parametrize("largest", [255, 2**12 - 1])
def test_blocks_and_threads_do_not_change_far_words(largest, monkeypatch):
    """Also where distances are rounded to float32: the longest descriptors have a squared length near 2^24."""
    random = np.random.default_rng(4)
    descriptors = random.integers(0, largest, (3000, 8)).astype(np.int16)
    lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
    descriptors = (descriptors * np.minimum(1, 4000 / lengths)).astype(np.int16)
    found = []
    for threads, block in ((1, 1 << 19), (4, 1 << 19), (4, 1 << 12)):
        monkeypatch.setattr("job.learn.assign._BLOCK_VALUES", block)
        with Threads(threads) as pool:
            found.append(far_words(descriptors, 60, pool).tobytes())
    assert found[0] == found[1] == found[2]
