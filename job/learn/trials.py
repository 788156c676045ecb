"""Several trainings of one recipe on parts of the same vectors, as cross-validation needs them.

Each training fits the scaling, the components and the classifier on its own rows alone, as `job.experiment.fit` does on
all. A classifier that learns from sums is not given its rows once a training: sums over the parts that trainings share
are taken once, and added up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.learn import pca, scaling, sketch, unknown
from job.learn.classifiers.base import Classifier, Trained
from job.learn.moments import Moments, moments
from job.threads import Threads

# Rows that are worked on at once, and most bytes of the sums over all parts.
_ROWS = 4096
_MOST_BYTES = 512 << 20

Rows = Callable[[NDArray[np.intp]], list[NDArray[Any]]]
"""The blocks of the vectors with these row numbers, each of shape (n, its width)."""


@dataclass(frozen=True)
class How:
    """What is learned from vectors.

    Attributes
    ----------
    classifier
        What learns the categories.
    categories
        Number of categories.
    scaler
        Whether blocks go through a scaling at all, and `scaled` whether that changes them.
    components
        Principal components that are kept; 0: none are taken.
    seed
        Seed of the classifier.
    weights
        Weights of the blocks, where they are scaled; none: 1 each.

    """

    classifier: Classifier
    categories: int
    scaler: bool
    scaled: bool
    components: int
    seed: int
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Learned:
    """What one training has learned, and the seconds that it took."""

    how: How
    scaling: scaling.Scaling | None
    projection: pca.Projection | None
    trained: Trained
    seconds: float

    def predicted(self, rows: Rows, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        """The most probable category of the rows with these numbers, int64 (n,)."""
        found = [self.labels(rows(chosen[start : start + _ROWS])) for start in range(0, len(chosen), _ROWS)]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def labels(self, blocks: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """The most probable category of vectors, given as their blocks (n, width)."""
        features = np.hstack(blocks)
        if self.scaling is not None:
            features = scaling.scale(features, self.scaling)
        if self.projection is not None:
            features = pca.project(features, self.projection)
        chances = self.how.classifier.probabilities(np.asarray(features, np.float64), self.trained)
        found: NDArray[np.int64] = chances.argmax(axis=1).astype(np.int64)
        return found

    @property
    def bytes(self) -> int:
        """Bytes of all arrays, with those by which a model that is kept knows what is unknown."""
        parts = [self.trained.arrays]
        parts += [part.arrays() for part in (self.scaling,) if part is not None]
        if self.projection is not None:
            own = self.projection
            parts.append({"mean": own.mean, "axes": own.axes, "variances": own.variances})
        size = sum(array.nbytes for part in parts for array in part.values())
        if self.how.classifier.with_distances is not None and unknown.WHITENING not in self.trained.arrays:
            size += unknown.size(self.how.categories)
        return size


def learn(
    how: How,
    rows: Rows,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    trainings: Sequence[NDArray[np.intp]],
) -> list[Learned]:
    """One training on each of these sets of row numbers.

    Parameters
    ----------
    how
        What is learned.
    rows
        Gives the blocks of vectors by row numbers.
    labels : int64 of shape (n,)
        The category of every row.
    weights : float64 of shape (n,)
        What each row counts for; None: 1.
    trainings
        Ascending row numbers of each training.

    Raises
    ------
    ValueError
        A training can't be made, as the classifier or the components say.

    """
    with Threads():
        if how.classifier.from_moments is not None and not how.components and len(trainings) > 1:
            parts = _shared(len(labels), trainings)
            width = sum(block.shape[1] for block in rows(np.arange(min(1, len(labels)))))
            # sums are scaled afterwards, which folded ones can't be
            if width == sketch.width_of(width) and len(parts) * width * width * 8 <= _MOST_BYTES:
                return _from_sums(how, rows, labels, weights, trainings, parts)
        return [_directly(how, rows, labels, weights, chosen) for chosen in trainings]


def _directly(
    how: How, rows: Rows, labels: NDArray[np.int64], weights: NDArray[np.float64] | None, chosen: NDArray[np.intp]
) -> Learned:
    begun = perf_counter()
    blocks = rows(chosen)
    found, projection = None, None
    if how.scaler:
        found = scaling.fit(scaling.sums(blocks), scaled=how.scaled, weights=how.weights)
    features = np.hstack(blocks)
    del blocks
    if found is not None:
        features = scaling.scale(features, found)
    if how.components:
        if how.components > features.shape[1]:
            raise ValueError(f"There are at most {features.shape[1]} components of {features.shape[1]} values")
        projection = pca.fit_rows(features, how.components)
        features = pca.project(features, projection)
    trained = how.classifier.fit(
        np.asarray(features, np.float64),
        labels[chosen],
        how.categories,
        seed=how.seed,
        weights=None if weights is None else weights[chosen],
    )
    return Learned(how, found, projection, trained, perf_counter() - begun)


def _shared(count: int, trainings: Sequence[NDArray[np.intp]]) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Rows that the same trainings have, as which trainings those are, bool (trainings,), and row numbers."""
    member = np.zeros((count, len(trainings)), np.bool_)
    for place, chosen in enumerate(trainings):
        member[chosen, place] = True
    kinds, places = np.unique(member, axis=0, return_inverse=True)
    return [
        (kind, np.flatnonzero(places.ravel() == place).astype(np.intp))
        for place, kind in enumerate(kinds)
        if kind.any()
    ]


def _from_sums(
    how: How,
    rows: Rows,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    trainings: Sequence[NDArray[np.intp]],
    parts: Sequence[tuple[NDArray[np.bool_], NDArray[np.intp]]],
) -> list[Learned]:
    """The same from sums over each part of the rows."""
    begun = perf_counter()
    summed = [_sums(how, rows, labels, weights, chosen) for _, chosen in parts]
    each = (perf_counter() - begun) / len(trainings)
    found = []
    for place in range(len(trainings)):
        begun = perf_counter()
        own = [sums for (kind, _), sums in zip(parts, summed, strict=True) if kind[place]]
        if not own:
            raise ValueError("There are no pictures to learn categories from")
        total = reduce(add, (part for part, _ in own))
        fitted = None
        if how.scaler:
            blocks = reduce(add, (part for _, part in own))
            fitted = scaling.fit(blocks, scaled=how.scaled, weights=how.weights)
            total = _after(total, fitted)
        trained = how.classifier.learned(total, total.width)
        if how.classifier.coordinates is not None:
            trained = _seen_again(how, rows, labels, weights, trainings[place], fitted, trained)
        found.append(Learned(how, fitted, None, trained, each + perf_counter() - begun))
    return found


def _sums(
    how: How,
    rows: Rows,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    chosen: NDArray[np.intp],
) -> tuple[Moments, scaling.Sums]:
    """Sums over some rows, of blocks at length 1 where they will be scaled, and what the scaling is fitted on."""
    found: list[tuple[Moments, scaling.Sums]] = []
    for start in range(0, len(chosen), _ROWS):
        part = chosen[start : start + _ROWS]
        blocks = rows(part)
        sums = scaling.sums(blocks)
        values = np.hstack([scaling.at_length_1(block) if how.scaled else block for block in blocks])
        own = moments(values, labels[part], how.categories, None if weights is None else weights[part])
        found.append((own, sums))
    return reduce(lambda one, other: (one[0] + other[0], one[1] + other[1]), found)


def _seen_again(
    how: How,
    rows: Rows,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    chosen: NDArray[np.intp],
    fitted: scaling.Scaling | None,
    trained: Trained,
) -> Trained:
    """What is learned after a second look at the rows of one training."""
    found = []
    for start in range(0, len(chosen), _ROWS):
        part = chosen[start : start + _ROWS]
        features = np.hstack(rows(part))
        features = np.asarray(features if fitted is None else scaling.scale(features, fitted), np.float64)
        own = None if weights is None else weights[part]
        found.append(how.classifier.seen_again(trained, features, labels[part], how.categories, own))
    sums = [part for part in found if part is not None]
    return how.classifier.refine(trained, reduce(add, sums) if sums else None)


def _after(found: Moments, fitted: scaling.Scaling) -> Moments:
    """Sums over scaled rows from sums over the rows at length 1: z = (x - mean) / deviation, each block its own."""
    if not fitted.deviation.any():
        return found
    mean, factor = fitted.mean, np.repeat(1.0 / fitted.deviation, fitted.widths)
    total = found.sums.sum(axis=0)
    crossed = np.outer(total, mean)
    products = found.products - crossed - crossed.T + found.total * np.outer(mean, mean)
    products *= factor
    products *= factor[:, None]
    return Moments(found.counts, (found.sums - found.counts[:, None] * mean) * factor, products)
