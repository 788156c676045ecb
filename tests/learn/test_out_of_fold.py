import numpy as np
import pytest

from job.learn import out_of_fold
from job.learn.calibration import expected_error
from job.learn.classifiers import CLASSIFIERS

FRAMES = out_of_fold.FRAMES


def clusters(pictures=60, categories=4, width=8, seed=1):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(categories), pictures)
    centres = random.normal(size=(categories, width)) * 2
    return centres[labels] + random.normal(size=(len(labels), width)), labels


def test_frames_that_follow_each_other_stay_together_and_those_of_another_video_or_category_do_not():
    names = ["a/3_100.jpg", "a/4_100.jpg", f"a/{FRAMES}_100.jpg", "a/r_3_100.jpg", "a/r2_3_100.jpg", "b/3_100.jpg"]
    found = out_of_fold.groups(names, np.array([0, 0, 0, 0, 0, 1]))
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 5


def test_pictures_whose_names_tell_nothing_stand_alone_unless_they_are_copies():
    names = ["a/apple.jpg", "a/pear.jpg", "b/plum.jpg", "b/fig.jpg"]
    labels = np.array([0, 0, 1, 1])
    assert len(set(out_of_fold.groups(names, labels).tolist())) == 4
    found = out_of_fold.groups(names, labels, (np.array([0]), np.array([3])))
    assert found[0] == found[3]
    assert len(set(found.tolist())) == 3


def test_groups_are_never_cut_and_each_category_is_spread_over_all_folds():
    names = [f"{category}/{frame}_100.jpg" for category in range(3) for frame in range(130 + 40 * category)]
    labels = np.array([int(name[0]) for name in names])
    groups = out_of_fold.groups(names, labels)
    held = out_of_fold.folds(groups, names, labels, seed=3)
    assert {len(set(held[groups == group].tolist())) for group in np.unique(groups)} == {1}
    for category in range(3):
        counts = np.bincount(held[labels == category], minlength=5)
        assert counts.max() - counts.min() <= 2 * FRAMES


def test_copies_of_different_labels_are_held_out_together():
    names = [f"{category}/x{number}.jpg" for category in range(2) for number in range(20)]
    labels = np.repeat([0, 1], 20)
    groups = out_of_fold.groups(names, labels, (np.arange(0, 20), np.arange(20, 40)))
    held = out_of_fold.folds(groups, names, labels, seed=1)
    np.testing.assert_array_equal(held[:20], held[20:])
    assert len(set(held.tolist())) == 5


def test_a_category_of_a_single_video_is_dealt_out_picture_by_picture():
    names = [f"a/{frame}_100.jpg" for frame in range(10)]
    held = out_of_fold.folds(np.zeros(10, np.int64), names, np.zeros(10, np.int64), seed=1)
    assert np.bincount(held).tolist() == [2] * 5


def test_folds_do_not_depend_on_the_order_of_the_pictures():
    names = [f"{number % 3}/x{number}.jpg" for number in range(60)]
    labels = np.arange(60) % 3
    groups = np.arange(60)
    held = out_of_fold.folds(groups, names, labels, seed=2)
    order = np.random.default_rng(0).permutation(60)
    again = out_of_fold.folds(groups[order], [names[row] for row in order], labels[order], seed=2)
    np.testing.assert_array_equal(held[order], again)


@pytest.mark.parametrize("name", CLASSIFIERS.names)
def test_every_classifier_gives_probabilities_that_mean_what_they_say(name):
    features, labels = clusters(pictures=100)
    held = np.arange(len(labels)) % 5
    found = out_of_fold.probabilities(CLASSIFIERS.get(name), features, labels, 4, held)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    assert (found.argmax(axis=1) == labels).mean() > 0.9
    assert expected_error(found, labels) < 0.06


@pytest.mark.parametrize("name", ["lda", "ridge", "logistic"])
def test_a_picture_has_no_part_in_what_is_said_of_it(name):
    features, labels = clusters(pictures=20)
    held = np.arange(len(labels)) % 5
    before = out_of_fold.probabilities(CLASSIFIERS.get(name), features, labels, 4, held)
    odd = np.flatnonzero(held == 2)
    wrong = labels.copy()
    wrong[odd] = (wrong[odd] + 1) % 4
    after = out_of_fold.probabilities(CLASSIFIERS.get(name), features, wrong, 4, held)
    # but for the temperature, which all folds share, nothing of the fold's own answers depends on its labels
    np.testing.assert_array_equal(before[odd].argsort(axis=1), after[odd].argsort(axis=1))


def test_sums_without_a_fold_are_those_of_the_others():
    features, labels = clusters(pictures=20)
    held = np.arange(len(labels)) % 5
    found = out_of_fold.probabilities(CLASSIFIERS.get("lda"), features, labels, 4, held)
    for fold in range(5):
        trained = CLASSIFIERS.get("lda").fit(features[held != fold], labels[held != fold], 4)
        alone = CLASSIFIERS.get("lda").probabilities(features[held == fold], trained)
        np.testing.assert_array_equal(alone.argsort(axis=1), found[held == fold].argsort(axis=1))


def test_nothing_is_said_of_the_only_picture_of_a_category():
    features, labels = clusters(pictures=10)
    labels = np.append(labels, 4)
    features = np.vstack([features, features[:1]])
    found = out_of_fold.probabilities(CLASSIFIERS.get("lda"), features, labels, 5, np.arange(len(labels)) % 5)
    assert np.isnan(found[-1]).all()
    assert not np.isnan(found[:-1]).any()


def test_one_fold_leaves_nothing_to_learn_from():
    features, labels = clusters(pictures=5)
    found = out_of_fold.probabilities(CLASSIFIERS.get("lda"), features, labels, 4, np.zeros(len(labels), np.int64))
    assert np.isnan(found).all()


def test_wider_features_have_fewer_folds():
    assert out_of_fold.parts_for(64) == out_of_fold.parts_for(2560) == out_of_fold.FOLDS
    assert out_of_fold.parts_for(20_000) == 2
