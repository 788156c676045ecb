import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from job.learn import scores


@pytest.fixture
def labels():
    """True and predicted categories 0 to 5; category 4 has no pictures, 5 is never predicted, 6 neither."""
    random = np.random.default_rng(1)
    true = random.choice([0, 1, 2, 3, 5], 400)
    return true, np.where(random.random(400) < 0.6, true % 5, random.integers(0, 5, 400))


def test_counts_are_those_of_scikit_learn(labels):
    counts = scores.confusion(*labels, 7)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, confusion_matrix(*labels, labels=range(7)))


def test_ratios_are_those_of_scikit_learn_and_nan_of_nothing(labels):
    found = scores.by_category(scores.confusion(*labels, 7))
    precision, recall, f1, support = precision_recall_fscore_support(*labels, labels=range(7), zero_division=np.nan)
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.support, support)
    assert np.isnan([found.recall[4], found.precision[5], found.f1[6]]).all()
    assert found.f1[5] == 0


def test_the_accuracy_is_that_of_scikit_learn(labels):
    assert scores.accuracy(scores.confusion(*labels, 7)) == accuracy_score(*labels)
    assert np.isnan(scores.accuracy(np.zeros((3, 3), np.int64)))


def test_labels_may_be_floats_of_whole_numbers(labels):
    whole = scores.confusion(*labels, 7)
    np.testing.assert_array_equal(scores.confusion(*(part.astype(np.float64) for part in labels), 7), whole)


@pytest.mark.parametrize("wrong", [-1, 3, 0.5, np.nan])
def test_a_label_without_a_category_gets_a_sentence(wrong):
    with pytest.raises(ValueError, match=f"label {wrong:g} is none of 0 to 2"):
        scores.confusion(np.array([0, wrong]), np.array([0, 1]), 3)


def test_a_picture_without_a_prediction_gets_a_sentence():
    with pytest.raises(ValueError, match="3 true labels and 2 predictions"):
        scores.confusion(np.zeros(3), np.zeros(2), 2)
