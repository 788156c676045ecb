"""The multilayer perceptron and logistic regression."""

import numpy as np
import pytest

from job.learn import network
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Trained
from job.learn.classifiers.logistic import PENALTY

OPTIONS = {"seed": 9, "max_iterations": 30}


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 300)
    return random.normal(size=(300, 5)) + 2 * np.eye(3, 5)[labels], labels


@pytest.fixture(scope="module")
def networks(rows):
    """What each name stands for, written out."""
    return {
        "mlp": network.train(network.ArrayRows(*rows), [5, 5, 5, 3], **OPTIONS),
        "logistic": network.train(network.ArrayRows(*rows), [5, 3], scaled=True, penalty=PENALTY, **OPTIONS),
    }


@pytest.mark.parametrize("name", CLASSIFIERS.names)
def test_a_classifier_has_the_name_it_is_found_by(name):
    assert CLASSIFIERS.get(name).name == name


@pytest.mark.parametrize("name", ["mlp", "logistic"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_weights_are_those_of_the_network_to_the_bit(name, threads, rows, networks):
    found, expected = CLASSIFIERS.get(name).fit(*rows, 3, threads=threads, **OPTIONS), networks[name]
    assert found.arrays["centre"].tobytes() == expected.centre.tobytes()
    assert found.arrays["scale"].tobytes() == expected.scale.tobytes()
    for depth, matrix in enumerate(expected.weights):
        assert found.arrays[f"weights_{depth}"].tobytes() == matrix.tobytes()
    assert found.facts["layers"] == expected.layers


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_the_probabilities_are_those_of_the_network_whatever_the_order_of_its_arrays(name, rows, networks):
    classifier = CLASSIFIERS.get(name)
    found = classifier.fit(*rows, 3, **OPTIONS)
    shuffled = Trained(dict(sorted(found.arrays.items(), reverse=True)))
    chances = classifier.probabilities(rows[0], shuffled)
    np.testing.assert_array_equal(chances, network.probabilities(rows[0], networks[name]))
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_a_network_of_more_than_ten_layers_keeps_their_order():
    weights = [np.full((2, 1), float(depth)) for depth in range(12)]
    trained = Trained(
        {"centre": np.zeros(1), "scale": np.ones(1)} | {f"weights_{depth}": each for depth, each in enumerate(weights)}
    )
    expected = network.probabilities(np.ones((1, 1)), network.Network(np.zeros(1), np.ones(1), tuple(weights)))
    np.testing.assert_array_equal(CLASSIFIERS.get("mlp").probabilities(np.ones((1, 1)), trained), expected)


@pytest.mark.parametrize("name", CLASSIFIERS.names)
def test_of_no_pictures_nothing_is_learned(name):
    with pytest.raises(ValueError, match=r"^There are no pictures to learn categories from$"):
        CLASSIFIERS.get(name).fit(np.empty((0, 5)), np.empty(0, np.int64), 3, **OPTIONS)


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_weights_of_rows_are_refused_where_they_would_be_ignored(name, rows):
    with pytest.raises(ValueError, match=f"'{name}' takes no weights"):
        CLASSIFIERS.get(name).fit(*rows, 3, weights=np.ones(300))
