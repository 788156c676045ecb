import sys

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import LinearSVC

from job.errors import UserError
from job.learn.classifiers import CLASSIFIERS, lda, ridge
from job.learn.classifiers.linear import scores
from job.learn.moments import moments

NAMES = ["lda", "ridge", "linear-svm"]


@pytest.fixture(scope="module")
def rows(of_one_shape):
    return of_one_shape(0, 1.2)


@pytest.mark.parametrize("shrinkage", [0.0, 0.02, 0.3])
def test_lda_is_that_of_scikit_learn(rows, shrinkage):
    features, labels = rows
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features[:900], labels[:900])
    found = lda.from_moments(moments(features[:900], labels[:900], 6), shrinkage)
    np.testing.assert_allclose(found.arrays["coefficients"], expected.coef_, rtol=1e-8)
    np.testing.assert_allclose(found.arrays["intercepts"], expected.intercept_, rtol=1e-8)
    np.testing.assert_allclose(
        CLASSIFIERS.get("lda").probabilities(features[900:], found), expected.predict_proba(features[900:]), atol=1e-10
    )


def test_lda_of_fewer_rows_than_features_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    features, labels = random.normal(0, 1, (12, 40)), np.repeat([0, 1, 2], 4)
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(features, labels)
    found = lda.from_moments(moments(features, labels, 3), 0.1)
    np.testing.assert_allclose(found.arrays["coefficients"], expected.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 50.0])
def test_ridge_is_that_of_scikit_learn(rows, penalty):
    features, labels = rows
    expected = RidgeClassifier(alpha=penalty).fit(features[:900], labels[:900])
    found = ridge.from_moments(moments(features[:900], labels[:900], 6), penalty, relative=False)
    np.testing.assert_allclose(scores(features, found), expected.decision_function(features), atol=1e-8)


def test_the_linear_svm_is_that_of_scikit_learn(rows):
    features, labels = rows
    expected = LinearSVC(random_state=4).fit(features[:900], labels[:900])
    found = CLASSIFIERS.get("linear-svm").fit(features[:900], labels[:900], 6, seed=4)
    np.testing.assert_allclose(scores(features, found), expected.decision_function(features), atol=1e-10)


def test_the_linear_svm_says_what_it_needs_where_that_is_not_there(rows, monkeypatch):
    entry = CLASSIFIERS.get("linear-svm")
    assert entry.needs is not None
    assert entry.needs.missing() is None
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    said = "needs scikit-learn, which can't be imported: pip install 'fruits-job[svm]'."
    assert entry.needs.missing() == said
    with pytest.raises(UserError) as told:
        entry.fit(rows[0][:90], rows[1][:90], 6)
    assert str(told.value) == f"The classifier 'linear-svm' {said}"


def test_no_other_classifier_needs_more_than_the_program_has():
    assert [name for name in CLASSIFIERS if CLASSIFIERS.get(name).needs is not None] == ["linear-svm"]


def test_the_linear_svm_of_two_categories_predicts_as_scikit_learn(rows):
    features, labels = rows[0], rows[1] % 2
    expected = LinearSVC(random_state=4).fit(features, labels)
    found = CLASSIFIERS.get("linear-svm").fit(features, labels, 2, seed=4)
    np.testing.assert_array_equal(scores(features, found).argmax(axis=1), expected.predict(features))


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_add_up_to_1_and_are_highest_where_the_score_is(rows, name):
    classifier = CLASSIFIERS.get(name)
    found = classifier.fit(rows[0], rows[1], 6)
    chances = classifier.probabilities(rows[0], found)
    assert chances.shape == (1200, 6)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_array_equal(chances.argmax(axis=1), scores(rows[0], found).argmax(axis=1))
    assert (chances.argmax(axis=1) == rows[1]).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_a_category_without_training_pictures_is_never_predicted(rows, name):
    features, labels = rows
    kept = labels != 2
    classifier = CLASSIFIERS.get(name)
    found = classifier.fit(features[kept], labels[kept], 6)
    predicted = classifier.probabilities(features, found).argmax(axis=1)
    assert (predicted != 2).all()
    assert (predicted[kept] == labels[kept]).mean() > 0.9


@pytest.mark.parametrize("name", ["lda", "ridge"])
def test_weights_count_rows_several_times(rows, name):
    features, labels = rows
    times = np.random.default_rng(5).integers(1, 4, 1200)
    classifier = CLASSIFIERS.get(name)
    weighted = classifier.fit(features, labels, 6, weights=times.astype(float))
    repeated = classifier.fit(np.repeat(features, times, axis=0), np.repeat(labels, times), 6)
    np.testing.assert_allclose(weighted.arrays["coefficients"], repeated.arrays["coefficients"], rtol=1e-8)


def test_weights_are_refused_where_they_would_be_ignored(rows):
    with pytest.raises(ValueError, match="'linear-svm' takes no weights"):
        CLASSIFIERS.get("linear-svm").fit(*rows, 6, weights=np.ones(1200))


@pytest.mark.parametrize("name", ["lda", "ridge"])
def test_nothing_to_learn_from_gets_a_sentence(name):
    with pytest.raises(ValueError, match="no pictures to learn categories from"):
        CLASSIFIERS.get(name).fit(np.empty((0, 3)), np.empty(0, np.int64), 2)


def test_lda_of_one_picture_a_category_predicts_the_nearest():
    random = np.random.default_rng(6)
    features, labels = random.normal(0, 1, (7, 30)), np.arange(7)
    classifier = CLASSIFIERS.get("lda")
    found = classifier.fit(features, labels, 7)
    others = random.normal(0, 1, (50, 30))
    nearest = np.square(others[:, None] - features).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(classifier.probabilities(others, found).argmax(axis=1), nearest)
