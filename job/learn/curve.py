"""The learning curve: how often a classifier is right that has learned from so many pictures of each category."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from job.learn import intervals
from job.learn.classifiers.base import Classifier

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Pictures of a category that are learned from, as far as there are so many; then all."""
_ROWS = 4096


class Point(NamedTuple):
    """How a classifier did that has learned from `pictures` pictures, up to `each` of a category."""

    each: int
    pictures: int
    accuracy: intervals.Interval


def points(
    classifier: Classifier,
    train: tuple[NDArray[np.floating], NDArray[np.int64]],
    test: tuple[NDArray[np.floating], NDArray[np.int64]],
    categories: int,
    *,
    seed: int = 123,
    threads: int = 1,
) -> list[Point]:
    """The curve, from few pictures to all.

    Parameters
    ----------
    classifier
        How categories are learned.
    train, test : floating of shape (n, d) and int64 of shape (n,)
        Features and labels that are learned from, and that are scored.
    categories
        Number of categories, C.
    seed
        Decides which pictures come first. Whatever is learned from, more pictures include the fewer ones.
    threads
        Threads that may be used.

    Returns
    -------
    For each number the mean of the categories' accuracies, with the interval that comes of drawing categories anew.
    Nothing where there are no pictures to score.

    """
    if not len(test[1]):
        return []
    features, labels = train
    ranks = _ranks(labels, seed)
    largest = int(ranks.max(initial=-1)) + 1
    found = []
    for each in [*(count for count in COUNTS if count < largest), largest]:
        rows = np.flatnonzero(ranks < each)
        values = features[rows].astype(np.float64)
        trained = classifier.fit(values, labels[rows], categories, seed=seed, threads=threads)
        best = [
            classifier.probabilities(test[0][start : start + _ROWS].astype(np.float64), trained).argmax(axis=1)
            for start in range(0, len(test[1]), _ROWS)
        ]
        right = np.concatenate(best) == test[1]
        own = intervals.interval(intervals.accuracies(right, test[1], categories))
        found.append(Point(each, len(rows), own))
    return found


def _ranks(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The place of each row among those of its category, in an order drawn by the seed: int64 (n,)."""
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    found = np.empty(len(labels), np.int64)
    starts = np.searchsorted(labels[order], labels[order])
    found[order] = np.arange(len(labels)) - starts
    return found
