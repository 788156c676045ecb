"""Encodings that make one vector of many local descriptors."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from job.learn.assign import assign
from job.learn.encodings import ENCODINGS, fisher
from job.learn.encodings.base import Codebook

NAMES = ["hellinger", "tf-idf", "soft", "vlad", "fisher"]
K = 6


@pytest.fixture(scope="module")
def rows(local_rows):
    return local_rows


@pytest.fixture(scope="module")
def codebooks(rows):
    return {name: ENCODINGS.get(name).fit(rows, K, quantum=1 / 32, seed=3) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_vectors_have_the_shape_that_is_promised_and_length_1(name, rows, pictures, codebooks):
    encoding = ENCODINGS.get(name)
    found = encoding.encode(rows, pictures, 6, codebooks[name])
    assert (found.shape, found.dtype) == ((6, encoding.width(K, 16)), encoding.dtype)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_does_not_depend_on_the_other_pictures(name, rows, pictures, codebooks):
    encoding = ENCODINGS.get(name)
    together = encoding.encode(rows, pictures, 6, codebooks[name])
    for picture in range(6):
        own = rows[pictures == picture]
        alone = encoding.encode(own, np.zeros(len(own), np.int64), 1, codebooks[name])
        np.testing.assert_array_equal(alone[0], together[picture])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_sample_and_seed_learn_the_same(name, rows, codebooks):
    again = ENCODINGS.get(name).fit(rows, K, quantum=1 / 32, seed=3)
    for key, values in codebooks[name].arrays.items():
        np.testing.assert_array_equal(again.arrays[key], values)


@pytest.mark.parametrize("name", NAMES)
def test_no_descriptors_give_zeros(name, codebooks):
    found = ENCODINGS.get(name).encode(np.empty((0, 16), np.uint8), np.empty(0, np.int64), 2, codebooks[name])
    assert not found.any()


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_hellinger_is_the_root_of_counts(rows, pictures, codebooks):
    found = ENCODINGS.get("hellinger").encode(rows, pictures, 6, codebooks["hellinger"])
    counts = ENCODINGS.get("counts").encode(rows, pictures, 6, codebooks["hellinger"])
    np.testing.assert_allclose(found[2], np.sqrt(counts[2] / counts[2].sum()), rtol=1e-6)


def test_tf_idf_weighs_rare_words_more(rows, pictures, codebooks):
    codebook = codebooks["tf-idf"]
    nearest = assign(rows, codebook.arrays["words"])
    total = np.bincount(nearest, minlength=K)
    np.testing.assert_array_equal(codebook.arrays["frequencies"], total)
    own = np.bincount(nearest[pictures == 1], minlength=K)
    expected = unit(own * (np.log((2000 + 1) / (total + 1)) + 1))
    np.testing.assert_allclose(ENCODINGS.get("tf-idf").encode(rows, pictures, 6, codebook)[1], expected, rtol=1e-6)


def test_soft_shares_follow_the_formula(rows, pictures, codebooks):
    codebook = codebooks["soft"]
    words = codebook.arrays["words"].astype(float)
    distances = np.square(rows[:, None].astype(float) - words).sum(axis=2)
    spread = distances.min(axis=1).mean()
    assert spread == pytest.approx(codebook.facts["inertia"] / 2000, rel=1e-3)
    shares = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / (2 * spread))
    np.put_along_axis(shares, distances.argsort(axis=1)[:, 5:], 0, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    expected = unit(np.sqrt(shares[pictures == 4].sum(axis=0)))
    found = ENCODINGS.get("soft").encode(rows, pictures, 6, codebook)[4]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)


def test_soft_of_one_word_is_that_word(rows, pictures):
    encoding = ENCODINGS.get("soft")
    codebook = encoding.fit(rows, 2, quantum=1 / 32, seed=3)
    alone = Codebook({**codebook.arrays, "words": codebook.arrays["words"][:1]}, codebook.facts)
    np.testing.assert_array_equal(encoding.encode(rows, pictures, 6, alone)[:, 0], [1, 1, 1, 0, 1, 1])


def test_vlad_follows_the_formula(rows, pictures, codebooks):
    words = codebooks["vlad"].arrays["words"].astype(float)
    own = rows[pictures == 5].astype(float)
    nearest = assign(rows, codebooks["vlad"].arrays["words"])[pictures == 5]
    parts = []
    for word in range(K):
        total = (own[nearest == word] - words[word]).sum(axis=0)
        parts.append(unit(np.sign(total) * np.sqrt(np.abs(total))) if total.any() else total)
    found = ENCODINGS.get("vlad").encode(rows, pictures, 6, codebooks["vlad"])[5]
    np.testing.assert_allclose(found, unit(np.concatenate(parts)), atol=1e-6)


def test_the_mixture_is_that_of_scikit_learn(rows, codebooks):
    own = codebooks["fisher"].arrays
    reduced = (rows - own["centre"]) @ own["axes"]
    mixture = GaussianMixture(K, covariance_type="diag")
    mixture.weights_, mixture.means_, mixture.covariances_ = own["weights"], own["means"], own["variances"]
    mixture.precisions_cholesky_ = 1 / np.sqrt(own["variances"])
    shares, logs = fisher.posteriors(reduced, own["weights"], own["means"], own["variances"])
    np.testing.assert_allclose(shares, mixture.predict_proba(reduced), atol=1e-9)
    np.testing.assert_allclose(logs, mixture.score_samples(reduced), rtol=1e-9)
    best = GaussianMixture(K, covariance_type="diag", n_init=3, random_state=0).fit(reduced)
    assert logs.mean() > best.score(reduced) - 0.05 * abs(best.score(reduced))


def test_the_fisher_vector_is_the_gradient_of_the_likelihood(rows, pictures, codebooks):
    """By finite differences of the mean log density, scaled by Fisher's information (Sanchez et al., 2013)."""
    own = codebooks["fisher"].arrays
    weights, means, variances = own["weights"], own["means"], own["variances"]
    part = (rows[pictures == 0] - own["centre"]) @ own["axes"]

    def density(changed_means, changed_variances):
        return fisher.posteriors(part, weights, changed_means, changed_variances)[1].mean()

    expected = np.zeros((2, K, 16))
    for word in range(K):
        for value in range(16):
            deviation = np.sqrt(variances[word, value])
            step = np.zeros_like(means)
            step[word, value] = 1e-4 * deviation
            slope = (density(means + step, variances) - density(means - step, variances)) / (2e-4 * deviation)
            expected[0, word, value] = slope * deviation / np.sqrt(weights[word])
            wider, narrower = np.sqrt(variances) + step, np.sqrt(variances) - step
            slope = (density(means, wider**2) - density(means, narrower**2)) / (2e-4 * deviation)
            expected[1, word, value] = slope * deviation / np.sqrt(2 * weights[word])
    flat = expected.ravel()
    found = ENCODINGS.get("fisher").encode(rows, pictures, 6, codebooks["fisher"])[0]
    np.testing.assert_allclose(found, unit(np.sign(flat) * np.sqrt(np.abs(flat))), atol=2e-4)


def test_too_few_descriptors_get_a_sentence():
    with pytest.raises(ValueError, match="3 descriptors to learn 6 Gaussians from"):
        ENCODINGS.get("fisher").fit(np.zeros((3, 16), np.uint8), 6, quantum=1 / 32, seed=1)
