import numpy as np
import pytest
from clusters import QUANTUM, blobs, direct_inertia
from sklearn.cluster import KMeans, kmeans_plusplus

from job.learn import kmeans
from job.learn.assign import assign, squared_lengths
from job.learn.start import random_words
from job.vision import descriptors as registry


@pytest.mark.parametrize("tolerance", [0.0, 1e-4])
def test_the_same_descriptors_give_the_same_words_to_the_last_bit(tolerance):
    descriptors = blobs()
    once, again, threaded = (
        kmeans.train(descriptors.copy(), 12, quantum=QUANTUM, tolerance=tolerance, threads=threads)
        for threads in (1, 1, 4)
    )
    assert once.words.dtype == np.float32
    assert once.words.shape == (12, 16)
    for other in (again, threaded):
        assert other.words.tobytes() == once.words.tobytes()
        assert (other.inertia, other.iterations, other.descriptors) == (once.inertia, once.iterations, 6000)


@pytest.mark.parametrize("tolerance", [0.0, 1e-4])
def test_inertia_is_the_sum_of_squared_distances(tolerance):
    descriptors = blobs()
    found = kmeans.train(descriptors, 12, quantum=QUANTUM, tolerance=tolerance)
    assert found.inertia == pytest.approx(direct_inertia(descriptors, found.words), rel=1e-9)


@pytest.mark.parametrize(("k", "seed"), [(12, 1), (12, 2), (30, 3), (5, 4)])
def test_words_are_no_worse_than_those_of_scikit_learn_from_the_same_start(k, seed):
    descriptors = blobs(k=k, seed=seed, spread=20.0)
    found = kmeans.train(descriptors, k, quantum=QUANTUM, start="random", tolerance=0.0)
    start = random_words(descriptors, k)
    peer = KMeans(k, init=start, n_init=1, max_iter=2000, tol=0.0).fit(descriptors.astype(np.float64))
    assert found.inertia <= 1.01 * peer.inertia_


def test_stopping_early_costs_less_than_one_part_in_a_hundred():
    descriptors = blobs(n=20_000, k=20, spread=25.0)
    early = kmeans.train(descriptors, 20, quantum=QUANTUM, tolerance=1e-4)
    late = kmeans.lloyd(descriptors, early.words, quantum=QUANTUM, tolerance=0.0, max_iterations=2000)
    assert early.inertia <= 1.01 * late.inertia


def test_without_a_tolerance_no_word_would_move_any_more():
    descriptors = blobs(spread=20.0)
    found = kmeans.train(descriptors, 12, quantum=QUANTUM, tolerance=0.0)
    part = kmeans.cluster_sums(descriptors, found.words)
    np.testing.assert_array_equal(kmeans.grid_mean(part.counts, part.sums, found.words, QUANTUM), found.words)
    assert found.iterations < 2000


def test_words_lie_on_the_grid_beside_the_mean_of_their_descriptors():
    descriptors = blobs(spread=20.0)
    found = kmeans.train(descriptors, 12, quantum=QUANTUM, tolerance=0.0)
    np.testing.assert_array_equal(found.words, np.rint(found.words / QUANTUM) * QUANTUM)
    nearest = assign(descriptors, found.words)
    means = np.stack([descriptors[nearest == word].mean(axis=0) for word in range(12)])
    assert np.abs(found.words - means).max() <= QUANTUM / 2


def test_a_word_of_bits_is_the_majority_of_its_descriptors():
    spec = registry.get("orb")
    random = np.random.default_rng(5)
    patterns = random.integers(0, 2, (8, spec.width), np.uint8)
    noise = random.random((3000, spec.width)) < 0.1
    descriptors = patterns[random.integers(0, 8, 3000)] ^ noise
    found = kmeans.train(descriptors, 8, quantum=spec.quantum, tolerance=0.0)
    nearest = assign(descriptors, found.words)
    for word in range(8):
        bits = descriptors[nearest == word]
        ones = [sum(int(row[place]) for row in bits) for place in range(spec.width)]
        assert [1.0 if 2 * count > len(bits) else 0.0 for count in ones] == found.words[word].tolist()
    hamming = sum(int((descriptors[row] != found.words[word]).sum()) for row, word in enumerate(nearest))
    assert found.inertia == hamming


def test_sums_are_exact_however_the_descriptors_are_cut():
    descriptors = blobs(n=3000)
    words = random_words(descriptors, 12)
    whole = kmeans.cluster_sums(descriptors, words)
    parts = [kmeans.cluster_sums(part, words) for part in np.array_split(descriptors, 17)]
    backwards = parts[-1]
    for part in parts[-2::-1]:
        backwards = backwards + part
    nearest = assign(descriptors, words)
    for word in range(12):
        mine = [[int(value) for value in row] for row in descriptors[nearest == word]]
        assert whole.counts[word] == len(mine)
        assert whole.sums[word].tolist() == [sum(column) for column in zip(*mine, strict=True)]
    for name in ("counts", "sums"):
        assert getattr(whole, name).dtype == np.int64
        np.testing.assert_array_equal(getattr(backwards, name), getattr(whole, name))
    assert backwards.squares == whole.squares == sum(int(value) ** 2 for value in descriptors.ravel())


def test_sums_of_sixteen_bits_neither_wrap_nor_lose_their_sign():
    descriptors = np.full((70_000, 2), [-32_768, 32_767], np.int16)
    most = np.array([-32_768 * 70_000, 32_767 * 70_000])
    sums = kmeans.grouped_sums(descriptors, np.zeros(70_000, np.int32), 2)
    np.testing.assert_array_equal(sums, [most, [0, 0]])
    moved = np.tile(np.array([0, 1], np.int32), (70_000, 1))
    sums = kmeans.grouped_sums(descriptors, moved, 2, signs=(-1, 1))
    np.testing.assert_array_equal(sums, [-most, most])
    assert squared_lengths(descriptors).sum() == 70_000 * (32_768**2 + 32_767**2)


def test_a_word_that_lost_all_its_descriptors_goes_to_the_one_that_lies_farthest():
    descriptors = np.array([[0, 0], [2, 0], [0, 2], [2, 2], [90, 90]], np.uint8)
    words = np.array([[1, 1], [250, 250]], np.float32)
    found = kmeans.lloyd(descriptors, words, quantum=QUANTUM, tolerance=0.0, max_iterations=50)
    np.testing.assert_array_equal(found.words, [[1, 1], [90, 90]])
    assert found.inertia == 8.0


def test_many_words_from_a_far_start_end_near_those_of_scikit_learn_from_its_far_start():
    inertias = []
    for seed in (1, 2, 3):
        descriptors = blobs(n=4000, k=300, width=8, spread=8.0, seed=seed)
        values = descriptors.astype(np.float64)
        start = kmeans_plusplus(values, 400, random_state=seed, n_local_trials=1)[0]
        inertias.append([*(kmeans.train(descriptors, 400, quantum=QUANTUM, start=start, tolerance=0.0).inertia
                           for start in ("k-means||", "random")),
                         KMeans(400, init=start, n_init=1).fit(values).inertia_])  # fmt: skip
    far, anyhow, peer = np.mean(inertias, axis=0)
    assert far <= 1.1 * peer
    assert far < 0.85 * anyhow


STARTS = pytest.mark.parametrize("start", ["k-means||", "random"])


@STARTS
def test_more_words_than_distinct_descriptors_are_refused(start):
    with pytest.raises(ValueError, match="4 words can't be learned from 2 distinct descriptors"):
        kmeans.train(np.array([[1, 2], [3, 4]] * 5, np.uint8), 4, quantum=QUANTUM, start=start)


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match=r"'k-means\|\|' or 'random' words, not 'farthest'"):
        kmeans.train(blobs(n=50), 4, quantum=QUANTUM, start="farthest")


@STARTS
def test_as_many_words_as_distinct_descriptors_leave_nothing_over(start):
    descriptors = np.array([[1, 2], [3, 4], [9, 9]] * 5, np.uint8)
    found = kmeans.train(descriptors, 3, quantum=QUANTUM, start=start, tolerance=0.0)
    assert found.inertia == 0.0
    assert sorted(found.words.tolist()) == [[1, 2], [3, 4], [9, 9]]


# ---- empty words, in parts


def test_the_farthest_descriptors_are_the_same_however_they_are_parted():
    random = np.random.default_rng(9)
    rows = random.integers(0, 256, (300, 8)).astype(np.uint8)
    words = rows[:5].astype(np.float32)
    whole = kmeans.farthest(rows, words, 4)
    for parts in (np.array_split(rows, 7), np.array_split(rows[random.permutation(300)], 3)):
        found = [kmeans.Farthest.of(kmeans.farthest(part, words, 4).arrays()) for part in parts]
        total = sum(found[1:], start=found[0])
        assert total.rows.tobytes() == whole.rows.tobytes()
        np.testing.assert_array_equal(total.distances, whole.distances)
    distances = np.square(rows[:, None].astype(float) - words[None]).sum(axis=2).min(axis=1)
    np.testing.assert_allclose(whole.distances, np.sort(distances)[::-1][:4])


def test_floats_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="whole numbers, not from float32"):
        kmeans.train(np.ones((10, 4), np.float32), 2, quantum=1.0)


def test_equal_descriptors_count_once_among_the_farthest_also_when_they_are_in_several_parts():
    words = np.zeros((1, 2), np.float32)
    rows = np.array([[9, 9], [1, 0], [9, 9], [0, 5], [9, 9], [5, 0]], np.uint8)
    whole = kmeans.farthest(rows, words, 3)
    np.testing.assert_array_equal(whole.rows, [[9, 9], [5, 0], [0, 5]])
    for parts in (np.array_split(rows, 3), rows[:, None], np.array_split(rows[::-1], 2)):
        found = [kmeans.farthest(part, words, 3) for part in parts]
        total = sum(found[1:], start=found[0])
        np.testing.assert_array_equal(total.rows, whole.rows)
        np.testing.assert_array_equal(total.distances, whole.distances)


def test_fewer_descriptors_than_are_wanted_are_all_among_the_farthest():
    words = np.zeros((1, 2), np.float32)
    rows = np.array([[1, 0], [1, 0], [0, 5]], np.uint8)
    np.testing.assert_array_equal(kmeans.farthest(rows, words, 10).rows, [[0, 5], [1, 0]])
    nothing = kmeans.farthest(rows[:0], words, 10)
    np.testing.assert_array_equal((nothing + kmeans.farthest(rows, words, 10)).rows, [[0, 5], [1, 0]])


def test_an_iteration_in_parts_fills_empty_words_as_one_in_one_place_does():
    descriptors = np.unique(blobs(n=500, k=5), axis=0)
    words = np.concatenate([descriptors[:4].astype(np.float32), np.full((3, 16), 250, np.float32)])
    one_place = kmeans.lloyd(descriptors, words, quantum=QUANTUM, tolerance=0.0, max_iterations=1).words
    parts = np.array_split(descriptors, 4)
    sums = [kmeans.cluster_sums(part, words) for part in parts]
    total = sum(sums[1:], start=sums[0])
    moved = kmeans.grid_mean(total.counts, total.sums, words, QUANTUM)
    empty = np.flatnonzero(total.counts == 0)
    assert len(empty) == 3
    found = [kmeans.farthest(part, words, len(empty), moved) for part in parts]
    moved[empty] = sum(found[1:], start=found[0]).rows
    np.testing.assert_array_equal(moved, one_place)


def test_the_seed_decides_the_first_far_words():
    rows = np.random.default_rng(10).integers(0, 256, (4000, 8)).astype(np.uint8)
    one, other, again = (kmeans.train(rows, 40, quantum=0.5, seed=seed, max_iterations=1).words for seed in (1, 2, 1))
    assert one.tobytes() == again.tobytes() != other.tobytes()
