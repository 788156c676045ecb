"""Which pictures of one folder are kept back to test with."""

import numpy as np
import pytest

from job.learn.held_out import held_out


def kept(names: list[str], fraction: float = 0.2) -> list[str]:
    found = held_out(names, [name.split("/")[0] for name in names], fraction)
    return [name for name, out in zip(names, found, strict=True) if out]


PHOTOS = [f"{cat}/photo-{letter}.jpg" for cat in ("A", "B") for letter in "abcdefghijklmnopqrst"]


def test_each_category_gives_its_part():
    found = kept(PHOTOS)
    assert sum(name.startswith("A") for name in found) == sum(name.startswith("B") for name in found) == 4


def test_the_same_pictures_are_kept_back_in_any_order_and_beside_any_others():
    assert set(kept(PHOTOS[::-1])) == set(kept(PHOTOS))
    assert set(kept([name for name in PHOTOS if name.startswith("A")])) < set(kept(PHOTOS))


@pytest.mark.parametrize(
    ("count", "fraction", "expected"), [(1, 0.2, 0), (2, 0.2, 1), (2, 0.9, 1), (3, 0.99, 2), (100, 0.25, 25)]
)
def test_a_category_keeps_a_picture_on_each_side_where_it_has_two(count: int, fraction: float, expected: int):
    assert len(kept([f"A/photo {number:c}.jpg" for number in range(0x4E00, 0x4E00 + count)], fraction)) == expected


def test_frames_of_a_video_that_follow_each_other_are_kept_back():
    names = [f"A/{number}_100.jpg" for number in range(50)]
    numbers = sorted(int(name[2:].split("_")[0]) for name in kept(names))
    assert len(numbers) == 10
    gaps = np.diff([*numbers, numbers[0] + 50])
    assert sorted(gaps.tolist())[-2:] == [1, 41], "one run of frames, the last being followed by the first"


def test_a_frame_that_comes_later_changes_the_pictures_by_one_or_two():
    names = [f"A/{number}_100.jpg" for number in range(101)]
    before, after = set(kept(names[:100])), set(kept(names))
    assert len(before) == len(after) == 20
    assert len(before - after) <= 1


def test_each_video_of_a_category_gives_its_part():
    names = [f"A/{axis}{number}_100.jpg" for axis in ("", "r_", "r2_") for number in range(10)]
    found = kept(names)
    assert len(found) == 6
    for axis in ("A/r_", "A/r2_"):
        assert sum(name.startswith(axis) for name in found) == 2
