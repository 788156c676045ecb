"""Several trainings on shared vectors learn what each would learn by itself."""

import numpy as np
import pytest

from job.learn import pca, scaling, trials
from job.learn.classifiers import CLASSIFIERS


@pytest.fixture
def data():
    random = np.random.default_rng(3)
    labels = np.tile(np.arange(4), 40)
    first = random.random((160, 12)).astype(np.float32)
    first[np.arange(160), labels] += 1
    second = random.integers(0, 9, (160, 7)).astype(np.int32)
    second[:5] = 0
    folds = np.arange(160) // 4 % 5
    trainings = [np.flatnonzero(folds != fold) for fold in range(5)]
    return [first, second], labels, trainings


def how(name, components=0, *, scaled=True):
    return trials.How(CLASSIFIERS.get(name), 4, True, scaled, components, 5)


def rows_of(blocks):
    return lambda chosen: [block[chosen] for block in blocks]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", ["lda", "rda", "ridge"])
def test_shared_sums_learn_what_the_rows_do(data, name, scaled, weighted):
    blocks, labels, trainings = data
    weights = np.random.default_rng(4).random(160) if weighted else None
    found = trials.learn(how(name, scaled=scaled), rows_of(blocks), labels, weights, trainings)
    assert len(found) == 5
    for one, chosen in zip(found, trainings, strict=True):
        own = [block[chosen] for block in blocks]
        fitted = scaling.fit(scaling.sums(own), scaled=scaled)
        trained = CLASSIFIERS.get(name).fit(
            scaling.scale(np.hstack(own), fitted),
            labels[chosen],
            4,
            weights=np.ones(len(chosen)) if weights is None else weights[chosen],
        )
        for key, value in trained.arrays.items():
            np.testing.assert_allclose(one.trained.arrays[key], value, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(one.scaling.mean, fitted.mean, atol=1e-12)


def test_without_sums_each_training_is_fitted_on_its_own_rows(data):
    blocks, labels, trainings = data
    (one, *_) = trials.learn(how("logistic", 6), rows_of(blocks), labels, None, trainings)
    own = [block[trainings[0]] for block in blocks]
    fitted = scaling.fit(scaling.sums(own))
    projection = pca.fit_rows(scaling.scale(np.hstack(own), fitted), 6)
    np.testing.assert_allclose(one.projection.axes, projection.axes, atol=1e-9)
    assert one.trained.arrays
    held = np.setdiff1d(np.arange(160), trainings[0])
    assert (one.predicted(rows_of(blocks), held) == labels[held]).mean() > 0.8


def test_sums_too_large_to_be_shared_are_not(data, monkeypatch):
    blocks, labels, trainings = data
    shared = trials.learn(how("lda"), rows_of(blocks), labels, None, trainings)
    monkeypatch.setattr(trials, "_MOST_BYTES", 0)
    apart = trials.learn(how("lda"), rows_of(blocks), labels, None, trainings)
    for one, other in zip(shared, apart, strict=True):
        np.testing.assert_allclose(one.trained.arrays["coefficients"], other.trained.arrays["coefficients"], rtol=1e-6)


def test_predictions_do_not_depend_on_how_many_rows_come_at_once(data, monkeypatch):
    blocks, labels, trainings = data
    (one, *_) = trials.learn(how("lda"), rows_of(blocks), labels, None, trainings)
    whole = one.predicted(rows_of(blocks), np.arange(160))
    monkeypatch.setattr(trials, "_ROWS", 7)
    np.testing.assert_array_equal(one.predicted(rows_of(blocks), np.arange(160)), whole)


def test_the_model_is_as_large_as_its_arrays(data):
    blocks, labels, trainings = data
    (one, *_) = trials.learn(how("lda"), rows_of(blocks), labels, None, trainings)
    known = 8 * (2 * 4 * 4 + 1001)  # by which a model that is kept knows what is unknown
    assert one.bytes == 8 * (4 * 19 + 4 + 19 + 2 + 2) + known


def test_too_many_components_are_refused(data):
    blocks, labels, trainings = data
    with pytest.raises(ValueError, match="at most 19 components"):
        trials.learn(how("lda", 20), rows_of(blocks), labels, None, trainings)
