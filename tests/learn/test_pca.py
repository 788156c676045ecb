import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from job.learn import pca


@pytest.fixture
def bags():
    random = np.random.default_rng(1)
    topics = random.dirichlet(np.full(30, 0.3), 4)
    return random.poisson(60 * topics[random.integers(0, 4, 200)]).astype(np.int32)


def test_axes_are_those_of_scikit_learn_up_to_their_sign(bags):
    found = pca.fit(pca.moments(bags), 21)
    peer = PCA(21, svd_solver="full").fit(bags.astype(np.float64))
    np.testing.assert_allclose(found.mean, peer.mean_, atol=1e-12)
    np.testing.assert_allclose(found.variances, peer.explained_variance_, rtol=1e-9)
    signs = np.sign((found.axes * peer.components_.T).sum(axis=0))
    np.testing.assert_allclose(found.axes * signs, peer.components_.T, atol=1e-8)
    np.testing.assert_allclose(pca.project(bags, found) * signs, peer.transform(bags), atol=1e-7)


def test_axes_are_orthonormal_and_their_largest_weight_is_positive(bags):
    axes = pca.fit(pca.moments(bags), 30).axes
    np.testing.assert_allclose(axes.T @ axes, np.eye(30), atol=1e-12)
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(30)] > 0).all()


def test_sums_are_exact_however_the_bags_are_cut(bags):
    whole = pca.moments(bags)
    parts = [pca.moments(part) for part in np.array_split(bags, 17)]
    total = parts[-1]
    for part in parts[-2::-1]:
        total = total + part
    assert total.count == whole.count == 200
    np.testing.assert_array_equal(total.total, whole.total)
    np.testing.assert_array_equal(total.gram, whole.gram)
    np.testing.assert_array_equal(whole.gram, bags.astype(np.int64).T @ bags.astype(np.int64))
    assert pca.fit(total, 21).axes.tobytes() == pca.fit(whole, 21).axes.tobytes()


def test_new_bags_are_centred_on_the_mean_of_those_it_was_fitted_to(bags):
    found = pca.fit(pca.moments(bags[:150]), 5)
    expected = (bags[150:] - bags[:150].mean(axis=0)) @ found.axes
    np.testing.assert_allclose(pca.project(bags[150:], found), expected, atol=1e-9)


def test_variances_of_what_does_not_vary_are_zero():
    found = pca.fit(pca.moments(np.full((5, 4), 7, np.int32)), 3)
    np.testing.assert_array_equal(found.variances, np.zeros(3))
    assert np.isfinite(found.axes).all()


def test_one_picture_is_enough_not_to_fail():
    bags = np.array([[1, 2, 3]], np.int32)
    np.testing.assert_allclose(pca.project(bags, pca.fit(pca.moments(bags), 2)), np.zeros((1, 2)), atol=1e-12)


# ---- data of lower rank


def few(pictures: int = 40, words: int = 90) -> np.ndarray:
    """Bags of fewer pictures than words: their rank is one less than the pictures."""
    return np.random.default_rng(5).poisson(1.5, (pictures, words)).astype(np.int32)


def test_components_beyond_the_rank_are_zero_for_pictures_that_were_not_seen_too():
    bags, others = few(), few(30)[::-1] + 1
    projection = pca.fit(pca.moments(bags), 63)
    features = pca.project(others, projection)
    assert (np.abs(features[:, :39]).max(axis=0) > 1e-3).all()
    np.testing.assert_array_equal(features[:, 39:], 0.0)
    np.testing.assert_array_equal(projection.variances[39:], 0.0)


def test_features_of_data_of_lower_rank_do_not_depend_on_the_threads_of_blas():
    bags, others = few(150, 500), few(60, 500)[::-1]
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(pca.project(others, pca.fit(pca.moments(bags), 350)))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-6)


PROGRAM = """
import sys, numpy as np
from job.learn import pca
random = np.random.default_rng(5)
bags, others = (random.poisson(1.5, (count, 500)).astype(np.int32) for count in (150, 60))
np.save(sys.argv[1], pca.project(others, pca.fit(pca.moments(bags), 350)))
"""


def test_features_of_data_of_lower_rank_do_not_depend_on_the_kind_of_processor(tmp_path: Path):
    found = []
    kinds = ["Haswell", "Zen", "Sandybridge", "Prescott"]
    if Path("/proc/cpuinfo").exists() and "avx512bw" in Path("/proc/cpuinfo").read_text():
        kinds.append("SkylakeX")
    for kind in kinds:
        path = tmp_path / f"{kind}.npy"
        environment = {**os.environ, "OPENBLAS_CORETYPE": kind}
        subprocess.run([sys.executable, "-c", PROGRAM, path], env=environment, check=True)
        found.append(np.load(path))
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, rtol=0, atol=1e-6)


# ---- more words than pictures, at the size for which it was made


@pytest.fixture(scope="module")
def wide() -> np.ndarray:
    """Bags of 300 pictures and 2,000 words, most of them 0."""
    return np.random.default_rng(6).poisson(0.05, (300, 2000)).astype(np.int32)


def test_the_small_matrix_gives_the_components_of_the_large_one(wide):
    small = pca.fit_rows(wide, 250)
    whole = pca.fit(pca.moments(wide), 250)
    np.testing.assert_allclose(small.variances, whole.variances, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(pca.project(wide, small), pca.project(wide, whole), atol=1e-6)


def test_sparse_rows_give_what_dense_ones_give(wide):
    dense, sparse = pca.fit_rows(wide, 200), pca.fit_rows(csr_array(wide), 200)
    np.testing.assert_allclose(sparse.axes, dense.axes, atol=1e-9)
    np.testing.assert_allclose(pca.project(csr_array(wide), sparse), pca.project(wide, dense), atol=1e-9)


@pytest.mark.parametrize("band", [7, 60, 512])
def test_sparse_rows_of_more_pictures_than_words_give_exact_sums(band, monkeypatch):
    monkeypatch.setattr(pca, "_BAND", band)
    bags = np.random.default_rng(7).poisson(0.3, (400, 60)).astype(np.int32)
    assert pca.fit_rows(csr_array(bags), 20).axes.tobytes() == pca.fit(pca.moments(bags), 20).axes.tobytes()


def test_floats_are_not_cut_to_whole_numbers():
    rows = np.random.default_rng(8).normal(size=(200, 12))
    found = pca.fit(pca.moments(rows), 12)
    peer = PCA(12, svd_solver="full").fit(rows)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0))
    np.testing.assert_allclose(found.variances, peer.explained_variance_)


# ---- what counts as rank


def test_what_a_large_mean_leaves_of_rounding_is_no_component():
    """The covariance is a difference of products: beside a large mean, its rounding is far above that of itself."""
    random = np.random.default_rng(9)
    rows = random.normal(size=(200, 3)) @ random.normal(size=(3, 10)) + 1e4
    projection = pca.fit(pca.moments(rows), 10)
    assert (projection.variances[:3] > 0.1).all()
    np.testing.assert_array_equal(projection.variances[3:], 0.0)
    np.testing.assert_array_equal(pca.project(random.normal(size=(5, 10)), projection)[:, 3:], 0.0)


def test_of_weights_that_are_equal_but_for_rounding_the_first_decides_the_sign():
    """Two words that grow and shrink against each other: another processor rounds the other way."""
    one, other = np.array([[-(0.5**0.5)], [0.5**0.5]]), np.array([[-(0.5**0.5) * (1 - 1e-15)], [0.5**0.5]])
    for axes in (one, other, -one, -other):
        found = pca._projection(np.zeros(2), np.ones(1), axes, 10).axes
        np.testing.assert_allclose(found, [[0.5**0.5], [-(0.5**0.5)]])


def test_sparse_floats_are_not_cut_to_whole_numbers():
    rows = np.random.default_rng(10).random((300, 20)) * (np.random.default_rng(11).random((300, 20)) < 0.3)
    sparse, dense = pca.fit_rows(csr_array(rows), 20), pca.fit_rows(rows, 20)
    np.testing.assert_allclose(sparse.variances, dense.variances, rtol=1e-9)
    np.testing.assert_allclose(sparse.axes, dense.axes, atol=1e-9)


@pytest.mark.parametrize("components", [30, 280])
def test_large_matrices_have_the_components_that_numpy_finds(components, monkeypatch):
    """A few of them are found alone, many by a full decomposition."""
    bags = np.random.default_rng(13).poisson(0.5, (900, 300)).astype(np.int32)
    expected = pca.fit(pca.moments(bags), components)
    monkeypatch.setattr(pca, "_FEW", 100)
    found = pca.fit(pca.moments(bags), components)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-10)
    np.testing.assert_allclose(found.axes, expected.axes, atol=1e-9)


def test_features_are_the_same_to_the_bit_whatever_threads_blas_has_elsewhere():
    bags = np.random.default_rng(11).poisson(1.0, (876, 50)).astype(np.int32)
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads, user_api="blas"):
            found.append(pca.project(bags, pca.fit(pca.moments(bags), 35)).tobytes())
    assert len(set(found)) == 1
