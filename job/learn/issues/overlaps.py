"""Pairs of categories that are taken for each other."""

from dataclasses import dataclass

import numpy as np

from job.learn.issues.base import TRAIN, Evidence, Issue
from job.learn.scores import confusion


@dataclass(frozen=True)
class Overlaps:
    """Two categories overlap where at least `share` of the pictures of both, and at least `least` pictures, are taken
    for the other one by a classifier that has not learned from them.

    The score is that share.
    """

    name: str = "overlap"
    title: str = "Categories that overlap"
    note: str = (
        "Pictures of both are taken for the other one, by a classifier that has not learned from them. The score is "
        "their share."
    )
    share: float = 0.05
    least: int = 3

    def find(self, evidence: Evidence) -> list[Issue]:
        """The pairs, those that are mixed up most first."""
        rows = evidence.out_of_fold
        if rows is None:
            return []
        chances = np.asarray(rows.values, np.float64)
        known = ~np.isnan(chances[:, 0])
        labels, best = rows.labels[known], chances[known].argmax(axis=1)
        counts = confusion(labels, best, len(evidence.categories))
        mixed, totals = counts + counts.T, counts.sum(axis=1)
        found = []
        for left, right in np.argwhere(np.triu(mixed, 1) >= self.least).tolist():
            share = float(mixed[left, right]) / float(totals[left] + totals[right])
            if share >= self.share:
                names = evidence.categories[left], evidence.categories[right]
                found.append(Issue(self.name, TRAIN, "", names[0], share, other=names[1]))
        return sorted(found, key=lambda issue: -issue.score)


OVERLAPS = Overlaps()
