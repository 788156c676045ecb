"""The interface of a kind of issue, and what all of them look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from job.learn import out_of_fold, videos
from job.learn import twins as copies
from job.learn.classifiers.base import Classifier
from job.learn.frames import frame

TRAIN = "train"
# Pictures are copies of each other when their distance is at most this share of the step from one picture of their
# category to the next, and at most so many levels of grey: by what decides, and by all of their looks. Chosen by
# tests/benchmarks/data_issues.py.
SHARES = (0.5, 1.5)
LEVELS = (0.7, 3.0)
# Frames of a video whose numbers are so near, as names of Fruits-360 tell (12_100.jpg, r_13_100.jpg), are no copies of
# each other unless they are closer than so many levels: that is how a fruit turns.
NEXT_FRAMES, SAME = 4, 0.05


class Issue(NamedTuple):
    """Something that may be wrong with the data: a row of `data_issues.csv`.

    kind: name of the kind. split: the split that it is about. ima, cat: the picture, where it is about one, and its
    category. score: 0 to 1; the higher, the surer or the worse. suggested: the category that fits better. other: the
    picture or the category that it is about as well.
    """

    kind: str
    split: str
    ima: str
    cat: str
    score: float
    suggested: str = ""
    other: str = ""


@dataclass(frozen=True)
class Rows:
    """Pictures of a split with a vector each.

    Attributes
    ----------
    names
        Their names.
    labels
        int64 (n,): their categories.
    values
        (n, d): their vectors.

    """

    names: Sequence[str]
    labels: NDArray[np.int64]
    values: NDArray[np.generic]


@dataclass(frozen=True)
class Evidence:
    """What is known of the pictures. Each mapping is by split, and may have fewer pictures than the split, or none.

    Attributes
    ----------
    categories
        Names of the labels 0, 1, ...
    counts
        int64 (C,): number of training pictures of each category.
    looks
        floating (n, k * k): the coarse look of each picture (`job.vision.look`).
    features
        floating (n, d): what the classifier learns from.
    chances
        float64 (n, C): what the classifier says of pictures that it has not learned from; not of training pictures.
    classifier
        What learns the categories, or None.
    seed, threads
        Seed of the folds, and threads that may be used.

    """

    categories: Sequence[str]
    counts: NDArray[np.int64]
    looks: Mapping[str, Rows] = field(default_factory=dict)
    features: Mapping[str, Rows] = field(default_factory=dict)
    chances: Mapping[str, Rows] = field(default_factory=dict)
    classifier: Classifier | None = None
    seed: int = 123
    threads: int = 1

    @cached_property
    def _signatures(self) -> Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """What looks are compared by, all of it and what decides, by split."""
        return {split: copies.signatures(np.asarray(rows.values, np.float32)) for split, rows in self.looks.items()}

    @cached_property
    def _reach(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far from each other pictures of each category may be that are copies of each other, by what decides and
        by all of their looks: float64 (C,) each.

        Frames of a turning fruit are not: a copy is nearer than the next frame.
        """
        labels, count = self.looks[TRAIN].labels, len(self.categories)
        whole, deciding = self._signatures[TRAIN]
        found = [
            np.minimum(copies.steps(rows, labels, count) * share, levels)
            for rows, share, levels in zip((deciding, whole), SHARES, LEVELS, strict=True)
        ]
        return found[0], found[1]

    @cached_property
    def twins(self) -> Mapping[str, copies.Twins]:
        """By split the pairs of its pictures and training pictures that are copies of each other, each pair once, and
        their distances by all of their looks."""
        return {split: self._twins(split) for split in self.looks} if TRAIN in self.looks else {}

    def _twins(self, split: str) -> copies.Twins:
        own, known = self.looks[split].labels, self.looks[TRAIN].labels
        (whole, deciding), (all_whole, all_deciding) = self._signatures[split], self._signatures[TRAIN]
        near, far = self._reach
        found = copies.search(deciding, all_deciding, near[own], same=split == TRAIN, threads=self.threads)
        apart = copies.distances(whole, all_whole, found.rows, found.others)
        far_of = np.minimum(far[own[found.rows]], far[known[found.others]])
        kept = (found.distances <= near[known[found.others]]) & (apart <= far_of)
        names, others = self.looks[split].names, self.looks[TRAIN].names
        for place in np.flatnonzero(kept & (apart > SAME)).tolist():
            row, other = found.rows[place], found.others[place]
            one, two = frame(names[row]), frame(others[other])
            if one and two and (own[row], one.video) == (known[other], two.video):
                kept[place] = not 0 < abs(one.number - two.number) <= NEXT_FRAMES
        return copies.Twins(found.rows[kept], found.others[kept], apart[kept])

    def frames(self) -> dict[str, int]:
        """By split how many of its pictures are frames of videos that training pictures are from, by names and looks;
        not of the training pictures themselves."""
        if TRAIN not in self.looks or not len(self.looks[TRAIN].labels):
            return {}
        rows = self.looks[TRAIN]
        if not videos.alike(self._signatures[TRAIN][1], rows.labels, len(self.categories)):
            return {}
        return {
            split: videos.shared(own.names, own.labels, rows.names, rows.labels)
            for split, own in self.looks.items()
            if split != TRAIN
        }

    @cached_property
    def out_of_fold(self) -> Rows | None:
        """What the classifier says of training pictures when it has not learned from them; None without one."""
        rows = self.features.get(TRAIN)
        if rows is None or self.classifier is None or not len(rows.labels):
            return None
        groups = out_of_fold.groups(rows.names, rows.labels, self._pairs_of(rows))
        held = out_of_fold.folds(
            groups, rows.names, rows.labels, self.seed, out_of_fold.parts_for(rows.values.shape[1])
        )
        values = np.asarray(rows.values)
        chances = out_of_fold.probabilities(self.classifier, values, rows.labels, len(self.categories), held)
        return Rows(rows.names, rows.labels, chances)

    def _pairs_of(self, rows: Rows) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Copies of each other among pictures that have features, by their places there."""
        if TRAIN not in self.twins:
            return None
        places = {name: place for place, name in enumerate(rows.names)}
        known, found = self.looks[TRAIN].names, self.twins[TRAIN]
        pairs = [
            (places[known[row]], places[known[other]])
            for row, other in zip(found.rows.tolist(), found.others.tolist(), strict=True)
            if known[row] in places and known[other] in places
        ]
        left, right = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(left, np.intp), np.array(right, np.intp)

    def judged(self) -> dict[str, Rows]:
        """By split what the classifier says of pictures that it has not learned from, training pictures first."""
        own = self.out_of_fold
        return {**({} if own is None else {TRAIN: own}), **self.chances}


class Kind(Protocol):
    """A kind of issue.

    `name` stands in the file; `title` and `note` are its heading in the report and the sentences under it.
    """

    name: str
    title: str
    note: str

    def find(self, evidence: Evidence) -> list[Issue]:
        """The issues of this kind, the worst first; none where the evidence has not what it takes."""
