"""The order of the runs, and their pictures."""

import pytest

from job.benchmark.schedule import Point, schedule


def test_every_point_comes_once_before_any_comes_again_and_the_warm_up_first():
    points = schedule([1, 2, 4], 2, [100, 200], 3, seed=5)
    assert points[0] == Point(4, 2, 100, 0)
    for repeat in range(3):
        turn = points[1 + 6 * repeat : 7 + 6 * repeat]
        assert sorted(turn) == [Point(count, 2, size, repeat + 1) for count in (1, 2, 4) for size in (100, 200)]


def test_the_order_is_mixed_by_the_seed():
    once, again, other = (schedule([1, 2, 4, 8], 1, [], 3, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert once[1:] != sorted(once[1:])


@pytest.mark.parametrize(("pictures", "train", "test"), [(1168, 876, 292), (5000, 3750, 1250), (2, 1, 1)])
def test_a_quarter_of_the_pictures_is_for_the_test(pictures, train, test):
    assert Point(1, 1, pictures, 1).pictures_arguments() == ["--train-images", str(train), "--test-images", str(test)]


def test_without_sizes_the_settings_say_how_many_pictures():
    assert Point(1, 1, 0, 1).pictures_arguments() == []
