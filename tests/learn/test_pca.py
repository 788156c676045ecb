import numpy as np
import pytest
from sklearn.decomposition import PCA

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
