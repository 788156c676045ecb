"""The fitted law finds the one that the seconds were made of, and says how sure it is."""

import dataclasses

import numpy as np
import pytest
from made_up import LAW, benchmark_of, grid, seconds_of

from job.benchmark import law
from job.errors import UserError
from job.learn import sampling


def total(pictures: int, cores: int) -> float:
    return sum(seconds_of(pictures, cores).values()) + 0.5


def test_the_parts_of_each_operation_are_found_again():
    found = law.fit(benchmark_of(grid((1, 2, 4), (1000, 4000))))
    for key, parts in LAW.items():
        np.testing.assert_allclose(found.parameters[found.keys.index(key)], parts, atol=1e-6)
    assert found.error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("pictures", "cores"), [(1000, 1), (20_000, 4), (500, 3), (10**9, 4000)])
def test_seconds_beyond_what_was_measured_follow_the_law(pictures, cores):
    found = law.fit(benchmark_of(grid((1, 2), (1000, 2000, 4000))))
    middle, low, high = found.total(pictures, cores)
    assert middle == pytest.approx(total(pictures, cores), rel=1e-6)
    assert low <= middle <= high


def test_noise_widens_the_interval_and_leaves_the_middle_near_the_truth():
    draw = np.random.default_rng(7)
    noises = {point: float(draw.normal(1.0, 0.05)) for point in grid((1, 2, 4), (1000, 4000, 10_000))}
    found = law.fit(benchmark_of(list(noises), noises.__getitem__))
    middle, low, high = found.total(20_000, 4)
    assert middle == pytest.approx(total(20_000, 4), rel=0.1)
    assert low < total(20_000, 4) < high
    assert 0.0 < found.error < 0.06
    assert found.error < found.worst < 0.2


def test_two_executors_tell_what_four_give():
    found = law.fit(benchmark_of(grid((1, 2), (4000,)), lambda point: 0.98 + 0.01 * point.repeat))
    assert found.total(4000, 4)[0] == pytest.approx(total(4000, 4), rel=0.15)


def test_no_part_is_negative_even_where_more_executors_were_slower():
    found = law.fit(benchmark_of(grid((1, 2, 4), (1000, 4000)), lambda point: float(point.executors)))
    assert (found.parameters >= 0.0).all()
    assert (found.draws >= 0.0).all()


def test_one_number_of_executors_is_not_enough():
    with pytest.raises(UserError, match="one number of executors only"):
        law.fit(benchmark_of(grid((2,), (1000, 4000))))


def test_the_vocabulary_grows_no_more_once_its_sample_is_full():
    benchmark = benchmark_of(grid((1, 2), (1000, 4000)))
    benchmark.settings["vocabulary_sample"] = "default"
    found = law.fit(benchmark)
    assert found.sample == sampling.default_size(50, 128)
    # 40 descriptors a picture, three quarters of the pictures: full with 1,667
    more, most = (found.seconds(pictures, 1e9)["fit_vocabulary", "train"] for pictures in (4000, 10**6))
    assert most == pytest.approx(more)


def test_the_sample_of_blocks_is_that_of_the_block_that_draws_most():
    benchmark = benchmark_of(grid((1, 2), (1000, 4000)))
    benchmark.settings |= {"vocabulary_sample": "default", "features": "soft-hsv+lbp+patches", "words": 512}
    # 4 pictures a word, each of which has a row of three descriptors
    assert law.fit(benchmark).sample == 3 * 4 * 512


def test_a_sample_that_was_full_is_known_from_the_runs():
    benchmark = benchmark_of(grid((1, 2), (1000, 4000)))
    benchmark.runs = [dataclasses.replace(run, trained_on=20_000) for run in benchmark.runs]
    assert law.fit(benchmark).sample == 20_000
