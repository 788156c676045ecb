"""The interface of a classifier, and what it has learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from job.learn.moments import Moments, moments


@dataclass(frozen=True)
class Trained:
    """What a classifier has learned.

    Attributes
    ----------
    arrays
        Arrays by name, as they are stored with a model.
    facts
        Facts for the console and the manifest, such as the sizes of layers.

    """

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Learn(Protocol):
    """Learns from features (n, d) and labels (n,): see `Classifier.fit`."""

    def __call__(
        self,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        categories: int,
        *,
        seed: int,
        max_iterations: int,
        threads: int,
    ) -> Trained:
        """Learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """How categories are learned from features.

    Attributes
    ----------
    name
        What the settings call it.
    learn
        Learns; called by `fit`.
    chances
        Computes probabilities; called by `probabilities`.
    from_moments
        Learns from sums over features that parts of them add up to, or None where the features themselves are needed.

    """

    name: str
    learn: Learn
    chances: Callable[[NDArray[np.float64], Trained], NDArray[np.float64]]
    from_moments: Callable[[Moments], Trained] | None = None

    def fit(
        self,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        categories: int,
        *,
        seed: int = 123,
        max_iterations: int = 200,
        threads: int = 1,
        weights: NDArray[np.float64] | None = None,
    ) -> Trained:
        """Learn categories from features.

        Parameters
        ----------
        features : float64 of shape (n, d)
        labels : int64 of shape (n,), in 0..categories-1
        categories
            Number of categories, C.
        seed
            Seed of every draw.
        max_iterations
            Most iterations, for a classifier that iterates.
        threads
            Number of threads that may be used.
        weights : float64 of shape (n,)
            What each row counts for; None: 1.

        Raises
        ------
        ValueError
            Weights were given to a classifier that does not learn from sums, and would ignore them.

        """
        if weights is not None:
            if self.from_moments is None:
                raise ValueError(f"The classifier '{self.name}' takes no weights: choose one that learns from sums.")
            return self.from_moments(moments(features, labels, categories, weights))
        return self.learn(features, labels, categories, seed=seed, max_iterations=max_iterations, threads=threads)

    def probabilities(self, features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
        """Probability of each category for features (n, d): float64 of shape (n, C); rows add up to 1."""
        return self.chances(features, trained)
