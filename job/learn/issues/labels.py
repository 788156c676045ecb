"""Pictures whose category is probably wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from job.learn.issues.base import Evidence, Issue, Rows


def quality(chances: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """How well labels (n,) fit probabilities (n, C): float64 (n,), 0 to 1.

    It is the normalized margin, (p(label) - max p(other label) + 1) / 2, of cleanlab's `rank.get_label_quality_scores`
    (Kuan and Mueller, Model-agnostic label quality scoring to detect real-world label errors, 2022).
    """
    own = np.take_along_axis(chances, labels[:, None], axis=1)[:, 0]
    others = chances.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    return np.asarray((own - others.max(axis=1) + 1) / 2, np.float64)


@dataclass(frozen=True)
class Labels:
    """A label is probably wrong where another category is more probable than it by at least `margin`, by a classifier
    that has not learned from the picture (nor from those that are nearly the same, see `job.learn.out_of_fold`).

    The score is 1 less the label's quality.
    """

    name: str = "label"
    title: str = "Likely wrong labels"
    note: str = (
        "Another category is far more probable than the picture's own, by a classifier that has not learned from it. "
        "Some of them are hard pictures and not wrong ones: look before you move any."
    )
    margin: float = 0.5

    def find(self, evidence: Evidence) -> list[Issue]:
        """The pictures of all splits, the surest first."""
        found = [issue for split, rows in evidence.judged().items() for issue in self._of(split, rows, evidence)]
        return sorted(found, key=lambda issue: -issue.score)

    def _of(self, split: str, rows: Rows, evidence: Evidence) -> list[Issue]:
        chances = np.asarray(rows.values, np.float64)
        if not len(chances) or chances.shape[1] < 2:
            return []
        known = np.flatnonzero(~np.isnan(chances[:, 0]))
        scores = quality(chances[known], rows.labels[known])
        best = chances[known].argmax(axis=1)
        return [
            Issue(
                self.name,
                split,
                rows.names[known[place]],
                evidence.categories[rows.labels[known[place]]],
                1 - float(scores[place]),
                suggested=evidence.categories[best[place]],
            )
            for place in np.flatnonzero(scores <= (1 - self.margin) / 2).tolist()
        ]


LABELS = Labels()
