"""A linear support vector machine, one category against the rest: scikit-learn's LinearSVC, kept as arrays."""

import numpy as np
from numpy.typing import NDArray

from job.errors import UserError
from job.learn.classifiers.base import Classifier, Library, Trained
from job.learn.classifiers.linear import NEVER, probabilities

# Cost of a row on the wrong side of its margin: the default of scikit-learn.
COST = 1.0
NEEDS = Library("scikit-learn", "sklearn.svm", "svm")


def _learn(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    categories: int,
    *,
    seed: int,
    max_iterations: int,
    threads: int,
) -> Trained:
    del threads
    if not len(labels):
        raise ValueError("There are no pictures to learn categories from")
    if said := NEEDS.missing():  # on an executor: where it is asked for, the recipe has looked
        raise UserError(f"The classifier 'linear-svm' {said}")
    from sklearn.svm import LinearSVC

    found = LinearSVC(C=COST, random_state=seed, max_iter=max(1000, max_iterations)).fit(features, labels)
    coefficients, intercepts = np.zeros((categories, features.shape[1])), np.full(categories, NEVER)
    if len(found.classes_) == 2:
        # scikit-learn has one plane for two categories.
        coefficients[found.classes_] = np.vstack((-found.coef_, found.coef_))
        intercepts[found.classes_] = np.concatenate((-found.intercept_, found.intercept_))
    else:
        coefficients[found.classes_], intercepts[found.classes_] = found.coef_, found.intercept_
    return Trained({"coefficients": coefficients, "intercepts": intercepts}, {"cost": COST})


LINEAR_SVM = Classifier(name="linear-svm", learn=_learn, chances=probabilities, needs=NEEDS)
