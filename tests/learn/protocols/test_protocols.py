import numpy as np
import pytest

from job.learn.protocols import PROTOCOLS, robustness
from job.learn.protocols.base import Names
from job.learn.protocols.draw import some
from job.learn.protocols.rotation import turned
from job.vision import disturb


def listing(cats=3, frames=40, prefixes=("", "r_", "r2_")):
    names, of = [], []
    for cat in range(cats):
        for prefix in prefixes:
            for frame in range(frames):
                names.append(f"Fruit {cat}/{prefix}{frame}_100.jpg")
                of.append(f"Fruit {cat}")
    return Names(names, of)


def taken(pictures, part):
    return [pictures.names[row] for row in part.rows]


@pytest.mark.parametrize("name", PROTOCOLS.names)
def test_rows_are_ascending_and_of_the_listing(name):
    train, test = listing(), listing(frames=13)
    for planned in PROTOCOLS.get(name).rounds(train, test, 1):
        assert planned.train.source == "train"
        for part in (planned.train, *planned.tests):
            if part.rows is not None:
                pictures = train if part.source == "train" else test
                assert (np.diff(part.rows) > 0).all()
                assert part.rows[-1] < len(pictures.names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Apple/12_100.jpg", False),
        ("Apple/r_12_100.jpg", True),
        ("Apple/r0_12_100.jpg", True),
        ("r2_3_100.jpg", True),
        ("Apple/holiday.jpg", None),
        ("r_1/12_100.jpg", False),
    ],
)
def test_a_name_says_the_axis(name, expected):
    assert turned(name) is expected


def test_rotation_trains_on_one_axis_and_scores_on_the_other_both_ways():
    train, test = listing(), listing(frames=9)
    one, other = PROTOCOLS.get("rotation").rounds(train, test, 1)
    assert not any(turned(name) for name in taken(train, one.train))
    assert all(turned(name) for name in taken(test, one.tests[0]))
    assert all(turned(name) for name in taken(train, other.train))
    assert not any(turned(name) for name in taken(test, other.tests[0]))
    assert len(one.train.rows) == 3 * 40
    assert len(one.tests[0].rows) == 3 * 2 * 9


def test_rotation_scores_no_category_that_was_not_trained():
    whole, plain = listing(2), listing(3, prefixes=("",))
    train = Names([*whole.names, *plain.names[80:]], [*whole.cats, *plain.cats[80:]])  # the third has one axis alone
    one, other = PROTOCOLS.get("rotation").rounds(train, listing(3), 1)
    assert {name.split("/")[0] for name in taken(listing(3), one.tests[0])} == {"Fruit 0", "Fruit 1", "Fruit 2"}
    assert {name.split("/")[0] for name in taken(listing(3), other.tests[0])} == {"Fruit 0", "Fruit 1"}


def test_rotation_of_pictures_without_axes_gets_a_sentence():
    with pytest.raises(ValueError, match="needs pictures of both axes"):
        PROTOCOLS.get("rotation").rounds(listing(prefixes=("",)), listing(), 1)


def test_few_shot_draws_so_many_of_each_category_three_times():
    rounds = PROTOCOLS.get("few-shot").rounds(listing(), listing(), 1)
    assert len(rounds) == 12
    assert [len(planned.train.rows) for planned in rounds[::3]] == [3, 15, 30, 150]
    assert (rounds[3].train.rows != rounds[4].train.rows).any()
    assert set(rounds[0].train.rows) <= set(rounds[3].train.rows)


def test_robustness_scores_the_same_pictures_under_every_disturbance():
    (planned,) = PROTOCOLS.get("robustness").rounds(listing(), listing(), 1)
    assert [part.disturbance for part in planned.tests] == [None, *disturb.KINDS]
    for part in planned.tests:
        np.testing.assert_array_equal(part.rows, planned.tests[0].rows)
    assert len(planned.tests[0].rows) == 3 * 24


def test_disturbances_are_those_of_the_pictures():
    assert tuple(disturb.KINDS) == robustness.KINDS


def test_a_draw_depends_neither_on_order_nor_on_other_categories():
    whole = listing()
    order = np.random.default_rng(1).permutation(len(whole.names))
    shuffled = Names([whole.names[row] for row in order], [whole.cats[row] for row in order])
    fewer = listing(2)
    drawn = {whole.names[row] for row in some(whole, 5, 3, "x")}
    assert {shuffled.names[row] for row in some(shuffled, 5, 3, "x")} == drawn
    assert {fewer.names[row] for row in some(fewer, 5, 3, "x")} == {name for name in drawn if "Fruit 2" not in name}
    assert {whole.names[row] for row in some(whole, 5, 4, "x")} != drawn
    assert {whole.names[row] for row in some(whole, 5, 3, "y")} != drawn
