"""Multinomial logistic regression: a network without a hidden layer, features scaled by one number."""

import numpy as np
from numpy.typing import NDArray

from job.learn import network
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.networks import probabilities, trained

# Half of this, times the sum of the squared weights, is added to the mean cross-entropy.
PENALTY = 1e-2


def _learn(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    categories: int,
    *,
    seed: int,
    max_iterations: int,
    threads: int,
) -> Trained:
    found = network.train(
        features,
        labels,
        [features.shape[1], categories],
        seed=seed,
        max_iterations=max_iterations,
        scaled=True,
        penalty=PENALTY,
        threads=threads,
    )
    return trained(found)


LOGISTIC = Classifier(name="logistic", learn=_learn, chances=probabilities)
