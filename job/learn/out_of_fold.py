"""What a classifier says of pictures that it has not learned from, though they are training pictures: fold by fold.

Pictures that are nearly the same stay together, so that none vouches for the wrong label of another: frames that follow
each other in a video, where names tell, and copies of each other.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from hashlib import blake2b
from operator import add

import numpy as np
from numpy.typing import NDArray

from job.learn.calibration import temperature
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.learn.classifiers.linear import softmax
from job.learn.frames import frame
from job.learn.moments import coordinates, moments

FOLDS = 5
# Frames that follow each other and stay together. A whole turn of a fruit would be too much: where a category has only
# one, nothing of it would be left to learn from.
FRAMES = 12
# Sums of all folds may take up so many bytes; with wider features there are fewer folds.
_MOST_BYTES = 256 << 20
_ROWS = 4096


def frames(names: Sequence[str], labels: NDArray[np.int64]) -> list[tuple[object, ...]]:
    """What each picture is grouped by: category, video and part of it, or the picture itself where its name does not
    tell."""
    found: list[tuple[object, ...]] = []
    for name, label in zip(names, labels.tolist(), strict=True):
        one = frame(name)
        found.append((name,) if one is None else (label, one.video, one.number // FRAMES))
    return found


def groups(
    names: Sequence[str], labels: NDArray[np.int64], pairs: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
) -> NDArray[np.int64]:
    """A number for each picture, the same for those that stay together: int64 (n,).

    `pairs` are row numbers of pictures that are copies of each other.
    """
    from job.learn.twins import joined

    first: dict[tuple[object, ...], int] = {}
    own = np.array([first.setdefault(key, row) for row, key in enumerate(frames(names, labels))], np.intp)
    return joined(len(labels), [(np.arange(len(labels)), own), *([pairs] if pairs else [])])


def folds(
    groups: NDArray[np.int64], names: Sequence[str], labels: NDArray[np.int64], seed: int, parts: int = FOLDS
) -> NDArray[np.int64]:
    """The part, 0 to `parts` - 1, in which each picture is held out: int64 (n,).

    Groups are dealt out category by category, in an order by a hash, each to the part that has least of the category.
    A category of a single group is dealt out picture by picture.
    """
    keys = [blake2b(f"{seed}\0{name}".encode(errors="surrogateescape"), digest_size=8).digest() for name in names]
    found, dealt = np.empty(len(labels), np.int64), dict[int, int]()
    for label in np.unique(labels).tolist():
        members: dict[int, list[int]] = {}
        for row in sorted(np.flatnonzero(labels == label).tolist(), key=keys.__getitem__):
            members.setdefault(int(groups[row]), []).append(row)
        held = np.zeros(parts, np.int64)
        if len(members) == 1:
            own = next(iter(members.values()))
            found[own] = (np.arange(len(own)) + label) % parts
            continue
        for group, rows in members.items():
            # a group with a copy of another label may be dealt out already
            part = dealt.setdefault(group, _least(held, label))
            found[rows] = part
            held[part] += len(rows)
    return found


def _least(held: NDArray[np.int64], start: int) -> int:
    """The part that has least; of equal ones the next from `start` on."""
    turned = np.roll(held, -(start % len(held)))
    return int((int(turned.argmin()) + start) % len(held))


def probabilities(
    classifier: Classifier,
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    categories: int,
    held: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Probability of each category for each picture, by a classifier that has not learned from its fold.

    It is the one that is given, or linear discriminant analysis in place of one that does not learn from sums: the sums
    of all folds but one take no second look at the pictures, while five networks would take as long as a small run.
    One that would take a second look is asked as it is before that.

    Parameters
    ----------
    classifier
        How categories are learned.
    features : floating of shape (n, d)
    labels : int64 of shape (n,), in 0..categories-1
    categories
        Number of categories, C.
    held : int64 of shape (n,)
        The fold of each picture, as `folds` gives it.

    Returns
    -------
    float64 (n, C). All folds share one temperature, which fits the labels best. NaN for pictures whose category is in
    no other fold.

    """
    if classifier.from_moments is None:
        classifier = CLASSIFIERS.get("lda")
    space = features.shape[1]
    if len(features) < space:
        features = coordinates(features)
    logarithms = np.full((len(labels), categories), np.nan)
    for fold, trained in _learned(classifier, features, labels, categories, held, space):
        rows = np.flatnonzero(held == fold)
        known = np.bincount(labels[held != fold], minlength=categories) > 0
        rows = rows[known[labels[rows]]]
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            chances = classifier.probabilities(features[part].astype(np.float64), trained)
            logarithms[part] = np.log(np.maximum(chances, 1e-300))
    there = ~np.isnan(logarithms[:, 0])
    found = np.full_like(logarithms, np.nan)
    if there.any():
        heat = temperature(logarithms[there], labels[there])
        found[there] = softmax(logarithms[there], heat)
    return found


def parts_for(width: int) -> int:
    """Number of folds for features of that width: 5, or fewer where sums of so many would be too large."""
    return int(np.clip(_MOST_BYTES // (8 * width * width), 2, FOLDS))


def _learned(
    classifier: Classifier,
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    categories: int,
    held: NDArray[np.int64],
    space: int,
) -> list[tuple[int, Trained]]:
    """What is learned from all folds but one, for each that leaves something to learn from."""
    numbers = [fold for fold in np.unique(held).tolist() if (held != fold).any()]
    sums = {fold: replace(moments(features, labels, categories, chosen=held == fold), space=space) for fold in numbers}
    if not sums:
        return []
    total = reduce(add, sums.values())
    return [(fold, classifier.learned(total - part, features.shape[1])) for fold, part in sums.items()]
