"""The prototype's multilayer perceptron: two hidden layers, each as wide as the features.

The same processor gives the same weights, with any number of threads. Another kind of processor rounds sums in another
way, and the search for weights, which has many valleys, may then end in another one: of pictures that are hard to tell
apart, some get another category. Logistic regression has one optimum, and does not depend on the processor.
"""

import numpy as np
from numpy.typing import NDArray

from job.learn import network
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.networks import probabilities, trained


def _learn(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    categories: int,
    *,
    seed: int,
    max_iterations: int,
    threads: int,
) -> Trained:
    width = features.shape[1]
    layers = [width, width, width, categories]
    return trained(network.train(features, labels, layers, seed=seed, max_iterations=max_iterations, threads=threads))


MLP = Classifier(name="mlp", learn=_learn, chances=probabilities)
