"""Frames of videos, as names of Fruits-360 tell: `Lemon/12_100.jpg` is a frame of one, `Lemon/r_12_100.jpg` of another.

Names alone do not prove it: pictures that have nothing to do with each other may be numbered too. Those of a video are
alike as well: from one to the next it is a small step, compared with pictures of the whole category.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from job.learn import twins
from job.learn.frames import Frame, frame

# Pictures of a category are frames where the step from one to the next is at most this share of what any two of them
# are apart: 0.05 in Fruits-360, 0.13 with 100 pictures of each category; 0.38 with 150 that are drawn independently.
_SHARE = 0.2
# Categories with fewer pictures say nothing; pairs that are drawn of one.
_LEAST, _PAIRS = 20, 400


def alike(signatures: NDArray[np.float32], labels: NDArray[np.int64], categories: int) -> bool:
    """Whether pictures look like frames of videos: their signatures (n, d), see `job.learn.twins`, and labels (n,)."""
    steps = twins.steps(signatures, labels, categories)
    random, shares = np.random.default_rng(0), []
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        if len(rows) >= _LEAST:
            left, right = random.choice(rows, _PAIRS), random.choice(rows, _PAIRS)
            apart = float(np.median(twins.distances(signatures, signatures, left, right)))
            shares.append(steps[label] / apart if apart else np.inf)
    return bool(shares) and float(np.median(shares)) <= _SHARE


def shared(
    names: Sequence[str], labels: NDArray[np.int64], known: Sequence[str], known_labels: NDArray[np.int64]
) -> int:
    """How many of the pictures are by their names frames of the same videos as the known ones."""
    videos = {(label, one.video) for one, label in _frames(known, known_labels)}
    return sum((label, one.video) in videos for one, label in _frames(names, labels))


def _frames(names: Sequence[str], labels: NDArray[np.int64]) -> list[tuple[Frame, int]]:
    pairs = zip(map(frame, names), labels.tolist(), strict=True)
    return [(one, label) for one, label in pairs if one is not None]
