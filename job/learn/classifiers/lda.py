"""Linear discriminant analysis with a shrunk covariance (Friedman, 1989), learned from sums alone.

All categories share one covariance, that of the rows about their category's mean, mixed with a multiple of the identity
that has the same trace. The result is that of scikit-learn's LinearDiscriminantAnalysis with solver "lsqr".
"""

import numpy as np
from numpy.typing import NDArray

from job.learn import unknown
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.linear import NEVER, probabilities, solved
from job.learn.moments import Moments

# Share of the identity in the covariance. Chosen in docs/choosing-the-model.md.
SHRINKAGE = 0.02
# Less than this share of the variance within categories is rounding.
_NOTHING = 1e-9


def from_moments(found: Moments, shrinkage: float = SHRINKAGE) -> Trained:
    """Learn from sums. A category without rows is never predicted. ValueError when there are no rows at all.

    Where rows of one category do not differ, as with one picture each, the category of the nearest mean is predicted.
    """
    if not found.total:
        raise ValueError("There are no pictures to learn categories from")
    width = found.width
    covariance = found.within()
    covariance /= found.total
    mean = found.mean
    overall = (np.trace(found.products) / found.total - mean @ mean) / width
    spread = np.trace(covariance) / width
    if spread > _NOTHING * overall:
        covariance *= 1 - shrinkage
        covariance[np.diag_indices(len(covariance))] += shrinkage * spread
    else:
        # One picture a category, or equal ones: nothing is known of how they vary, so the nearest mean wins.
        covariance = np.eye(len(covariance)) * (overall or 1.0)
    means = found.means
    coefficients = solved(covariance, means.T).T
    there = found.counts > 0
    priors = np.full(len(there), NEVER)
    priors[there] = np.log(found.counts[there] / found.total)
    intercepts = priors - 0.5 * np.einsum("cd,cd->c", means, coefficients)
    return Trained({"coefficients": coefficients, "intercepts": intercepts}, {"shrinkage": shrinkage})


def _with_distances(trained: Trained, counts: NDArray[np.float64], means: NDArray[np.float64]) -> Trained:
    space = unknown.space(trained.arrays["coefficients"], means, counts)
    return Trained({**trained.arrays, **space}, trained.facts)


def _distances(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    return unknown.distances(features, trained.arrays["coefficients"], trained.arrays)


LDA = Classifier(
    name="lda",
    chances=probabilities,
    from_moments=from_moments,
    with_distances=_with_distances,
    distances=_distances,
)
