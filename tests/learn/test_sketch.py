"""Vectors wider than a matrix of products can be: folded ones, and what is learned from them."""

import numpy as np
import pytest

from job.learn import sketch
from job.learn.classifiers import CLASSIFIERS
from job.learn.moments import moments

WIDTH = 15_552


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """More features than a matrix of their products is held of: 300 rows of six categories about means of their own."""
    random = np.random.default_rng(5)
    labels = np.tile(np.arange(6), 50)
    means = random.normal(0, 0.3, (6, WIDTH))
    return random.normal(size=(300, WIDTH)) + means[labels], labels


def test_narrow_vectors_stay_as_they_are(rows):
    values = rows[0][:, : sketch.MOST_WIDTH]
    assert sketch.narrowed(values) is values
    assert sketch.widened(values, sketch.MOST_WIDTH) is values
    assert sketch.width_of(7) == 7


def test_folded_vectors_are_sums_of_all_values_with_signs():
    each = sketch.narrowed(np.eye(200, WIDTH))
    assert each.shape == (200, sketch.MOST_WIDTH)
    assert ((each != 0).sum(axis=1) == 1).all()
    values = np.random.default_rng(1).normal(size=200)
    whole = np.zeros(WIDTH)
    whole[:200] = values
    np.testing.assert_allclose(sketch.narrowed(whole[None])[0], values @ each, atol=1e-12)


def test_products_with_widened_vectors_are_those_of_folded_ones(rows):
    features, _ = rows
    few = np.random.default_rng(2).normal(size=(4, sketch.MOST_WIDTH))
    wide = sketch.widened(few, WIDTH)
    assert wide.shape == (4, WIDTH)
    np.testing.assert_allclose(features @ wide.T, sketch.narrowed(features) @ few.T, atol=1e-9)


def test_products_of_vectors_stay_near_those_of_the_wide_ones(rows):
    values = rows[0] / np.linalg.norm(rows[0], axis=1, keepdims=True)
    folded = sketch.narrowed(values)
    apart = folded @ folded.T - values @ values.T
    assert np.sqrt((apart**2).mean()) < 1.2 / sketch.MOST_WIDTH**0.5


def test_sums_over_wide_rows_are_those_over_folded_ones_also_in_parts(rows, monkeypatch):
    features, labels = rows
    weights = np.random.default_rng(3).random(300)
    folded = moments(sketch.narrowed(features), labels, 6, weights)
    monkeypatch.setattr("job.learn.moments._BLOCK_VALUES", 100 * WIDTH)
    found = moments(features, labels, 6, weights)
    for name in ("counts", "sums", "products"):
        np.testing.assert_allclose(getattr(found, name), getattr(folded, name), atol=1e-9)


def learned_of(name: str, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities by what is learned of 240 wide rows, which are checked against those of folded rows."""
    classifier, train = CLASSIFIERS.get(name), np.arange(300) < 240
    found = classifier.fit(features[train], labels[train], 6)
    assert found.arrays["coefficients"].shape == (6, features.shape[1])
    folded = sketch.narrowed(features)
    assert folded.shape == (300, sketch.MOST_WIDTH)
    beside = classifier.fit(folded[train], labels[train], 6)
    chances = classifier.probabilities(features, found)
    np.testing.assert_allclose(chances, classifier.probabilities(folded, beside), atol=1e-6)
    return (chances.argmax(axis=1) == labels)[~train]


def test_what_is_learned_of_wide_rows_works_on_them_as_they_are(rows):
    assert learned_of("lda", *rows).mean() > 0.9


@pytest.mark.parametrize("name", ["rda", "ridge"])
def test_the_same_of_all_that_learn_from_sums(name, rows, monkeypatch):
    monkeypatch.setattr(sketch, "MOST_WIDTH", 400)
    features, labels = rows
    learned_of(name, features[:, :1500] + np.eye(6, 1500)[labels] * 5, labels)


def test_distances_are_those_of_folded_rows(rows, monkeypatch):
    monkeypatch.setattr(sketch, "MOST_WIDTH", 400)
    features, labels = rows[0][:, :1500], rows[1]
    lda, found = CLASSIFIERS.get("lda"), moments(features, labels, 6)
    originals = found.counts, found.means
    wide, narrow = lda.learned(found, 1500, originals), lda.learned(found, 400, originals)
    np.testing.assert_allclose(
        lda.distances(features, wide), lda.distances(sketch.narrowed(features), narrow), rtol=1e-6
    )
