"""Pictures that show nearly the same, and folds of whole groups."""

import re

import numpy as np
import pytest

from job.learn import groups


def frames(cat, prefix, count):
    return [f"Training/{cat}/{prefix}{number}_100.jpg" for number in range(count)]


def test_frames_of_a_turn_that_follow_each_other_are_one_group():
    names = [*frames("Lemon", "", 40), *frames("Lemon", "r_", 30)]
    found = groups.turns(names, ["Lemon"] * 70, 5)
    assert len(set(found.tolist())) == 10
    for start, count in ((0, 40), (40, 30)):
        turn = found[start : start + count]
        # each arc is one piece: its number changes only at its ends
        assert (np.diff(turn) != 0).sum() == 4
        np.testing.assert_array_equal(np.bincount(turn - turn.min()), [count // 5] * 5)


def test_frames_are_ordered_by_their_number_and_not_by_their_text():
    names = sorted(frames("Lemon", "", 100))
    found = groups.turns(names, ["Lemon"] * 100, 4)
    numbers = [int(name.split("/")[-1].split("_")[0]) for name in names]
    assert {number for number, group in zip(numbers, found, strict=True) if group == found[names.index(names[0])]} == {
        *range(25)
    }


def test_a_turn_stays_whole_where_a_category_has_enough_of_them():
    names = [name for prefix in ("", "r_", "r2_") for name in frames("Lemon", prefix, 8)]
    found = groups.turns(names, ["Lemon"] * 24, 3)
    np.testing.assert_array_equal(np.bincount(found), [8, 8, 8])


def test_other_names_say_nothing_of_turns():
    assert groups.turns(["a/1_100.jpg", "a/apple.jpg"], ["a", "a"], 2) is None
    assert groups.turns([], [], 2) is None


def test_a_pattern_groups_by_its_first_group_or_by_all_that_it_finds():
    names = ["a/s1-x.jpg", "a/s1-y.jpg", "b/s2-x.jpg", "b/other.jpg", "b/else.jpg"]
    for pattern in (r"(s\d)-", r"s\d"):
        found = groups.matching(names, re.compile(pattern))
        np.testing.assert_array_equal(found, [0, 0, 1, 2, 3])


def test_a_pattern_that_finds_nothing_is_refused():
    with pytest.raises(ValueError, match=r"in none of the 2 names, such as 'a/1\.jpg'"):
        groups.matching(["a/1.jpg", "a/2.jpg"], re.compile("session"))


def test_near_duplicates_are_found_and_others_stay_apart():
    random = np.random.default_rng(0)
    originals = random.integers(0, 50, (20, 64)) * (random.random((20, 64)) < 0.2)
    noisy = np.maximum(originals + random.integers(-1, 2, originals.shape) * (originals > 5), 0)
    rows = np.concatenate([originals, noisy, originals])
    found = groups.alike(rows, ["a"] * 60, 5)
    for number in range(20):
        assert found[number] == found[number + 20] == found[number + 40]
    assert len(set(found.tolist())) == 20


def test_a_chain_of_likenesses_is_cut_but_for_pictures_that_are_the_same():
    places = np.linspace(0, 30, 61)
    bins = np.arange(40)
    rows = 1000 * np.exp(-0.5 * ((bins - 5 - places[:, None]) / 2) ** 2)
    rows = np.concatenate([rows, rows[:3]])
    found = groups.alike(rows.round(), ["a"] * 64, 4)
    assert np.bincount(found).max() <= 16
    np.testing.assert_array_equal(found[:3], found[61:])


def test_categories_are_not_joined():
    found = groups.alike(np.ones((6, 8)), ["a", "b"] * 3, 3)
    assert found[0] != found[1]
    assert len(set(found[::2].tolist())) == 1


def test_many_pictures_of_a_category_are_compared_in_parts(monkeypatch):
    monkeypatch.setattr(groups, "_COMPARED", 30)
    random = np.random.default_rng(1)
    rows = random.integers(0, 40, (50, 16)) * (random.random((50, 16)) < 0.3) + np.eye(50, 16)
    found = groups.alike(np.concatenate([rows, rows]), ["a"] * 100, 5)
    np.testing.assert_array_equal(found[:50], found[50:])


def test_folds_have_whole_groups_and_a_share_of_every_category():
    random = np.random.default_rng(2)
    cats = np.repeat(["a", "b", "c"], [100, 60, 20])
    own = np.concatenate([random.integers(start, start + 20, count) for start, count in ((0, 100), (20, 60), (40, 20))])
    found = groups.assigned(own, cats, 5, 7)
    for group in set(own.tolist()):
        assert len(set(found[own == group].tolist())) == 1
    for cat, share in (("a", 20), ("b", 12), ("c", 4)):
        counts = np.bincount(found[cats == cat], minlength=5)
        assert counts.min() > 0.5 * share
        assert counts.max() < 1.6 * share


def test_the_seed_decides_the_folds():
    own, cats = np.arange(60), ["a", "b"] * 30
    first = groups.assigned(own, cats, 4, 1)
    np.testing.assert_array_equal(first, groups.assigned(own, cats, 4, 1))
    assert (first != groups.assigned(own, cats, 4, 2)).any()
