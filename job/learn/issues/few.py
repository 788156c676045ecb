"""Categories with too few training pictures to learn them from."""

from dataclasses import dataclass

import numpy as np

from job.learn.issues.base import TRAIN, Evidence, Issue


@dataclass(frozen=True)
class Few:
    """A category has few pictures where it has less than `least`, or less than `share` of the median category.

    The score is the share of the pictures that it lacks.
    """

    name: str = "few"
    title: str = "Categories with too few pictures"
    note: str = "The score is the share of the pictures that are missing."
    least: int = 10
    share: float = 0.1

    def find(self, evidence: Evidence) -> list[Issue]:
        """The categories with too few pictures, the smallest first."""
        counts = evidence.counts
        if not len(counts):
            return []
        wanted = max(float(self.least), self.share * float(np.median(counts)))
        order = np.argsort(counts, kind="stable").tolist()
        return [
            Issue(self.name, TRAIN, "", evidence.categories[label], 1 - float(counts[label]) / wanted)
            for label in order
            if counts[label] < wanted
        ]


FEW = Few()
