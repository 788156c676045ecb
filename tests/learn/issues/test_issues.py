"""Each kind of issue: what it finds, what it leaves alone, and what it does without the evidence that it takes."""

from dataclasses import replace

import numpy as np
import pytest
from evidence import CATEGORIES, clustered

from job.learn.classifiers import CLASSIFIERS
from job.learn.issues import KINDS
from job.learn.issues.base import Evidence, Rows
from job.learn.issues.labels import quality
from job.learn.issues.outliers import farness
from job.vision.look import KEPT


def drawn(count, seed):
    """Looks of pictures that have nothing to do with each other."""
    return np.random.default_rng(seed).normal(size=(count, KEPT * KEPT)).astype(np.float32) * 4


def find(kind, evidence):
    return KINDS.get(kind).find(evidence)


# ---- labels


def test_the_quality_of_a_label_is_its_normalized_margin():
    chances = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(quality(chances, np.array([0, 1, 0, 0])), [0.75, 0.25, 0.0, 1.0])


@pytest.mark.parametrize("classifier", CLASSIFIERS.names)
def test_wrong_labels_come_first_with_the_right_category_suggested(classifier):
    wrong = (3, 70, 130, 200)
    found = find("label", clustered(wrong=wrong, classifier=classifier, spread=0.6))
    # a network learns some of them by heart, so that it lists a few others as well
    network = classifier == "mlp"
    first = {issue.ima: issue for issue in found[: len(wrong) * (1 + network)]}
    issues = [(CATEGORIES[row // 60], first[f"{CATEGORIES[row // 60]}/x{row}.jpg"]) for row in wrong]
    assert sum(issue.suggested == truth for truth, issue in issues) >= len(wrong) - network
    for truth, issue in issues:
        assert (issue.kind, issue.split, issue.other) == ("label", "train", "")
        assert issue.cat != truth
        assert 0.75 <= issue.score <= 1
    assert [issue.score for issue in found] == sorted((issue.score for issue in found), reverse=True)


def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other():
    own = clustered(wrong=(5,), spread=0.7)
    rows = own.features["train"]
    # nine copies of the picture with the wrong label, under names of their own
    names = [*rows.names, *(f"copy{number}.jpg" for number in range(9))]
    labels, values = np.append(rows.labels, [1] * 9), np.vstack([rows.values, np.repeat(rows.values[5:6], 9, axis=0)])
    looks = drawn(len(names), 3)
    looks[-9:] = looks[5]
    evidence = replace(
        own,
        features={"train": Rows(names, labels, values)},
        looks={"train": Rows(names, labels, looks)},
        classifier=CLASSIFIERS.get("linear-svm"),
    )
    listed = {issue.ima for issue in find("label", evidence)}
    assert {"Apple/x5.jpg", *names[-9:]} <= listed


def test_scored_pictures_are_judged_by_what_the_classifier_said_of_them():
    chances = np.array([[0.05, 0.9, 0.05, 0.0], [0.9, 0.1, 0.0, 0.0], [0.4, 0.6, 0.0, 0.0]])
    scored = Rows(["t0.jpg", "t1.jpg", "t2.jpg"], np.array([0, 0, 0]), chances)
    evidence = replace(clustered(spread=0.3), chances={"test": scored})
    (issue,) = find("label", evidence)
    assert (issue.split, issue.ima, issue.cat, issue.suggested) == ("test", "t0.jpg", "Apple", "Banana")
    assert issue.score == pytest.approx(1 - (0.05 - 0.9 + 1) / 2)


@pytest.mark.parametrize("kind", ["label", "overlap"])
def test_without_a_classifier_nothing_is_said_of_labels_or_overlap(kind):
    assert find(kind, clustered(wrong=(1, 2, 3), classifier=None)) == []


# ---- copies


def pictured(looks, names=None, labels=None, **scored):
    labels = np.zeros(len(looks), np.int64) if labels is None else labels
    names = names or [f"a/x{row}.jpg" for row in range(len(looks))]
    return Evidence(CATEGORIES, np.bincount(labels, minlength=4), {"train": Rows(names, labels, looks), **scored})


@pytest.fixture
def different():
    return drawn(30, 1)


def test_a_copy_is_found_once_with_its_twin(different):
    different[7] = different[21]
    (issue,) = find("near_duplicate", pictured(different))
    assert (issue.split, issue.ima, issue.other, issue.score) == ("train", "a/x7.jpg", "a/x21.jpg", 1.0)


def test_a_mirrored_copy_is_found(different):
    different[7] = different[21] * np.where(np.arange(KEPT * KEPT) % 2, -1, 1)
    (issue,) = find("near_duplicate", pictured(different))
    assert {issue.ima, issue.other} == {"a/x7.jpg", "a/x21.jpg"}


def test_a_copy_among_the_scored_pictures_names_the_training_picture(different):
    scored = Rows(["t/x0.jpg", "t/x1.jpg"], np.array([2, 0]), np.stack([different[4], -different[4]]))
    (issue,) = find("near_duplicate", pictured(different, test=scored))
    assert (issue.split, issue.ima, issue.cat, issue.other) == ("test", "t/x0.jpg", "Cherry", "a/x4.jpg")


def video(frames, step, seed=1):
    """Looks that drift by `step` levels of grey from one frame to the next."""
    drift = drawn(frames, seed)
    return np.cumsum(drift / np.linalg.norm(drift, axis=1, keepdims=True) * step, axis=0)


def test_frames_of_a_video_are_not_copies_of_each_other_but_a_copy_among_them_is():
    frames = video(60, 1.5)
    assert find("near_duplicate", pictured(frames)) == []
    (issue,) = find("near_duplicate", pictured(np.vstack([frames, frames[30:31]])))
    assert (issue.ima, issue.other) == ("a/x30.jpg", "a/x60.jpg")


def test_frames_whose_numbers_follow_each_other_are_no_copies_unless_they_are_the_same(different):
    names = [f"a/{number}_100.jpg" for number in range(27)] + ["a/r_3_100.jpg", "a/x.jpg", "a/x_y.jpg"]
    labels = np.zeros(30, np.int64)
    near = np.full(KEPT * KEPT, 0.02, np.float32)
    for row in (4, 20, 27, 28):  # beside 3_100.jpg: the next frame, one far from it, one of another video, no frame
        different[row] = different[3] + near
    found = find("near_duplicate", pictured(different, names=names, labels=labels))
    beside = {
        issue.other if issue.ima == "a/3_100.jpg" else issue.ima for issue in found if "a/3_" in issue.ima + issue.other
    }
    assert beside == {"a/20_100.jpg", "a/r_3_100.jpg", "a/x.jpg"}
    different[4] = different[3]
    found = find("near_duplicate", pictured(different, names=names, labels=labels))
    assert ("a/3_100.jpg", "a/4_100.jpg") in {(issue.ima, issue.other) for issue in found}


def test_without_looks_there_are_no_copies():
    assert find("near_duplicate", clustered()) == []


# ---- outliers


def test_a_picture_far_from_all_others_is_an_outlier():
    own = clustered(spread=0.5)
    own.features["train"].values[17] += 40
    (issue,) = find("outlier", own)
    assert (issue.split, issue.ima, issue.cat) == ("train", "Apple/x17.jpg", "Apple")
    assert 0.9 < issue.score < 1


def test_a_scored_picture_is_compared_with_training_pictures():
    own = clustered(spread=0.5)
    values = np.stack([own.features["train"].values[3] + 0.01, own.features["train"].values[3] + 40])
    scored = Rows(["t/0.jpg", "t/1.jpg"], np.array([0, 0]), values)
    (issue,) = find("outlier", replace(own, features={**own.features, "test": scored}))
    assert (issue.split, issue.ima) == ("test", "t/1.jpg")


def test_a_picture_of_another_category_is_no_outlier():
    assert find("outlier", clustered(wrong=(5,), spread=0.5)) == []


def test_a_category_of_copies_says_nothing_of_how_far_others_may_be():
    own = clustered(spread=0.5)
    values = own.features["train"].values
    values[:40] = values[0] + 100
    values[60:120] += 100
    assert [issue.ima for issue in find("outlier", own)] == []
    values[130] += 40
    assert [issue.ima for issue in find("outlier", own)] == ["Cherry/x130.jpg"]


def test_too_few_pictures_have_no_outliers():
    assert find("outlier", clustered(pictures=1)) == []


def test_the_fifth_nearest_is_the_fifth_nearest():
    random = np.random.default_rng(1)
    rows, known = random.normal(size=(3000, 3)).astype(np.float32), random.normal(size=(200, 3)).astype(np.float32)
    distances = np.sort(np.linalg.norm(rows[:, None] - known[None], axis=2), axis=1)
    np.testing.assert_allclose(farness(rows, known, 5), distances[:, 4], rtol=1e-3)


# ---- categories


def test_categories_that_lie_over_each_other_overlap():
    own = clustered()
    values = own.features["train"].values
    values[60:120] = values[:60] + np.random.default_rng(5).normal(size=(60, 10)) * 0.5
    found = find("overlap", own)
    assert [(issue.split, issue.ima, issue.cat, issue.other) for issue in found] == [("train", "", "Apple", "Banana")]
    assert 0.2 < found[0].score < 0.8


def test_categories_apart_do_not_overlap():
    assert find("overlap", clustered(spread=0.5, wrong=(1, 61))) == []


def test_categories_with_too_few_pictures_are_those_of_less_than_ten_or_a_tenth_of_the_median():
    own = Evidence(CATEGORIES, np.array([500, 40, 600, 700]))
    # a tenth of the median is 55
    (issue,) = find("few", own)
    assert (issue.split, issue.cat, issue.score) == ("train", "Banana", pytest.approx(1 - 40 / 55))
    small = Evidence(CATEGORIES, np.array([12, 4, 9, 11]))
    assert [(issue.cat, round(issue.score, 2)) for issue in find("few", small)] == [("Banana", 0.6), ("Cherry", 0.1)]
    assert find("few", Evidence((), np.array([], np.int64))) == []


def test_every_kind_has_its_name_a_title_and_a_note():
    for name in KINDS:
        kind = KINDS.get(name)
        assert kind.name == name
        assert kind.title
        assert kind.note.endswith(".")
