from dataclasses import replace

import numpy as np
import pytest

from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.linear import scores
from job.learn.moments import Moments, coordinates, moments


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(1)
    labels = random.integers(0, 5, 900)
    labels[labels == 3] = 1  # a category without rows
    return random.normal(0, 1, (900, 12)) + labels[:, None], labels, random.uniform(0.1, 2, 900)


def close(one: Moments, other: Moments) -> None:
    for name in ("counts", "sums", "products"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-9)


def test_parts_add_up_to_the_whole_in_any_order(rows):
    features, labels, weights = rows
    parts = [moments(features[part], labels[part], 5, weights[part]) for part in np.array_split(np.arange(900), 7)]
    whole = moments(features, labels, 5, weights)
    close(sum(parts[1:], parts[0]), whole)
    close(sum(parts[-2::-1], parts[-1]), whole)


def test_kinds_of_a_category_that_were_told_apart_are_folded_into_one(rows):
    features, labels, weights = rows
    kinds = labels + 5 * (np.arange(900) % 3)
    close(moments(features, kinds, 15, weights).folded(5), moments(features, labels, 5, weights))


def test_blocks_change_nothing(rows, monkeypatch):
    features, labels, weights = rows
    whole = moments(features, labels, 5, weights)
    monkeypatch.setattr("job.learn.moments._BLOCK", 100)
    close(moments(features, labels, 5, weights), whole)


def test_a_weight_of_two_is_a_row_twice(rows):
    features, labels, _ = rows
    close(
        moments(features, labels, 5, np.full(900, 2.0)),
        moments(np.repeat(features, 2, axis=0), np.repeat(labels, 2), 5),
    )


def test_scatters_are_those_that_the_rows_give(rows):
    features, labels, _ = rows
    found = moments(features, labels, 5)
    assert found.total == 900
    np.testing.assert_allclose(found.scatter() / 900, np.cov(features.T, bias=True), atol=1e-10)
    centred = features - np.array([features[labels == label].mean(axis=0) for label in labels])
    np.testing.assert_allclose(found.within(), centred.T @ centred, atol=1e-8)
    np.testing.assert_array_equal(found.means[3], 0)


def test_bytes_hold_all_of_it(rows):
    found = moments(rows[0], rows[1], 5)
    copy = Moments.of(found.arrays())
    np.testing.assert_array_equal(copy.counts, found.counts)
    np.testing.assert_array_equal(copy.sums, found.sums)
    np.testing.assert_allclose(copy.products, found.products, rtol=1e-14)
    np.testing.assert_array_equal(copy.products, copy.products.T)


def test_no_rows_are_no_error():
    found = moments(np.empty((0, 3), np.float32), np.empty(0, np.int64), 2)
    assert found.total == 0
    assert found.products.shape == (3, 3)


@pytest.mark.parametrize("name", ["lda", "ridge"])
def test_few_rows_of_many_features_are_learned_from_in_the_part_of_space_that_they_span(name):
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 15)
    features = random.normal(0, 1, (60, 400)) + 0.1 * labels[:, None]
    learn = CLASSIFIERS.get(name).from_moments
    narrow = coordinates(features)
    assert narrow.shape == (60, 60)
    whole = learn(moments(features, labels, 4))
    part = learn(replace(moments(narrow, labels, 4), space=400))
    np.testing.assert_allclose(scores(narrow, part), scores(features, whole), rtol=1e-7, atol=1e-7)
