from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from job.learn import network


@pytest.fixture
def data():
    """Features (n, 6) of three categories that overlap, and their labels."""
    random = np.random.default_rng(1)
    labels = np.arange(240) % 3
    features = random.normal(size=(240, 6)) * [1, 3, 1, 10, 1, 0.2] + np.eye(3)[labels] @ random.normal(size=(3, 6))
    return features, labels


@pytest.mark.parametrize("layers", [[6, 3], [6, 4, 3], [6, 6, 6, 3]])
@pytest.mark.parametrize("penalty", [0.0, 0.05])
def test_the_gradient_is_that_of_finite_differences(layers, penalty, data):
    features, labels = data
    size = sum((inputs + 1) * outputs for inputs, outputs in pairwise(layers))
    flat = np.random.default_rng(2).normal(0, 0.5, size)
    _, gradient = network.loss_and_gradient(flat, layers, features, labels, penalty)
    step = 1e-6
    expected = np.empty(size)
    for place in range(size):
        moved = np.zeros(size)
        moved[place] = step
        above, below = (
            network.loss_and_gradient(flat + sign * moved, layers, features, labels, penalty)[0] for sign in (1, -1)
        )
        expected[place] = (above - below) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


def test_the_loss_is_the_mean_cross_entropy_plus_the_penalty_without_biases(data):
    features, labels = data
    weights = np.random.default_rng(3).normal(size=(7, 3))
    logits = features @ weights[:6] + weights[6]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.mean([np.log(chances[row, label]) for row, label in enumerate(labels)])
    expected += 0.5 * 0.3 * np.square(weights[:6]).sum()
    assert network.loss_and_gradient(weights.ravel(), [6, 3], features, labels, 0.3)[0] == pytest.approx(expected)


def test_without_hidden_layers_it_is_the_logistic_regression_of_scikit_learn(data):
    features, labels = data
    penalty = 0.01
    found = network.train(
        network.ArrayRows(features, labels),
        [6, 3],
        seed=1,
        max_iterations=2000,
        tolerance=1e-14,
        penalty=penalty,
        scaled=True,
    )
    scaled = (features - features.mean(axis=0)) / np.sqrt(features.var(axis=0).mean())
    peer = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-10, max_iter=10_000).fit(scaled, labels)
    np.testing.assert_allclose(network.probabilities(features, found), peer.predict_proba(scaled), atol=1e-4)
    np.testing.assert_allclose(found.weights[0][:6], peer.coef_.T, atol=2e-3)


def test_a_network_learns_what_no_line_divides():
    random = np.random.default_rng(4)
    features = random.uniform(-1, 1, (400, 2))
    labels = (features[:, 0] * features[:, 1] > 0).astype(int)
    found = network.train(network.ArrayRows(features, labels), [2, 8, 8, 2], seed=1, max_iterations=500)
    assert (network.probabilities(features, found).argmax(axis=1) == labels).mean() > 0.95
    assert found.layers == [2, 8, 8, 2]


def test_the_same_seed_gives_the_same_weights_and_another_one_others(data):
    features, labels = data
    once, again, other = (
        network.train(network.ArrayRows(features, labels), [6, 6, 6, 3], seed=seed) for seed in (5, 5, 6)
    )
    assert all(a.tobytes() == b.tobytes() for a, b in zip(once.weights, again.weights, strict=True))
    assert once.weights[0].tobytes() != other.weights[0].tobytes()


def test_probabilities_add_up_to_one_even_where_logits_are_huge():
    weights = (np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]),)
    chances = network.probabilities(np.array([[1.0], [-1.0], [0.0]]), network.Network(np.zeros(1), np.ones(1), weights))
    np.testing.assert_allclose(chances, [[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])


def test_a_feature_that_never_varies_is_no_division_by_zero():
    features = np.column_stack([np.full(20, 3.0), np.arange(20) % 2])
    found = network.train(network.ArrayRows(features, np.arange(20) % 2), [2, 2], seed=1, scaled=True, penalty=1e-3)
    assert np.isfinite(found.weights[0]).all()
    assert (network.probabilities(features, found).argmax(axis=1) == np.arange(20) % 2).all()


def test_no_rows_are_refused_in_a_sentence():
    features, labels = np.empty((0, 6)), np.empty(0, int)
    with pytest.raises(ValueError, match="There are no pictures to learn categories from"):
        network.ArrayRows(features, labels)
    with pytest.raises(ValueError, match="There are no pictures to learn categories from"):
        network.loss_and_gradient(np.zeros(21), [6, 3], features, labels, 0.0)
