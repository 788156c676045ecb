"""Principal components of one vector a picture, from sums over all vectors or from the vectors themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.cores import available_cores
from job.threads import Threads

# Matrices of up to this many rows are decomposed by numpy, in its threads.
_FEW = 1500
# Above this share of the components, a full decomposition takes less time than that of the components alone.
_PART = 1 / 3
# Columns of the matrix of products that are computed at a time from sparse rows.
_BAND = 512
# Weights of an axis that differ by less than this share count as equally large.
_EQUAL = 1e-6


@dataclass(frozen=True)
class Moments:
    """Sums over vectors of K values, which parts of the vectors add up to.

    Attributes
    ----------
    count
        Number of vectors.
    total
        Their sum, (K,): int64 for whole numbers, float64 for others.
    gram
        Sum of their outer products b b^T, of the same type: (K, K).

    Notes
    -----
    Sums of whole numbers are exact, and the same in any order. Those of floats depend on the order in their last
    digits.

    """

    count: int
    total: NDArray[Any]
    gram: NDArray[Any]

    def __add__(self, other: "Moments") -> "Moments":
        """The sums over both parts."""
        return Moments(self.count + other.count, self.total + other.total, self.gram + other.gram)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays by name, for `of`; those of parts may be added up."""
        return {"count": np.array(self.count, np.int64), "total": self.total, "gram": self.gram}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Moments":
        """What `arrays` gave."""
        return cls(int(arrays["count"]), arrays["total"], arrays["gram"])


@dataclass(frozen=True)
class Projection:
    """Principal axes.

    Attributes
    ----------
    mean
        float64 (K,): mean of the vectors.
    axes
        float64 (K, c): orthonormal columns, and columns of zeros beyond the rank of the vectors.
    variances
        float64 (c,): sample variance of the vectors along each axis, falling; 0 beyond the rank.

    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]


def moments(rows: NDArray[Any]) -> Moments:
    """Sums over vectors of shape (n, K). Those of whole numbers are exact as long as each stays below 2^53."""
    wide = rows.astype(np.float64)
    gram = wide.T @ wide
    if np.issubdtype(rows.dtype, np.integer):
        return Moments(len(rows), rows.sum(axis=0, dtype=np.int64), gram.astype(np.int64))
    return Moments(len(rows), wide.sum(axis=0), gram)


def fit(part: Moments, components: int) -> Projection:
    """The axes of largest variance: eigenvectors of the covariance (Hotelling, 1933), sample variance (n - 1).

    Each axis points where its largest weight is positive, so that the sign does not depend on the solver. Of weights
    that are equally large but for rounding, the first decides.

    Axes beyond the rank of the data would be arbitrary, and another processor would find others. They are zero, and so
    are all features on them. The rank is the number of variances above the bound of `numpy.linalg.matrix_rank` (Golub
    and Van Loan, 2013, 5.4.1): the largest value, times the larger dimension, times the rounding of float64. The mean
    counts among the values here, since the covariance is a difference to its products.

    Axes of variances that are equal, or differ by less than rounding, remain arbitrary among themselves: any rotation
    of them fits the data equally well. Distances between pictures do not depend on it.
    """
    mean = part.total / part.count
    covariance = np.outer(mean, mean)
    covariance *= part.count
    np.subtract(part.gram, covariance, out=covariance)
    covariance /= max(1, part.count - 1)
    values, vectors = _largest(covariance, components)
    return _projection(mean, values, vectors, part.count)


def fit_rows(rows: Any, components: int) -> Projection:
    """The same from the vectors themselves, (n, K): an array, or a sparse matrix of scipy.

    Where there are many words, the smaller of the matrices n x n and K x K is decomposed. A vocabulary that is larger
    than the number of pictures then costs no K x K matrix.
    """
    count, width = rows.shape
    if width <= _FEW or width <= count:
        return fit(moments(rows) if isinstance(rows, np.ndarray) else _sparse_moments(rows), components)
    mean = np.asarray(rows.mean(axis=0), np.float64).ravel()
    wide = rows.astype(np.float64)
    gram = wide @ wide.T
    gram = np.asarray(gram if isinstance(gram, np.ndarray) else gram.toarray())
    own = np.asarray(wide @ mean).ravel()
    gram += float(mean @ mean) - own - own[:, None]
    values, vectors = _largest(gram, min(components, count))
    variances = np.zeros(components)
    variances[: len(values)] = values / max(1, count - 1)
    kept = int(_known(variances, mean, count).sum())
    axes = np.zeros((width, components))
    axes[:, :kept] = wide.T @ vectors[:, :kept] - np.outer(mean, vectors[:, :kept].sum(axis=0))
    axes[:, :kept] /= np.sqrt(values[:kept])
    return _projection(mean, variances, axes, count)


def _sparse_moments(rows: Any) -> Moments:
    """Sums over a sparse matrix, exact for whole numbers. Products are made dense band by band, since most are not 0
    where the vectors are many."""
    width = rows.shape[1]
    dtype = np.int64 if np.issubdtype(rows.dtype, np.integer) else np.float64
    wide = rows.astype(dtype)
    flipped, by_column = wide.T.tocsr(), wide.tocsc()
    gram = np.empty((width, width), dtype)
    for start in range(0, width, _BAND):
        band = slice(start, start + _BAND)
        gram[:, band] = (flipped @ by_column[:, band].tocsr()).toarray()
    return Moments(rows.shape[0], np.asarray(wide.sum(axis=0)).ravel(), gram)


def _largest(matrix: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `count` largest eigenvalues of a symmetric matrix, falling, and their eigenvectors as columns."""
    if len(matrix) <= _FEW:
        with Threads():
            values, vectors = np.linalg.eigh(matrix)
    else:
        from scipy.linalg import eigh

        least = max(0, len(matrix) - count)
        how = {"subset_by_index": (least, len(matrix) - 1)} if count < _PART * len(matrix) else {"driver": "evd"}
        with Threads.of_blas(available_cores()):
            # The transpose is what LAPACK can work on in place.
            values, vectors = eigh(matrix.T, overwrite_a=True, **how)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _known(variances: NDArray[np.float64], mean: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Which of the falling variances are more than rounding: bool of their shape. n vectors have no more than n - 1
    directions about their mean."""
    largest = max(float(variances[0]), 0.0) + float(mean @ mean)
    bound = largest * max(count, len(mean)) * np.finfo(np.float64).eps
    return (variances > bound) & (np.arange(len(variances)) < count - 1)


def _projection(
    mean: NDArray[np.float64], variances: NDArray[np.float64], axes: NDArray[np.float64], count: int
) -> Projection:
    """Axes with their signs fixed, zero beyond the rank of the data."""
    known = _known(variances, mean, count)
    weights = np.abs(axes)
    decisive = (weights >= (1 - _EQUAL) * weights.max(axis=0)).argmax(axis=0)
    signs = np.sign(axes[decisive, np.arange(axes.shape[1])])
    axes = np.where(known, axes * signs, 0.0)
    return Projection(mean, np.ascontiguousarray(axes), np.where(known, variances, 0.0))


def project(rows: Any, projection: Projection) -> NDArray[np.float64]:
    """Features float64 (n, c): centred vectors on the axes. `rows` (n, K) may be a sparse matrix of scipy.

    BLAS has one thread here, as in `fit` for up to some thousand words: with another number sums are rounded otherwise,
    and a perceptron that learns from the features makes large differences of the smallest ones.
    """
    if isinstance(rows, np.ndarray):
        with Threads():
            return np.asarray((rows - projection.mean) @ projection.axes)
    return np.asarray(rows @ projection.axes) - projection.mean @ projection.axes
