"""Functions that linear classifiers share: a score for each category, and probabilities from scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn.classifiers.base import Trained

# The intercept of a category without rows: its probability is 0, and the number is finite, as a stored model wants it.
NEVER = -1e200


def scores(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    """Products of features and coefficients, plus intercepts: float64 of shape (n, C)."""
    return np.asarray(features @ trained.arrays["coefficients"].T + trained.arrays["intercepts"], np.float64)


def softmax(values: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities that are proportional to exp(value / temperature): float64 of the same shape, rows add up to 1."""
    scaled = values / temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float64)


def heat(trained: Trained) -> float:
    """The `temperature` of a model, 1 where it has none."""
    return float(trained.arrays["temperature"]) if "temperature" in trained.arrays else 1.0


def probabilities(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    """Softmax of the scores, divided by the `temperature` where the model has one."""
    return softmax(scores(features, trained), heat(trained))


def solved(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve `matrix` x = `right` for a symmetric matrix that is not negative; the shortest x where it is singular."""
    from scipy import linalg

    try:
        found: Any = linalg.solve(matrix, right, assume_a="pos", check_finite=False)
    except linalg.LinAlgError:
        found = linalg.lstsq(matrix, right, check_finite=False)[0]
    return np.asarray(found, np.float64)
