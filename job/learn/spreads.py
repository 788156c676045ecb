"""Sums over the coordinates of rows, category by category: how much, and which way, rows of one category differ.

Parts add up, in any order, as those of `job.learn.moments` do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Spreads:
    """Sums over rows of coordinates, (n, w), of each of C categories. Parts of the rows add up.

    Attributes
    ----------
    counts
        float64 (C,): total weight of the rows.
    sums
        float64 (C, w): weighted sum of the rows.
    products
        float64 (C, w, w): weighted sum of the outer products of the rows with themselves.

    Arrays of several sums have one more axis in front (`stacked`).

    """

    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def over(
        cls,
        coordinates: NDArray[np.float64],
        labels: NDArray[np.int64],
        categories: int,
        weights: NDArray[np.floating] | None = None,
    ) -> "Spreads":
        """Sums over coordinates (n, w) with labels (n,) and weights (n,); None: each row counts for 1."""
        width = coordinates.shape[1]
        kept = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        counts = np.bincount(labels, kept, categories).astype(np.float64)
        sums, products = np.zeros((categories, width)), np.zeros((categories, width, width))
        for category in np.unique(labels).tolist():
            chosen = labels == category
            rows, own = coordinates[chosen], kept[chosen][:, None]
            sums[category] = (rows * own).sum(axis=0)
            products[category] = (rows * own).T @ rows
        return cls(counts, sums, products)

    @classmethod
    def stacked(cls, found: Sequence["Spreads"]) -> "Spreads":
        """Several sums of the same shape as one, so that they are added up together."""
        return cls(*(np.stack(each) for each in zip(*(one.arrays().values() for one in found), strict=True)))

    def apart(self) -> list["Spreads"]:
        """What `stacked` was given."""
        return [Spreads(*each) for each in zip(self.counts, self.sums, self.products, strict=True)]

    def __add__(self, other: "Spreads") -> "Spreads":
        return Spreads(self.counts + other.counts, self.sums + other.sums, self.products + other.products)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As arrays by name, for `of`; those of parts may be added up."""
        return {"counts": self.counts, "sums": self.sums, "products": self.products}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.float64]]) -> "Spreads":
        """What `arrays` gave."""
        return cls(arrays["counts"], arrays["sums"], arrays["products"])

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each category, (C, w); zeros where it has no rows."""
        return np.asarray(self.sums / self._weights[:, None], np.float64)

    @property
    def covariances(self) -> NDArray[np.float64]:
        """Covariance of each category, (C, w, w); zeros where it has no rows."""
        means = self.means
        return self.products / self._weights[:, None, None] - means[:, :, None] * means[:, None, :]

    @property
    def _weights(self) -> NDArray[np.float64]:
        return np.where(self.counts > 0, self.counts, 1.0)
