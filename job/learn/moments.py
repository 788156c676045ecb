"""Sums over features and their categories, from which linear classifiers are learned without the features themselves.

Parts add up, in any order, to the sums of all rows: float64, so that other parts change the last digits alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import sketch

# Rows that are multiplied at a time, so that weighted copies stay small, and most values of them: 128 MB.
_BLOCK, _BLOCK_VALUES = 4096, 1 << 24


@dataclass(frozen=True)
class Moments:
    """Sums over rows of features. Parts of the rows add up.

    Of more than `sketch.MOST_WIDTH` features they are sums over folded rows, and d is that width.

    Attributes
    ----------
    counts
        float64 (C,): total weight of the rows of each category.
    sums
        float64 (C, d): weighted sum of the rows of each category.
    products
        float64 (d, d): weighted sum of the outer products of all rows with themselves.
    space
        Number of dimensions of the features, where rows are `coordinates` in a part of them; 0 where they are not.

    """

    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    products: NDArray[np.float64]
    space: int = 0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.counts + other.counts, self.sums + other.sums, self.products + other.products, self.space)

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.counts - other.counts, self.sums - other.sums, self.products - other.products, self.space)

    @property
    def width(self) -> int:
        """Number of dimensions of the features."""
        return self.space or self.sums.shape[1]

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(self.counts.sum())

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each category, (C, d); zeros where it has no rows."""
        return np.asarray(self.sums / np.where(self.counts > 0, self.counts, 1.0)[:, None], np.float64)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of all rows, (d,)."""
        return np.asarray(self.sums.sum(axis=0) / self.total, np.float64)

    def folded(self, categories: int) -> "Moments":
        """The sums where the rows of c, c + `categories`, c + 2 `categories` and so on are of one category, c."""
        counts, sums = (each.reshape(-1, categories, *each.shape[1:]).sum(axis=0) for each in (self.counts, self.sums))
        return Moments(counts, sums, self.products, self.space)

    def within(self) -> NDArray[np.float64]:
        """Weighted sum of outer products of rows less their category's mean, (d, d)."""
        return self.products - self.sums.T @ self.means

    def scatter(self) -> NDArray[np.float64]:
        """Weighted sum of outer products of rows less the mean of all, (d, d)."""
        mean = self.mean
        return self.products - self.total * np.outer(mean, mean)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As arrays by name, for `of`; those of parts may be added up. One half of the symmetric matrix is enough."""
        return {"counts": self.counts, "sums": self.sums, "upper": self.products[np.triu_indices(len(self.products))]}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.float64]]) -> "Moments":
        """What `arrays` gave."""
        sums = arrays["sums"]
        products = np.zeros((sums.shape[1], sums.shape[1]))
        products[np.triu_indices(len(products))] = arrays["upper"]
        return cls(arrays["counts"], sums, products + np.triu(products, 1).T)


def coordinates(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (n, d) in an orthonormal basis of what they span: float64 (n, min(n, d)).

    Products of rows with each other stay as they are, and with them what is learned from sums that know the number of
    dimensions (`Moments.space`): with few rows of many features that takes far less time.
    """
    triangle: Any = np.linalg.qr(rows.astype(np.float64).T, mode="r")
    return np.ascontiguousarray(triangle.T, np.float64)


def moments(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    categories: int,
    weights: NDArray[np.floating] | None = None,
    *,
    chosen: NDArray[np.bool_] | None = None,
) -> Moments:
    """The sums over rows of features.

    Parameters
    ----------
    features : floating of shape (n, d)
        n may be 0. Rows of more than `sketch.MOST_WIDTH` features are folded.
    labels : whole numbers of shape (n,), from 0 to `categories` - 1
        The category of each row.
    weights : floating of shape (n,), none below 0
        What each row counts for; None: 1.
    chosen : bool of shape (n,)
        The rows that are looked at; None: all. They are copied a few at a time.

    """
    width = sketch.width_of(features.shape[1])
    places = np.flatnonzero(chosen) if chosen is not None else np.arange(len(features))
    if chosen is not None:
        labels, weights = labels[places], None if weights is None else weights[places]
    counts = np.bincount(labels, weights, categories).astype(np.float64)
    sums, products = np.zeros((categories, width)), np.zeros((width, width))
    step = min(_BLOCK, max(1, _BLOCK_VALUES // max(1, features.shape[1])))
    for start in range(0, len(places), step):
        part = slice(start, start + step)
        rows = features[part if chosen is None else places[part]]
        rows = rows.astype(np.float64) if rows.shape[1] == width else sketch.narrowed(rows)
        if weights is not None:
            rows *= np.sqrt(weights[part].astype(np.float64))[:, None]
        # numpy sees that both are one array and computes half of the symmetric product.
        products += rows.T @ rows
        if weights is not None:
            rows *= np.sqrt(weights[part].astype(np.float64))[:, None]
        member = np.zeros((categories, len(rows)))
        member[labels[part], np.arange(len(rows))] = 1
        sums += member @ rows
    return Moments(counts, sums, products)
