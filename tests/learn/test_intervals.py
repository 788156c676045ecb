import numpy as np
import pytest
from scipy import stats

from job.learn import intervals
from job.learn.intervals import accuracies, difference, interval


def test_accuracies_are_shares_by_category():
    right = np.array([True, False, True, True])
    np.testing.assert_array_equal(accuracies(right, np.array([0, 0, 2, 2]), 4), [0.5, np.nan, 1, np.nan])


def test_an_interval_is_that_of_scipy():
    values = np.random.default_rng(1).beta(5, 1, 40)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=2).confidence_interval
    found = interval(values, draws=20000)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.low, abs=0.003)
    assert found.high == pytest.approx(expected.high, abs=0.003)


def test_paired_differences_are_surer_than_the_figures_themselves():
    random = np.random.default_rng(2)
    one = random.uniform(0.3, 1, 50)
    found = difference(one, one - 0.02 + random.normal(0, 0.005, 50))
    assert found.low > 0.015
    assert found.high < 0.025
    whole = interval(one)
    assert whole.high - whole.low > 0.08


def test_categories_without_pictures_are_left_out():
    assert interval(np.array([np.nan, 0.5, 0.7])) == interval(np.array([0.5, 0.7]))
    assert np.isnan(interval(np.array([np.nan])).mean)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).random(20)
    assert interval(values, 4) == interval(values, 4)
    assert str(interval(np.ones(3))) == "1.000 (1.000 to 1.000)"


def test_over_folds_is_the_mean_of_what_is_known_of_each_category():
    values = np.array([[1.0, 0.5, np.nan], [0.0, np.nan, np.nan]])
    found = intervals.over_folds(values)
    assert found.mean == pytest.approx((0.5 + 0.5) / 2)
    assert found.low <= found.mean <= found.high
    assert np.isnan(intervals.over_folds(np.full((2, 3), np.nan)).mean)


def test_folds_that_differ_widen_the_interval_and_equal_ones_leave_that_of_categories():
    random = np.random.default_rng(5)
    by_category = random.random(40)
    equal = intervals.over_folds(np.tile(by_category, (5, 1)))
    alone = intervals.interval(by_category)
    assert equal.mean == pytest.approx(alone.mean)
    assert equal.high - equal.low == pytest.approx(alone.high - alone.low, rel=0.1)
    shifted = by_category + np.array([-0.3, -0.15, 0.0, 0.15, 0.3])[:, None]
    wide = intervals.over_folds(shifted)
    assert wide.mean == pytest.approx(alone.mean)
    assert wide.high - wide.low > 1.2 * (equal.high - equal.low)
