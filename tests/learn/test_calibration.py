import numpy as np
import pytest

from job.learn.calibration import expected_error, temperature
from job.learn.classifiers.linear import softmax


def drawn(factor, n=20000, seed=1):
    """Labels drawn from the softmax of scores, and these scores times `factor`."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (n, 5))
    chances = softmax(scores).cumsum(axis=1)
    return scores * factor, (random.random(n)[:, None] > chances).sum(axis=1).clip(0, 4)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_temperature_undoes_a_factor(factor):
    scores, labels = drawn(factor)
    assert temperature(scores, labels) == pytest.approx(factor, rel=0.05)


def test_a_temperature_makes_probabilities_honest():
    scores, labels = drawn(5.0)
    assert expected_error(softmax(scores), labels) > 0.2
    held_out, truth = drawn(5.0, seed=2)
    assert expected_error(softmax(held_out, temperature(scores, labels)), truth) < 0.02


def test_a_category_that_can_not_be_is_no_obstacle():
    scores, labels = drawn(2.0)
    scores = np.column_stack((scores, np.full(len(scores), -np.inf)))
    assert temperature(scores, labels) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("scores", [np.empty((0, 3)), np.array([[0.0, -np.inf, 1.0]])])
def test_scores_that_say_nothing_get_a_sentence(scores):
    with pytest.raises(ValueError, match="at least one row, finite"):
        temperature(scores, np.ones(len(scores), int))


def test_the_expected_error_is_that_of_the_definition():
    scores, labels = drawn(3.0, 500)
    chances = softmax(scores)
    total = 0.0
    for part in range(15):
        sure = chances.max(axis=1)
        members = (sure > part / 15) & (sure <= (part + 1) / 15)
        if members.any():
            right = (chances.argmax(axis=1) == labels)[members].mean()
            total += members.mean() * abs(right - sure[members].mean())
    assert expected_error(chances, labels) == pytest.approx(total, abs=1e-9)
    assert expected_error(np.empty((0, 3)), np.empty(0, int)) == 0
