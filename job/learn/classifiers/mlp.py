"""The prototype's multilayer perceptron: two hidden layers, each as wide as the features.

The same processor gives the same weights, with any number of threads. Another kind of processor rounds sums in another
way, and the search for weights, which has many valleys, may then end in another one: of pictures that are hard to tell
apart, some get another category. Logistic regression has one optimum, and does not depend on the processor.
"""

from job.learn import network
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.networks import probabilities, trained


def _from_rows(rows: network.Rows, categories: int, *, seed: int, max_iterations: int) -> Trained:
    layers = [rows.width, rows.width, rows.width, categories]
    return trained(network.train(rows, layers, seed=seed, max_iterations=max_iterations))


MLP = Classifier(name="mlp", from_rows=_from_rows, chances=probabilities)
