"""Probabilities that mean what they say: a temperature for scores, and how far from the truth they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bounds of the temperature: a factor of a thousand either way.
_LOWEST, _HIGHEST = 1e-3, 1e3


def temperature(scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> float:
    """The number by which scores are divided so that their softmax fits the labels best (Guo et al., 2017).

    Parameters
    ----------
    scores : floating of shape (n, C)
        Scores of rows that were not learned from; logarithms of probabilities, for instance. -inf: never.
    labels : whole numbers of shape (n,), from 0 to C - 1
        The true categories.

    Returns
    -------
    The temperature of the highest likelihood, between 0.001 and 1000; above 1 where probabilities were too sure.

    Raises
    ------
    ValueError
        There are no rows, or one whose own category has a score of -inf.

    """
    # loaded here, as it takes long: every run imports this module before it lists its pictures
    from scipy import optimize

    own = np.take_along_axis(scores.astype(np.float64), labels[:, None].astype(np.intp), axis=1)
    if not len(own) or not np.isfinite(own).all():
        raise ValueError("A temperature is found from scores of at least one row, finite for its own category.")
    # Differences to the row's own category: the loss is the mean of log(sum(exp(difference / temperature))).
    differences = scores - own

    def loss(logarithm: float) -> float:
        scaled = differences * np.exp(-logarithm)
        highest = scaled.max(axis=1)
        return float(np.mean(highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))))

    found: Any = optimize.minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def expected_error(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], bins: int = 15) -> float:
    """Expected calibration error: the mean distance between how sure predictions are and how often they are right.

    Predictions are put in `bins` bins of equal width by the probability of the predicted category; the distances of the
    bins are weighted by how many predictions each has (Naeini et al., 2015). 0 without rows.

    Parameters
    ----------
    probabilities : floating of shape (n, C)
        Probability of each category.
    labels : whole numbers of shape (n,)
        The true categories.
    bins
        Number of bins.

    """
    if not len(probabilities):
        return 0.0
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((sure * bins).astype(np.intp), bins - 1)
    distances = np.bincount(places, sure - right, bins)
    return float(np.abs(distances).sum() / len(sure))
