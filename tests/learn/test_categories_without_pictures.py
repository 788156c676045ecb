"""A category that no picture is learned of: never predicted, and stored like any other."""

import numpy as np
import pytest

from job.learn.classifiers import CLASSIFIERS


@pytest.mark.parametrize("name", ["lda", "rda", "ridge", "linear-svm"])
def test_a_category_without_pictures_is_never_predicted_and_has_finite_numbers(name):
    random = np.random.default_rng(1)
    labels = np.repeat([0, 2], 30)
    features = random.normal(size=(60, 4)) + labels[:, None]
    classifier = CLASSIFIERS.get(name)
    trained = classifier.fit(features, labels, 3)
    assert all(np.isfinite(array).all() for array in trained.arrays.values())
    chances = classifier.probabilities(features, trained)
    np.testing.assert_array_equal(chances[:, 1], 0.0)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
