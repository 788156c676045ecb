"""Principal components of bags of words, from exact sums."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.cores import available_cores
from job.threads import Threads

# Matrices of up to this many rows are decomposed whole: their fast full decomposition takes no longer than a part.
_FEW = 1500


@dataclass(frozen=True)
class Moments:
    """Sums over vectors: `count`, `total` (K,), `gram` (K, K) = sum of b b^T; int64, or float64 for floats.

    Those of whole numbers are exact, and parts of them add up to the same in any order.
    """

    count: int
    total: NDArray[Any]
    gram: NDArray[Any]

    def __add__(self, other: "Moments") -> "Moments":
        """Both parts together."""
        return Moments(self.count + other.count, self.total + other.total, self.gram + other.gram)

    def to_bytes(self) -> bytes:
        """As bytes, for `from_bytes`."""
        buffer = io.BytesIO()
        np.savez(buffer, count=np.int64(self.count), total=self.total, gram=self.gram)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Moments":
        """What `to_bytes` has written."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return cls(int(found["count"]), found["total"], found["gram"])


@dataclass(frozen=True)
class Projection:
    """`mean` float64 (K,), `axes` float64 (K, c) with orthonormal columns, `variances` float64 (c,), falling."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]


def moments(bags: NDArray[Any]) -> Moments:
    """Sums over vectors of shape (n, K). Those of whole numbers are exact, as counts are far below 2^26; those of
    others are float64 sums."""
    wide = bags.astype(np.float64)
    if np.issubdtype(bags.dtype, np.integer):
        return Moments(len(bags), bags.sum(axis=0, dtype=np.int64), (wide.T @ wide).astype(np.int64))
    return Moments(len(bags), wide.sum(axis=0), wide.T @ wide)


def fit(part: Moments, components: int) -> Projection:
    """The axes of largest variance: eigenvectors of the covariance (Hotelling, 1933), sample variance (n - 1).

    Each axis points where its largest weight is positive, so that the sign does not depend on the solver. Axes beyond
    the rank of the data would be arbitrary: they are zero, and so are the features on them.
    """
    mean = part.total / part.count
    covariance = (part.gram - part.count * np.outer(mean, mean)) / max(1, part.count - 1)
    values, vectors = _largest(covariance, components)
    return _projection(mean, values, vectors, part.count, len(mean))


def fit_rows(rows: Any, components: int) -> Projection:
    """The same from the vectors themselves, (n, K): an array, or a sparse matrix of scipy.

    The smaller of the matrices n x n and K x K is decomposed where there are many words, so that a vocabulary larger
    than the number of pictures costs no K x K matrix.
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
    kept = max(1, int(_known(values, count, width).sum()))
    lengths = np.sqrt(np.maximum(values[:kept], np.finfo(np.float64).tiny))
    axes = np.zeros((width, components))
    axes[:, :kept] = (wide.T @ vectors[:, :kept] - np.outer(mean, vectors[:, :kept].sum(axis=0))) / lengths
    variances = np.zeros(components)
    variances[: len(values)] = values / max(1, count - 1)
    return _projection(mean, variances, axes, count, width)


def _sparse_moments(rows: Any) -> Moments:
    """Sums over a sparse matrix of whole numbers, exact."""
    wide = rows.astype(np.int64)
    return Moments(rows.shape[0], np.asarray(wide.sum(axis=0)).ravel(), (wide.T @ wide).toarray())


def _largest(matrix: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `count` largest eigenvalues of a symmetric matrix, falling, and their eigenvectors as columns."""
    if len(matrix) <= _FEW:
        values, vectors = np.linalg.eigh(matrix)
    else:
        from scipy.linalg import eigh

        with Threads.of_blas(available_cores()):
            values, vectors = eigh(
                matrix, subset_by_index=(max(0, len(matrix) - count), len(matrix) - 1), overwrite_a=True
            )
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _known(values: NDArray[np.float64], count: int, width: int) -> NDArray[np.bool_]:
    """Which of the falling eigenvalues are more than rounding: bool of their shape.

    The bound is that of `numpy.linalg.matrix_rank` (Golub and Van Loan, 2013, 5.4.1), for eigenvalues; and n rows have
    no more than n - 1 directions about their mean.
    """
    bound = max(float(values[0]), 0.0) * max(count, width) * np.finfo(np.float64).eps
    return (values > bound) & (np.arange(len(values)) < max(1, count - 1))


def _projection(
    mean: NDArray[np.float64], values: NDArray[np.float64], axes: NDArray[np.float64], count: int, width: int
) -> Projection:
    """Axes with their signs fixed, zero beyond the rank of the data."""
    largest = np.abs(axes).argmax(axis=0)
    known = _known(values, count, width)
    axes = np.where(known, axes * np.sign(axes[largest, np.arange(axes.shape[1])]), 0.0)
    return Projection(mean, np.ascontiguousarray(axes), np.where(known, np.maximum(values, 0.0), 0.0))


def project(rows: Any, projection: Projection) -> NDArray[np.float64]:
    """Features float64 (n, c): centred vectors on the axes. `rows` (n, K) may be a sparse matrix of scipy."""
    if isinstance(rows, np.ndarray):
        return (rows - projection.mean) @ projection.axes
    return np.asarray(rows @ projection.axes) - projection.mean @ projection.axes
