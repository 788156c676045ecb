"""The prototype's multilayer perceptron and multinomial logistic regression, both networks of `job.learn.network`."""

import numpy as np
from numpy.typing import NDArray

from job.learn import network
from job.learn.classifiers.base import Classifier, Trained


def _perceptron(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    categories: int,
    *,
    seed: int,
    max_iterations: int,
    threads: int,
) -> Trained:
    """Layers [d, d, d, C], as the prototype's."""
    width = features.shape[1]
    layers = [width, width, width, categories]
    return _trained(network.train(features, labels, layers, seed=seed, max_iterations=max_iterations, threads=threads))


def _logistic(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    categories: int,
    *,
    seed: int,
    max_iterations: int,
    threads: int,
) -> Trained:
    """No hidden layer, features scaled by one number, squared weights penalised."""
    layers = [features.shape[1], categories]
    return _trained(
        network.train(
            features,
            labels,
            layers,
            seed=seed,
            max_iterations=max_iterations,
            scaled=True,
            penalty=1e-2,
            threads=threads,
        )
    )


def _trained(found: network.Network) -> Trained:
    weights = {f"weights_{depth}": matrix for depth, matrix in enumerate(found.weights)}
    return Trained({"centre": found.centre, "scale": found.scale, **weights}, {"layers": found.layers})


def _probabilities(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    own = trained.arrays
    depths = sorted((name for name in own if name.startswith("weights_")), key=lambda name: int(name[8:]))
    return network.probabilities(
        features, network.Network(own["centre"], own["scale"], tuple(own[name] for name in depths))
    )


MLP = Classifier(name="mlp", learn=_perceptron, chances=_probabilities)
LOGISTIC = Classifier(name="logistic", learn=_logistic, chances=_probabilities)
