"""Multinomial logistic regression: a network without a hidden layer, features scaled by one number."""

from job.learn import network
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.networks import probabilities, trained

# Half of this, times the sum of the squared weights, is added to the mean cross-entropy.
PENALTY = 1e-2


def _from_rows(rows: network.Rows, categories: int, *, seed: int, max_iterations: int) -> Trained:
    layers = [rows.width, categories]
    return trained(network.train(rows, layers, seed=seed, max_iterations=max_iterations, scaled=True, penalty=PENALTY))


LOGISTIC = Classifier(name="logistic", from_rows=_from_rows, chances=probabilities)
