"""The interface of a classifier, and what it has learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from job.learn import sketch
from job.learn.moments import Moments, moments
from job.learn.network import ArrayRows, Rows
from job.learn.spreads import Spreads
from job.threads import Threads


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


@dataclass(frozen=True, slots=True)
class Library:
    """A library that this program is not always installed with.

    Attributes
    ----------
    name, module
        What people call it, and the module that is imported of it.
    extra
        The extra of this program that brings it.

    """

    name: str
    module: str
    extra: str

    def missing(self) -> str | None:
        """What is wrong where it can't be imported, as the end of a sentence with the way out; None where it can."""
        try:
            import_module(self.module)
        except ImportError:
            return f"needs {self.name}, which can't be imported: pip install 'fruits-job[{self.extra}]'."
        return None


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


class LearnFromRows(Protocol):
    """Learns from rows that may be on executors: see `Classifier.from_rows`."""

    def __call__(self, rows: Rows, categories: int, *, seed: int, max_iterations: int) -> Trained:
        """Learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """How categories are learned from features.

    Attributes
    ----------
    name
        What the settings call it.
    chances
        Computes probabilities; called by `probabilities`.
    learn
        Learns from features in one place; called by `fit` where there is neither `from_moments` nor `from_rows`.
    from_moments
        Learns from sums over features that parts of them add up to, or None where the features themselves are needed.
        Called by `learned`. What it learns of the features is `coefficients`, (C, d).
    from_rows
        Learns from rows that stay where they are, by sums over them that are asked for again and again; None where the
        features themselves are needed in one place.
    with_distances
        Adds what `distances` needs, from the counts (C,) and the means (C, d) of the pictures of each category without
        their changed copies; None for a classifier that knows no distances. To tell by them what is unknown, a model
        also has `held_distances`, those of pictures held out (`job.learn.unknown`).
    distances
        How far features (n, d) are from the nearest category: float64 of shape (n,).
    coordinates
        Where features (n, d) are in the space of what `from_moments` has learned: float64 (n, w), for a second look at
        the rows; None where what was learned takes none. None for a classifier that never takes one.
    refined
        Learns from sums over those coordinates, as parts of them add up to, what the first look could not tell.
    needs
        The library that learning takes beside those that this program always has; None where it takes none. It is
        looked for before any work is done. Probabilities of a stored model have to do without it.

    """

    name: str
    chances: Callable[[NDArray[np.float64], Trained], NDArray[np.float64]]
    learn: Learn | None = None
    from_moments: Callable[[Moments], Trained] | None = None
    from_rows: LearnFromRows | None = None
    with_distances: Callable[[Trained, NDArray[np.float64], NDArray[np.float64]], Trained] | None = None
    distances: Callable[[NDArray[np.float64], Trained], NDArray[np.float64]] | None = None
    coordinates: Callable[[NDArray[np.float64], Trained], NDArray[np.float64] | None] | None = None
    refined: Callable[[Trained, Spreads], Trained] | None = None
    needs: Library | None = None

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
            There are no pictures, or weights were given to a classifier that does not learn from sums, and would ignore
            them.

        """
        if self.from_moments is not None:
            trained = self.learned(moments(features, labels, categories, weights), features.shape[1])
            return self.refine(trained, self.seen_again(trained, features, labels, categories, weights))
        if weights is not None:
            raise ValueError(f"The classifier '{self.name}' takes no weights: choose one that learns from sums.")
        if self.from_rows is not None:
            with Threads(threads) as pool:
                rows = ArrayRows(features, labels, pool.map)
                return self.from_rows(rows, categories, seed=seed, max_iterations=max_iterations)
        if self.learn is None:
            raise ValueError(f"The classifier '{self.name}' has no way to learn: give it one of the three.")
        return self.learn(features, labels, categories, seed=seed, max_iterations=max_iterations, threads=threads)

    def learned(
        self,
        found: Moments,
        width: int,
        originals: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> Trained:
        """What is learned from sums over features of that `width`, for features as they are.

        With `originals`, the counts (C,) and means (C, d) for `with_distances`, from sums like `found`, it also knows
        distances, where the classifier does.
        """
        if self.from_moments is None:
            raise ValueError(f"The classifier '{self.name}' does not learn from sums.")
        trained = self.from_moments(found)
        if originals is not None and self.with_distances is not None:
            trained = self.with_distances(trained, *originals)
        if width == sketch.width_of(width):
            return trained
        coefficients = sketch.widened(trained.arrays["coefficients"], width)
        return Trained({**trained.arrays, "coefficients": coefficients}, trained.facts)

    def seen_again(
        self,
        trained: Trained,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        categories: int,
        weights: NDArray[np.floating] | None = None,
    ) -> Spreads | None:
        """Sums of a second look at rows, by what `from_moments` has learned; None where none is taken."""
        found = None if self.coordinates is None else self.coordinates(features, trained)
        return None if found is None else Spreads.over(found, labels, categories, weights)

    def refine(self, trained: Trained, found: Spreads | None) -> Trained:
        """What is learned after a second look; `trained` itself where none was taken."""
        return trained if found is None or self.refined is None else self.refined(trained, found)

    def probabilities(self, features: NDArray[np.float64], trained: Trained) -> NDArray[np.float64]:
        """Probability of each category for features (n, d): float64 of shape (n, C); rows add up to 1."""
        return self.chances(features, trained)
