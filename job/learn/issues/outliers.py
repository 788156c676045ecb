"""Pictures that are far from all others, those of their own category included."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from job.learn.issues.base import TRAIN, Evidence, Issue
from job.learn.projection import projected
from job.learn.twins import block_rows

# Pictures are compared by so many random projections of their features.
_WIDTH = 96
# Copies are as far from each other as rounding makes them: this share of the length of their features, or less.
_SAME = 2e-3


@dataclass(frozen=True)
class Outliers:
    """An outlier is a picture whose distance from its `neighbour`-th nearest training picture, of whatever category, is
    more than `times` the median of such distances of the pictures of its category (Ramaswamy et al., 2000).

    The score is 1 less that median divided by the distance.
    """

    name: str = "outlier"
    title: str = "Outliers"
    note: str = (
        "The picture's features are far from those of all training pictures, those of its own category included."
    )
    neighbour: int = 5
    times: float = 3.0

    def find(self, evidence: Evidence) -> list[Issue]:
        """The outliers of all splits, the farthest first."""
        if TRAIN not in evidence.features or len(evidence.features[TRAIN].labels) <= self.neighbour:
            return []
        known = projected(np.asarray(evidence.features[TRAIN].values), _WIDTH, evidence.seed)
        same = _SAME * float(np.sqrt(np.einsum("nd,nd->n", known, known, dtype=np.float64).mean()))
        found: list[Issue] = []
        medians = np.full(len(evidence.categories), np.inf)
        for split, rows in evidence.features.items():
            own = known if split == TRAIN else projected(np.asarray(rows.values), _WIDTH, evidence.seed)
            distances = farness(own, known, self.neighbour + (split == TRAIN))
            if split == TRAIN:
                for label in np.unique(rows.labels).tolist():
                    median = np.median(distances[rows.labels == label])
                    # where most pictures of a category are copies, nothing is known of how far others may be
                    medians[label] = median if median > same else np.inf
            typical = medians[rows.labels]
            for row in np.flatnonzero(distances > self.times * typical).tolist():
                score = 1 - float(typical[row] / distances[row])
                found.append(Issue(self.name, split, rows.names[row], evidence.categories[rows.labels[row]], score))
        return sorted(found, key=lambda issue: -issue.score)


def farness(rows: NDArray[np.float32], known: NDArray[np.float32], neighbour: int) -> NDArray[np.float64]:
    """Distance of each of `rows` (n, d) from the `neighbour`-th nearest of `known` (m, d): float64 (n,)."""
    squares, block = np.einsum("nd,nd->n", known, known), block_rows(len(known))
    found = np.empty(len(rows))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        distances = part @ known.T
        distances *= -2
        distances += squares
        place = min(neighbour, len(known)) - 1
        near = np.partition(distances, place, axis=1)[:, place] + np.einsum("nd,nd->n", part, part)
        found[start : start + block] = np.sqrt(np.maximum(near, 0))
    return found


OUTLIERS = Outliers()
