"""How far a picture is from every category: what is far from all of them is probably of none.

The distance is the one to the nearest category's mean, in the space that the discriminants span and in units of how
much pictures of one category differ there: the Mahalanobis distance of Lee et al. (2018), with the shrunk covariance of
the discriminant analysis. How it compares with other scores is in docs/choosing-the-model.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A direction in which categories differ by less than this share of the largest difference (squared) is rounding.
_NOTHING = 1e-6
# With more categories, arrays of categories by categories would be most of a model.
_MOST_CATEGORIES = 2000
# Places at which the distances of held-out pictures are kept: every thousandth of them.
_PLACES = 1001

WHITENING, CENTRES, HELD = "whitening", "centres", "held_distances"
"""Names of arrays of a model: those of `space`, and what `quantiles` gives."""


def space(
    coefficients: NDArray[np.float64], means: NDArray[np.float64], counts: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The space that the discriminants span, in which the covariance within categories is the identity.

    Parameters
    ----------
    coefficients : float64 of shape (C, d)
        The inverse of the covariance, times the mean of each category.
    means : float64 of shape (C, d)
        Where each category is; zeros where it has no pictures. These may be other pictures than those of the
        coefficients: without their changed copies, what is unknown shows better.
    counts : float64 of shape (C,)
        Weight of the pictures of each category.

    Returns
    -------
    `whitening`, (C, C): times the products of features and coefficients, it gives coordinates in the space. `centres`,
    (C, c): the coordinates of the c categories that have pictures. Nothing where there are more than 2,000 categories.

    """
    if len(counts) > _MOST_CATEGORIES:
        return {}
    products = coefficients @ means.T
    about_mean = np.eye(len(counts)) - counts / counts.sum()
    there = counts > 0
    about_mean[~there] = 0
    between = about_mean @ products @ about_mean.T
    values, vectors = np.linalg.eigh((between + between.T) / 2)
    kept = values > _NOTHING * max(values[-1], 0.0)
    # the symmetric root: unlike the vectors, it does not depend on signs that rounding turns
    whitening = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T @ about_mean
    return {WHITENING: whitening, CENTRES: whitening @ products[:, there]}


def distances(
    features: NDArray[np.float64], coefficients: NDArray[np.float64], arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """Distance of features (n, d) to the nearest of the `centres`: float64 of shape (n,), none below 0."""
    found = (features @ coefficients.T) @ arrays[WHITENING].T
    centres = arrays[CENTRES]
    squares = (found**2).sum(axis=1)[:, None] - 2 * found @ centres + (centres**2).sum(axis=0)
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)), np.float64)


def quantiles(held: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distances of pictures that were not learned from, (n,), as a model keeps them: rising, from the nearest to
    the farthest, at equal shares of the pictures."""
    return np.quantile(held, np.linspace(0, 1, _PLACES))


def size(categories: int) -> int:
    """Bytes of these arrays in a model of so many categories."""
    return 8 * (2 * categories**2 + _PLACES) if categories <= _MOST_CATEGORIES else 0


def farthest(kept: NDArray[np.float64], share: float) -> float:
    """The distance beyond which `share`, from 0 to 1, of the pictures are by whose `quantiles` it is found."""
    return float(np.interp(1 - share, np.linspace(0, 1, len(kept)), kept))
