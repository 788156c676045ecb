"""Pictures that are copies of others: within the training pictures, and of training pictures among those scored."""

from dataclasses import dataclass

import numpy as np

from job.learn.issues.base import TRAIN, Evidence, Issue


@dataclass(frozen=True)
class NearDuplicates:
    """Two pictures are near-duplicates where one is a copy of the other: the same, recompressed, scaled or mirrored
    (see `job.learn.twins`).

    The score is 1 less their distance in levels of grey, divided by `levels`. `other` is a training picture, so that a
    row of another split is a leak. Frames of one video are not listed, unless they are the same.
    """

    name: str = "near_duplicate"
    title: str = "Near-duplicates"
    note: str = (
        "The picture is a copy of a training picture: the same, recompressed, scaled or mirrored. Frames that follow "
        "each other in a video are not listed, alike as they are."
    )
    levels: float = 10.0

    def find(self, evidence: Evidence) -> list[Issue]:
        """The pairs of each split, the most alike first; leaks come before copies within the training pictures."""
        found = []
        for split, pairs in sorted(evidence.twins.items(), key=lambda own: own[0] == TRAIN):
            own, known = evidence.looks[split], evidence.looks["train"]
            order = np.lexsort((pairs.others, pairs.rows, pairs.distances))
            for row, other, distance in zip(
                pairs.rows[order].tolist(), pairs.others[order].tolist(), pairs.distances[order].tolist(), strict=True
            ):
                cat = evidence.categories[own.labels[row]]
                score = max(0.0, 1 - distance / self.levels)
                found.append(Issue(self.name, split, own.names[row], cat, score, other=known.names[other]))
        return found


NEAR_DUPLICATES = NearDuplicates()
