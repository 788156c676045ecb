"""Ridge regression on the categories: least squares to +1 for a row's own category and -1 for others, from sums alone.

The result is that of scikit-learn's RidgeClassifier. Its scores are no probabilities; those come from a softmax whose
temperature is to be calibrated on pictures held out.
"""

import numpy as np

from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.linear import NEVER, probabilities, solved
from job.learn.moments import Moments

# What is added to the diagonal of the rows' products, as a share of its mean.
PENALTY = 0.01
# Scores lie between about -1 and 1. They are divided by this before the softmax, unless a calibration has found better.
_TEMPERATURE = 0.1


def from_moments(found: Moments, penalty: float = PENALTY, *, relative: bool = True) -> Trained:
    """Learn from sums; `penalty` is a share of the mean of the diagonal, or, not `relative`, the value itself.

    A category without rows is never predicted. ValueError when there are no rows at all.
    """
    if not found.total:
        raise ValueError("There are no pictures to learn categories from")
    mean = found.mean
    matrix = found.scatter()
    matrix[np.diag_indices(len(matrix))] += penalty * (np.trace(matrix) / found.width if relative else 1.0)
    # Targets are 2 [own] - 1. The constant drops out of the products with centred rows.
    products = 2 * (found.sums - found.counts[:, None] * mean)
    coefficients = solved(matrix, products.T).T
    targets = 2 * found.counts / found.total - 1
    intercepts = np.where(found.counts > 0, targets - coefficients @ mean, NEVER)
    arrays = {
        "coefficients": coefficients,
        "intercepts": intercepts,
        "temperature": np.array(_TEMPERATURE),
    }
    return Trained(arrays, {"penalty": penalty})


RIDGE = Classifier(name="ridge", chances=probabilities, from_moments=from_moments)
