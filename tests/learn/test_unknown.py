"""The distance to the nearest category, by which pictures of something else are told."""

import numpy as np
import pytest

from job.learn import unknown
from job.learn.classifiers import lda
from job.learn.moments import moments


@pytest.fixture(scope="module")
def rows(of_one_shape):
    return of_one_shape(1, 2)


def learned(features, labels, count):
    found = moments(features, labels, count)
    return lda.LDA.with_distances(lda.from_moments(found, 0.1), found.counts, found.means)


def mahalanobis(features, labels, asked, shrinkage):
    """The distance to the nearest mean by its definition, within what the differences of the means span."""
    means = np.array([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    away = features - means[np.searchsorted(np.unique(labels), labels)]
    covariance = away.T @ away / len(away)
    spread = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * spread * np.eye(len(covariance))
    white = np.linalg.inv(np.linalg.cholesky(covariance))
    span = np.linalg.svd((means - means.mean(axis=0)) @ white.T, full_matrices=False)[2][: len(means) - 1]
    inside, centres = asked @ white.T @ span.T, means @ white.T @ span.T
    return np.linalg.norm(inside[:, None] - centres[None], axis=2).min(axis=1)


def test_it_is_the_mahalanobis_distance_within_the_span_of_the_discriminants(rows):
    features, labels = rows
    asked = np.vstack([features[:50], np.random.default_rng(3).normal(0, 9, (50, 20))])
    found = lda.LDA.distances(asked, learned(features, labels, 6))
    np.testing.assert_allclose(found, mahalanobis(features, labels, asked, 0.1), rtol=1e-6)
    assert found[:50].max() < np.median(found[50:])


def test_a_category_without_pictures_is_near_to_nothing(rows):
    features, labels = rows
    kept = labels != 2
    trained = learned(features[kept], labels[kept], 6)
    expected = mahalanobis(features[kept], labels[kept], features, 0.1)
    np.testing.assert_allclose(lda.LDA.distances(features, trained), expected, rtol=1e-6)


def test_a_single_category_has_no_discriminants_and_every_picture_is_at_its_place(rows):
    features = rows[0][:100]
    trained = learned(features, np.zeros(100, np.int64), 1)
    np.testing.assert_array_equal(lda.LDA.distances(features, trained), np.zeros(100))


def test_with_very_many_categories_a_model_keeps_no_distances():
    nothing = np.zeros((2001, 3))
    assert unknown.space(nothing, nothing, np.ones(2001)) == {}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_beyond_the_farthest_is_the_share_that_was_asked_for(share):
    held = np.random.default_rng(5).gamma(3, 1, 2000)
    most = unknown.farthest(unknown.quantiles(held), share)
    assert (held > most).mean() == pytest.approx(share, abs=0.001)


def test_all_or_none_of_the_held_out_pictures_are_beyond():
    kept = unknown.quantiles(np.array([2.0, 1.0, 4.0]))
    assert (unknown.farthest(kept, 1.0), unknown.farthest(kept, 0.0)) == (1.0, 4.0)
