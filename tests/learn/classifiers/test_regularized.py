"""Regularized discriminant analysis is that of a direct formula, from all rows as from parts of them."""

import numpy as np
import pytest
from scipy import linalg
from scipy.stats import multivariate_normal

from job.learn.classifiers import CLASSIFIERS, lda, rda
from job.learn.moments import moments
from job.learn.second_look import SecondLook

RDA = CLASSIFIERS.get("rda")


@pytest.fixture(scope="module")
def rows():
    """Categories about different means, each wide in a direction of its own: 5 of them, 8 features."""
    random = np.random.default_rng(5)
    labels = np.repeat(np.arange(5), [80, 90, 100, 110, 120])
    features = random.normal(size=(500, 8)) + random.normal(0, 2, (5, 8))[labels]
    along = random.normal(size=(5, 8))
    features += random.normal(0, 2, (500, 1)) * along[labels]
    weights = random.uniform(0.2, 1, 500)
    return features, labels, weights


def direct(features, labels, weights, asked):
    """Probabilities by the normal densities in the space that solves the generalized eigenproblem."""
    shares = np.bincount(labels, weights) / weights.sum()
    means = np.array([np.average(features[labels == one], axis=0, weights=weights[labels == one]) for one in range(5)])
    apart = features - means[labels]
    within = (apart * weights[:, None]).T @ apart / weights.sum()
    within = (1 - lda.SHRINKAGE) * within + lda.SHRINKAGE * np.trace(within) / 8 * np.eye(8)
    between = np.cov(means.T, aweights=shares, ddof=0)
    axes = linalg.eigh(between, within)[1][:, -4:]
    scores = []
    for one in range(5):
        inside = apart[labels == one] @ axes
        own = (inside * weights[labels == one][:, None]).T @ inside / weights[labels == one].sum()
        normal = multivariate_normal(means[one] @ axes, (1 - rda.OWN) * np.eye(4) + rda.OWN * own)
        scores.append(np.log(shares[one]) + normal.logpdf(asked @ axes))
    chances = np.exp(np.array(scores).T - np.max(scores, axis=0)[:, None])
    return chances / chances.sum(axis=1, keepdims=True)


def test_probabilities_are_those_of_normal_densities(rows):
    features, labels, weights = rows
    asked = np.random.default_rng(6).normal(0, 2, (300, 8))
    found = RDA.fit(features, labels, 5, weights=weights)
    np.testing.assert_allclose(RDA.probabilities(asked, found), direct(*rows, asked), atol=1e-9)


def test_without_weights_each_row_counts_for_1(rows):
    features, labels, _ = rows
    found, same = RDA.fit(features, labels, 5), RDA.fit(features, labels, 5, weights=np.ones(500))
    np.testing.assert_allclose(RDA.probabilities(features, found), RDA.probabilities(features, same), atol=1e-12)


def test_categories_that_vary_each_in_its_own_way_are_told_apart_better_than_by_lda(rows):
    features, labels, _ = rows
    linear = CLASSIFIERS.get("lda")
    right = [
        (each.probabilities(features, each.fit(features, labels, 5)).argmax(1) == labels).mean()
        for each in (RDA, linear)
    ]
    assert right[0] > right[1] + 0.02


def test_scores_do_not_depend_on_how_many_rows_come_at_once(rows, monkeypatch):
    features, labels, _ = rows
    found = RDA.fit(features, labels, 5)
    whole = RDA.probabilities(features, found)
    monkeypatch.setattr(rda, "_VALUES", 40)
    np.testing.assert_allclose(RDA.probabilities(features, found), whole, rtol=1e-10)


@pytest.mark.parametrize("each", [1, 2])
def test_with_one_picture_a_category_the_nearest_mean_wins(each):
    features = np.repeat(np.random.default_rng(7).normal(size=(6, 30)), each, axis=0)
    labels = np.repeat(np.arange(6), each)
    asked = np.random.default_rng(8).normal(size=(50, 30))
    chances = RDA.probabilities(asked, RDA.fit(features, labels, 6))
    nearest = ((asked[:, None] - features[None, ::each]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(chances.argmax(axis=1), nearest)


def test_one_category_alone_is_certain():
    features = np.random.default_rng(9).normal(size=(10, 3))
    np.testing.assert_allclose(RDA.probabilities(features, RDA.fit(features, np.zeros(10, int), 1)), 1.0)


def test_with_very_many_categories_it_is_lda(rows, monkeypatch):
    features, labels, weights = rows
    monkeypatch.setattr(rda, "MOST_CATEGORIES", 4)
    found, linear = (CLASSIFIERS.get(name).fit(features, labels, 5, weights=weights) for name in ("rda", "lda"))
    assert found.arrays.keys() == linear.arrays.keys()
    np.testing.assert_array_equal(
        RDA.probabilities(features, found), CLASSIFIERS.get("lda").probabilities(features, linear)
    )
    assert not SecondLook(RDA, [found], 5).wanted(8)


def test_sums_of_parts_make_the_models_that_all_rows_make(rows):
    features, labels, weights = rows
    held = np.arange(500) % 5 == 0
    both = [RDA.from_moments(moments(features[kept], labels[kept], 5, weights[kept])) for kept in (held | True, ~held)]
    look = SecondLook(RDA, both, 5)
    assert look.wanted(8)
    parts = [look.sums(*(each[start::3] for each in (features, labels, weights, held))) for start in range(3)]
    found = look.refined(parts[2] + parts[0] + parts[1])
    for one, kept in zip(found, (held | True, ~held), strict=True):
        peer = RDA.fit(features[kept], labels[kept], 5, weights=weights[kept])
        assert one.arrays.keys() == peer.arrays.keys()
        for name, array in peer.arrays.items():
            np.testing.assert_allclose(one.arrays[name], array, rtol=1e-9, atol=1e-12)


def test_other_classifiers_take_no_second_look(rows):
    features, labels, _ = rows
    for name in ("lda", "ridge"):
        classifier = CLASSIFIERS.get(name)
        look = SecondLook(classifier, [classifier.fit(features, labels, 5)], 5)
        assert not look.wanted(8)
        assert look.refined(None) == list(look.models)
