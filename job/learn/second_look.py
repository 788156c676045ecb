"""A second look at the rows that a classifier has learned from sums over, where it wants one (`Classifier.refined`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from job.learn.classifiers.base import Classifier, Trained
from job.learn.spreads import Spreads


@dataclass(frozen=True)
class SecondLook:
    """A second look for one model or two at once, in one pass over the rows.

    Attributes
    ----------
    classifier
        What has learned them.
    models
        The model of all rows, and the one of the rows that are not held out, if there is one.
    categories
        Number of categories.

    """

    classifier: Classifier
    models: Sequence[Trained]
    categories: int

    def wanted(self, width: int) -> bool:
        """Whether the models, learned from features of that width, take a second look."""
        coordinates = self.classifier.coordinates
        return coordinates is not None and coordinates(np.zeros((0, width)), self.models[0]) is not None

    def sums(
        self,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        weights: NDArray[np.float64],
        held: NDArray[np.bool_],
    ) -> Spreads:
        """Sums over rows of features (n, d), of which some are `held` out (n,). Those of parts add up."""
        found = [
            self.classifier.seen_again(trained, features, labels, self.categories, own)
            for trained, own in zip(self.models, (weights, np.where(held, 0.0, weights)), strict=False)
        ]
        return Spreads.stacked([each for each in found if each is not None])

    def refined(self, found: Spreads | None) -> list[Trained]:
        """The models after it."""
        parts = [None] * len(self.models) if found is None else found.apart()
        return [self.classifier.refine(trained, part) for trained, part in zip(self.models, parts, strict=True)]
