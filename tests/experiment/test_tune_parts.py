"""Small parts of a comparison: what an error says, who goes on, who wins, which settings mattered."""

import numpy as np
import pytest

from job import dataset
from job.errors import UserError
from job.experiment.recipe import Block, Recipe
from job.experiment.tuning import plan, ranking
from job.experiment.tuning.features import Union, key_of
from job.experiment.tuning.ranking import Result
from job.experiment.tuning.workers import sentence

JAVA = """An error occurred while calling o12.collect.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2)
Caused by: java.io.EOFException: the end
\tat java.base/java.lang.Thread.run(Thread.java:840)
\t... 12 more"""
WORKER = "Traceback (most recent call last):\n  File x, line 3, in f\nValueError: There are too few rows.\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("There are too few."), "There are too few."),
        (ValueError(WORKER), "There are too few rows."),
        (RuntimeError(JAVA), "the end."),
        (KeyError(), "KeyError."),
    ],
)
def test_an_error_is_told_in_a_sentence(error, said):
    assert sentence(error) == said


def result(mean, milliseconds, spread=0.0, size=100, rung=0):
    shares = np.clip(np.full((4, 3), mean) + np.array([-spread, spread, -spread, spread])[:, None], 0, 1)
    return Result(rung, shares, 12, 1.0, milliseconds, size)


def test_the_winner_is_the_cheapest_within_one_standard_error():
    best = result(0.9, 4.0, spread=0.02)
    error = best.error
    assert error == pytest.approx(np.std([-0.02, 0.02, -0.02, 0.02], ddof=1) / 2)
    found = {0: best, 1: result(0.9 - 0.9 * error, 2.0), 2: result(0.9 - 1.1 * error, 1.0), 3: result(0.89, None)}
    assert ranking.winner(found) == 1
    assert ranking.winner({0: result(0.9, 1.0, size=5), 1: result(0.9, 1.0, size=4)}) == 1


def test_the_best_comes_first_and_of_equal_ones_the_cheaper():
    found = {
        0: None,
        1: result(0.9, 4.0),
        2: result(0.9, 2.0),
        3: result(0.99, 1.0),  # dropped on the first pictures
        4: result(0.8, 1.0, rung=1),
        5: result(0.9, 3.0, rung=1),
    }
    assert sorted(found, key=lambda place: ranking.standing(found[place])) == [5, 4, 3, 2, 1, 0]


def test_the_better_half_goes_on_with_what_is_cheap_and_near_and_what_is_always_kept():
    found = {
        0: result(0.90, 4.0, spread=0.02),
        1: result(0.89, 5.0),
        2: result(0.88, 6.0),
        3: result(0.885, 1.0),  # cheap, and within two standard errors of the best
        4: result(0.60, 0.5),  # cheap, and hopeless
        5: result(0.50, 9.0),
    }
    assert ranking.survivors(found, ()) == {0, 1, 3}
    assert ranking.survivors(found, (5, 7)) == {0, 1, 3, 5}
    assert ranking.pareto(found) == {0, 3, 4}


def test_of_equal_ones_the_cheaper_goes_on():
    found = {place: result(1.0, 5.0 - place) for place in range(4)}
    assert ranking.survivors(found, ()) == {2, 3}


def test_an_effect_is_the_mean_with_a_value_less_the_mean_without():
    found = {0: result(0.9, 1), 1: result(0.8, 1), 2: result(0.5, 1)}
    values = {0: {"a": "x", "descriptor hsv": "with"}, 1: {"a": "y"}, 2: {"a": "y", "same": "1"}}
    rows = {(row.setting, row.value): row for row in ranking.effects(found, values)}
    assert rows["a", "x"].effect == pytest.approx(0.9 - 0.65)
    assert rows["a", "y"].candidates == 2
    assert rows["descriptor hsv", "without"].effect == pytest.approx(0.65 - 0.9)
    assert ranking.effects(found, values)[0].setting == "same"


def test_shares_are_means_over_rounds_and_missing_ones_are_left_out():
    parts = [
        {"fold": fold, "round": name, "splits": [{"split": "test", "right": right, "pictures": [4, 2, 0]}]}
        for fold, name, right in ((0, "a", [4, 1, 0]), (0, "b", [2, 1, 0]), (1, "a", [1, 2, 0]))
    ]
    shares = ranking.shares_of(parts, 2, 3)
    np.testing.assert_allclose(shares, [[0.75, 0.5, np.nan], [0.25, 1.0, np.nan]])
    found = Result(0, shares, 12, 1.0, None, 1)
    assert found.mean == pytest.approx((0.5 + 0.75) / 2)
    np.testing.assert_allclose(found.by_fold, [0.625, 0.625])


# ---- what pictures are described by


HSV, SIFT = Block("hsv", "root", 1), Block("sift", "counts", 30)


def test_a_union_has_each_descriptor_once_and_as_many_copies_as_one_candidate_has():
    recipes = [
        Recipe(blocks=(SIFT,)),
        Recipe(blocks=(HSV,), copies=("strong",)),
        Recipe(blocks=(HSV, Block("lbp", "root", 1)), copies=("mild", "strong", "mild")),
    ]
    union = Union.of(recipes)
    assert union.descriptors == ("sift", "hsv", "lbp")
    assert union.on_copies == (False, True, True)
    assert sorted(union.copies) == ["mild", "mild", "strong"]
    numbers = [union.numbers(recipe) for recipe in recipes]
    for recipe, own in zip(recipes, numbers, strict=True):
        assert tuple(union.copies[number - 1] for number in own) == recipe.copies
        assert len(set(own)) == len(own)


def test_copies_of_the_default_have_the_numbers_of_a_run():
    recipes = [Recipe(blocks=(HSV,), copies=("strong",)), Recipe(blocks=(HSV,), copies=("mild", "strong"))]
    assert Union.of(recipes).numbers(recipes[1]) == (1, 2)


def test_blocks_are_shared_where_they_learn_the_same():
    one, other = Recipe(blocks=(SIFT, HSV)), Recipe(blocks=(SIFT, HSV), classifier="lda", copies=("mild",))
    assert key_of(one, SIFT) == key_of(other, SIFT)
    all_of_them = Recipe(blocks=(SIFT, HSV), sample=-1)
    assert key_of(one, SIFT) != key_of(all_of_them, SIFT)
    assert key_of(one, HSV) == key_of(all_of_them, HSV)
    assert key_of(one, HSV) != key_of(Recipe(blocks=(HSV,), mask=False), HSV)


# ---- pictures of rungs and folds


def test_rungs_are_nested_and_even_over_categories(sample):
    images = dataset.listing("train", str(sample), "Training")
    found = plan.rungs(images, (15, 30, 60))
    cats = np.array(images.table["cat"].to_pylist())
    for cat in set(cats):
        np.testing.assert_array_equal(np.bincount(found[cats == cat]), [5, 5, 10])
    few = set(dataset.choose(images, 15).table["ima"].to_pylist())
    assert {name for name, rung in zip(images.table["ima"].to_pylist(), found, strict=True) if rung == 0} == few


def test_there_are_as_many_rungs_as_pictures_and_candidates_are_worth():
    assert plan.sizes(4000, 40, 12) == (1000, 4000)
    assert plan.sizes(4000, 40, 20) == (1000, 2000, 4000)
    assert plan.sizes(1400, 40, 20) == (700, 1400)
    assert plan.sizes(400, 40, 12) == (400,)
    assert plan.sizes(4000, 40, 3) == (4000,)


def pictures(names, cats, folds):
    count = len(names)
    return plan.Pictures(names, cats, (count,), np.arange(count), np.array(folds), "pattern")


def test_a_category_is_scored_only_where_it_is_learned():
    own = pictures([f"{n}.jpg" for n in range(6)], ["a", "a", "b", "b", "c", "c"], [0, 1, 0, 1, 1, 1])
    first, second = plan.trainings(own, 0, 2, "standard", 1)
    np.testing.assert_array_equal(first.rows, [1, 3, 4, 5])
    np.testing.assert_array_equal(first.scored[0].rows, [0, 2])
    np.testing.assert_array_equal(second.scored[0].rows, [1, 3])


def test_few_shot_never_scores_what_it_learned():
    own = pictures([f"{n}.jpg" for n in range(40)], ["a", "b"] * 20, [n // 2 % 4 for n in range(40)])
    for training in plan.trainings(own, 0, 4, "few-shot", 1):
        (scored,) = training.scored
        assert not set(scored.rows.tolist()) & set(training.rows.tolist())
        assert set(own.folds[scored.rows].tolist()) == {training.fold}
        assert training.fold not in own.folds[training.rows]


def test_a_fold_with_nothing_to_score_is_told():
    own = pictures([f"{n}.jpg" for n in range(4)], ["a", "a", "b", "b"], [0, 0, 1, 1])
    with pytest.raises(UserError, match="Fold 1 of 2 has no pictures whose category is learned from others"):
        plan.trainings(own, 0, 2, "standard", 1)
