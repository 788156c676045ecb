"""Principal components of bags of words, from exact sums."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Sums over bags of words, exact: `count`, `total` int64 (K,), `gram` int64 (K, K) = sum of b b^T.

    Parts add up to the same in any order.
    """

    count: int
    total: NDArray[np.int64]
    gram: NDArray[np.int64]

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.gram + other.gram)

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, count=np.int64(self.count), total=self.total, gram=self.gram)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Moments":
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return cls(int(found["count"]), found["total"], found["gram"])


@dataclass(frozen=True)
class Projection:
    """`mean` float64 (K,), `axes` float64 (K, c) with orthonormal columns, `variances` float64 (c,), falling."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]


def moments(bags: NDArray[np.integer]) -> Moments:
    """Sums over bags of shape (n, K). The float64 product is exact: counts are whole numbers far below 2^26."""
    wide = bags.astype(np.float64)
    return Moments(len(bags), bags.sum(axis=0, dtype=np.int64), (wide.T @ wide).astype(np.int64))


def fit(part: Moments, components: int) -> Projection:
    """The axes of largest variance: eigenvectors of the covariance (Hotelling, 1933), sample variance (n - 1).

    Each axis points where its largest weight is positive, so that the sign does not depend on the solver.
    """
    mean = part.total / part.count
    covariance = (part.gram - part.count * np.outer(mean, mean)) / max(1, part.count - 1)
    values, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :components]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    return Projection(mean, np.ascontiguousarray(axes), np.maximum(values[::-1][:components], 0.0))


def project(bags: NDArray[np.integer], projection: Projection) -> NDArray[np.float64]:
    """Features float64 (n, c): centred bags on the axes."""
    return (bags - projection.mean) @ projection.axes
