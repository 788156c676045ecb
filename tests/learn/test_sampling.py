import hashlib

import numpy as np
import pytest

from job.learn import sampling

MASK = 2**64 - 1


def split_mix(start, count):
    """SplitMix64 in Python's whole numbers, from its definition."""
    keys = []
    for _ in range(count):
        start = (start + 0x9E3779B97F4A7C15) & MASK
        z = start
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        keys.append(z ^ (z >> 31))
    return keys


def keys_of(name: str, count: int, seed: int) -> np.ndarray:
    return sampling.descriptor_keys([name], np.zeros(count, np.int64), seed)


@pytest.mark.parametrize("name", ["Training/Lemon/0_100.jpg", "Training/Pêche, blanche/é 🍎.jpg"])
@pytest.mark.parametrize("seed", [0, 123, 2**63 - 1])
def test_keys_are_those_of_the_published_generator_started_at_the_name(name, seed):
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    expected = split_mix(int.from_bytes(digest, "little"), 50)
    keys = keys_of(name, 50, seed)
    assert keys.dtype == np.uint64
    assert keys.tolist() == expected


def test_a_picture_without_descriptors_has_no_keys():
    assert keys_of("a.jpg", 0, 123).shape == (0,)


def test_keys_of_several_pictures_are_those_of_each():
    names, counts = ["a.jpg", "none.jpg", "b.jpg", "c.jpg", "none either.jpg"], [3, 0, 1, 40, 0]
    together = sampling.descriptor_keys(names, np.repeat(np.arange(5), counts), 123)
    each = [keys_of(name, count, 123) for name, count in zip(names, counts, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(each))


def test_keys_depend_on_the_picture_and_the_seed_alone():
    names = [f"Training/A/{number}.jpg" for number in range(100)]
    whole = {name: keys_of(name, 40, 123).tolist() for name in names}
    for parts in (3, 17):
        for part in np.array_split(np.array(names)[::-1], parts):
            assert all(keys_of(str(name), 40, 123).tolist() == whole[str(name)] for name in part)
    assert keys_of(names[0], 7, 123).tolist() == whole[names[0]][:7]
    assert len({key for keys in whole.values() for key in keys}) == 4000
    assert keys_of(names[0], 40, 124).tolist() != whole[names[0]]


def test_keys_are_spread_evenly():
    keys = np.concatenate([keys_of(f"{number}.jpg", 100, 1) for number in range(500)])
    counts, _ = np.histogram(keys.astype(np.float64), bins=50, range=(0, 2.0**64))
    # chi-squared of 49 degrees of freedom: above 86 once in a thousand
    assert np.square(counts - 1000).sum() / 1000 < 86


@pytest.mark.parametrize(("wanted", "total"), [(10, 100_000), (1000, 50_000), (50_000, 60_000), (49_999, 50_000)])
def test_below_the_threshold_lie_at_least_as_many_as_are_wanted_and_few_more(wanted, total):
    keys = np.concatenate([keys_of(f"{number}.jpg", 100, 5) for number in range(total // 100)])
    below = int((keys <= sampling.threshold(wanted, total)).sum())
    assert wanted <= below <= wanted + 12 * wanted**0.5 + 72


@pytest.mark.parametrize("wanted", [100, 101, 10**9])
def test_all_are_taken_when_all_are_wanted(wanted):
    assert sampling.threshold(wanted, 100) == MASK


PICTURES = {
    f"Training/A/{number}.jpg": np.random.default_rng(number).integers(0, 256, (7 * number % 60, 4), np.uint8)
    for number in range(300)
}
ALL = sum(map(len, PICTURES.values()))


def part_of(draw: sampling.Draw, names: list[str], batches: int) -> sampling.Part:
    lowest = sampling.Lowest(draw)
    for batch in np.array_split(np.array(names), batches):
        counts = [len(PICTURES[name]) for name in batch]
        rows = np.concatenate([np.empty((0, 4), np.uint8), *(PICTURES[name] for name in batch)])
        lowest.add(batch.tolist(), rows, np.repeat(np.arange(len(batch)), counts))
    return lowest.part()


def draw_of(wanted: int, tasks: int) -> sampling.Draw:
    return sampling.Draw.of(wanted, tasks, 123, np.dtype(np.uint8), 4)


@pytest.mark.parametrize("wanted", [1, 500, ALL - 1, ALL, ALL + 1, 100 * ALL])
@pytest.mark.parametrize(("tasks", "batches"), [(1, 1), (1, 40), (7, 3)])
def test_tasks_draw_what_is_drawn_from_all_in_one_place(wanted, tasks, batches):
    keys = np.concatenate([keys_of(name, len(values), 123) for name, values in PICTURES.items()])
    expected = np.concatenate(list(PICTURES.values()))[np.argsort(keys)[:wanted]]
    draw = draw_of(wanted, tasks)
    names = list(np.random.default_rng(1).permutation(list(PICTURES)))
    parts = [part_of(draw, names[task::tasks], batches) for task in range(tasks)]
    assert all(len(part.keys) == len(part.rows) == min(part.seen, draw.most) for part in parts)
    assert sum(part.seen for part in parts) == ALL
    np.testing.assert_array_equal(draw.lowest(parts), expected)


def test_nothing_is_drawn_where_one_task_has_more_of_the_lowest_than_it_may_give():
    draw = draw_of(3000, 10)
    names = list(PICTURES)
    parts = [part_of(draw, names[:291], 5), *(part_of(draw, [name], 1) for name in names[291:])]
    assert len(parts) == 10
    assert len(parts[0].keys) == draw.most < 3000
    assert draw.lowest(parts) is None


def test_nothing_is_drawn_from_nothing():
    draw = draw_of(10, 2)
    assert draw.lowest([part_of(draw, [], 1), part_of(draw, [], 1)]) is None


# ---- how many are drawn by default


def test_a_thousand_a_word_are_drawn_fewer_beyond_a_million_and_not_more_than_half_a_gigabyte():
    assert sampling.default_size(50, 128) == 100_000
    assert sampling.default_size(1000, 128) == 1_000_000
    assert sampling.default_size(3000, 128) == 1_000_000
    assert sampling.default_size(5000, 128) == 1_280_000
    assert sampling.default_size(9000, 2048) == 576_000
    assert sampling.default_size(20_000, 128) == (512 << 20) // 128
    assert sampling.default_size(100_000, 128) == 6_400_000


def test_a_task_that_is_larger_than_others_may_give_more():
    even, uneven = (sampling.Draw.of(1000, 10, 1, np.dtype(np.uint8), 4, largest) for largest in (1.0, 3.0))
    assert even.most < uneven.most
