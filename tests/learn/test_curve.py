import numpy as np
import pytest

from job.learn import curve
from job.learn.classifiers import CLASSIFIERS


def pictures(count, seed):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(3, 12))
    labels = np.arange(count) % 3
    return centres[labels] + random.normal(size=(count, 12)) * 1.5, labels


@pytest.mark.parametrize("name", ["lda", "logistic"])
def test_more_pictures_are_no_worse_and_the_last_point_is_all_of_them(name):
    found = curve.points(CLASSIFIERS.get(name), pictures(360, 1), pictures(300, 2), 3)
    assert [point.each for point in found] == [1, 2, 5, 10, 20, 50, 100, 120]
    assert [point.pictures for point in found] == [3 * point.each for point in found]
    assert found[-1].accuracy.mean > found[0].accuracy.mean + 0.1
    trained = CLASSIFIERS.get(name).fit(*pictures(360, 1), 3)
    test, labels = pictures(300, 2)
    right = CLASSIFIERS.get(name).probabilities(test, trained).argmax(axis=1) == labels
    assert found[-1].accuracy.mean == pytest.approx(right.mean(), abs=0.01)


def test_a_category_with_fewer_pictures_gives_what_it_has():
    features, labels = pictures(90, 1)
    kept = np.flatnonzero((labels > 0) | (np.arange(90) < 9))
    found = curve.points(CLASSIFIERS.get("lda"), (features[kept], labels[kept]), pictures(60, 2), 3)
    assert [(point.each, point.pictures) for point in found] == [(1, 3), (2, 6), (5, 13), (10, 23), (20, 43), (30, 63)]


def test_a_larger_choice_includes_the_smaller_ones():
    labels = np.arange(40) % 4
    ranks = curve._ranks(labels, 7)
    for label in range(4):
        assert sorted(ranks[labels == label].tolist()) == list(range(10))


def test_without_pictures_to_score_there_is_no_curve():
    assert curve.points(CLASSIFIERS.get("lda"), pictures(30, 1), (np.empty((0, 12)), np.empty(0, np.int64)), 3) == []
