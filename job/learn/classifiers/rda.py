"""Regularized discriminant analysis (Friedman, 1989): categories differ from each other in how their pictures vary.

Linear discriminant analysis (`lda`) comes first. A second look at the rows finds the covariance of each category in the
space of its discriminants, where the covariance that all share is the identity; the two are mixed. A picture's category
is the one under whose normal distribution it is likeliest.

With very many categories, whose covariances would be most of a model, it is `lda` without a second look.
"""

import numpy as np
from numpy.typing import NDArray

from job.learn import unknown
from job.learn.classifiers import lda
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.linear import NEVER, heat, softmax
from job.learn.classifiers.linear import scores as linear_scores
from job.learn.moments import Moments
from job.learn.spreads import Spreads

# Share of a category's own covariance. Chosen in docs/choosing-the-model.md.
OWN = 0.3
# The covariances of 140 categories take up 22 MB, and one picture's probabilities 0.9 ms.
MOST_CATEGORIES = 140
# Values of coordinates that are worked on at once: of all rows under all categories they would be too many.
_VALUES = 1 << 20


def _from_moments(found: Moments) -> Trained:
    """What `lda` learns, and the axes of its space for the second look."""
    trained = lda.from_moments(found)
    if len(found.counts) > MOST_CATEGORIES:
        return trained
    space = unknown.space(trained.arrays["coefficients"], found.means, found.counts)
    return Trained({**trained.arrays, "axes": space[unknown.WHITENING]}, {**trained.facts, "own": OWN})


def _coordinates(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64] | None:
    if "axes" not in trained.arrays:
        return None
    return np.asarray((features @ trained.arrays["coefficients"].T) @ trained.arrays["axes"].T, np.float64)


def _refined(trained: Trained, found: Spreads) -> Trained:
    mixed = (1 - OWN) * np.eye(found.sums.shape[1]) + OWN * found.covariances
    roots = np.linalg.cholesky(mixed)
    factors = np.linalg.inv(roots)
    centres = np.einsum("cij,cj->ci", factors, found.means)
    there = found.counts > 0
    own = np.full(len(there), NEVER)
    logarithms = np.log(np.einsum("cii->ci", roots)).sum(axis=1)
    own[there] = np.log(found.counts[there] / found.counts.sum()) - logarithms[there]
    return Trained({**trained.arrays, "factors": factors, "own_centres": centres, "biases": own}, trained.facts)


def _scores(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    """Logarithms of how likely features (n, d) are under each category, but for a constant: float64 (n, C)."""
    coordinates = _coordinates(features, trained)
    factors = trained.arrays.get("factors")
    if coordinates is None or factors is None:
        return linear_scores(features, trained)
    count, width, _ = factors.shape
    flat, centres = factors.reshape(count * width, width).T, trained.arrays["own_centres"]
    found = np.empty((len(coordinates), count))
    step = max(1, _VALUES // (count * width))
    for start in range(0, len(coordinates), step):
        apart = (coordinates[start : start + step] @ flat).reshape(-1, count, width)
        apart -= centres
        np.einsum("ncw,ncw->nc", apart, apart, out=found[start : start + step])
    return np.asarray(trained.arrays["biases"] - found / 2, np.float64)


def _probabilities(features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
    return softmax(_scores(features, trained), heat(trained))


RDA = Classifier(
    name="rda",
    chances=_probabilities,
    from_moments=_from_moments,
    with_distances=lda.LDA.with_distances,
    distances=lda.LDA.distances,
    coordinates=_coordinates,
    refined=_refined,
)
