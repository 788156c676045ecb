"""One candidate's work in a task: its trainings, what they score, and what a picture costs. Imports no Spark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from job.experiment.tuning.plan import Training
from job.learn import trials
from job.learn.encodings.base import Codebook, Encoding
from job.threads import Threads
from job.vision.descriptors.base import Descriptor

Gathered = Mapping[tuple[int, str], NDArray[Any]]
"""Vectors by number of the block and variant, (n, width)."""


@dataclass(frozen=True)
class Part:
    """A block of a candidate: what describes and encodes it, and what was learned for it."""

    descriptor: Descriptor
    encoding: Encoding
    codebook: Codebook


@dataclass(frozen=True)
class Trial:
    """A candidate's trainings in one rung.

    Attributes
    ----------
    parts
        Its blocks.
    how
        What is learned from their vectors.
    copies
        The variants of its changed copies.
    mask, max_bytes
        How a picture is decoded.
    labels
        int64 (n,): the label of each picture of the rung.
    trainings
        What is learned from and scored; rows are numbers of pictures.
    disturbed
        By disturbance the rows of its pictures, in the order of their vectors.

    """

    parts: tuple[Part, ...]
    how: trials.How
    copies: tuple[str, ...]
    mask: bool
    max_bytes: int
    labels: NDArray[np.int64]
    trainings: tuple[Training, ...]
    disturbed: Mapping[str, NDArray[np.intp]]

    def work(self, vectors: Callable[[], Gathered], contents: Sequence[bytes]) -> dict[str, Any]:
        """What the trainings found, as JSON values: `folds`, a result for each; `milliseconds` a picture of `contents`
        takes, None where there are none; `bytes` of the model."""
        found = vectors()
        count = len(self.labels)
        # pictures as they are come first, then all of each copy
        variants = ["", *self.copies]
        whole = [np.concatenate([found[place, name] for name in variants]) for place in range(len(self.parts))]
        labels = np.tile(self.labels, len(variants))
        weights = None
        if self.copies:
            weights = np.repeat([1.0, 1.0 / len(self.copies)], [count, count * len(self.copies)])

        def rows(chosen: NDArray[np.intp]) -> list[NDArray[Any]]:
            return [block[chosen] for block in whole]

        chosen = [
            np.concatenate([training.rows + count * number for number in range(len(variants))])
            for training in self.trainings
        ]
        learned = trials.learn(self.how, rows, labels, weights, chosen)
        results = [
            self._scored(training, one, rows, found) for training, one in zip(self.trainings, learned, strict=True)
        ]
        return {
            "folds": results,
            "milliseconds": self.milliseconds(learned[0], contents) if contents else None,
            "bytes": learned[0].bytes + self.words_bytes,
        }

    @property
    def words_bytes(self) -> int:
        """Bytes of what the blocks have learned."""
        return sum(array.nbytes for part in self.parts for array in part.codebook.arrays.values())

    def _scored(
        self, training: Training, learned: trials.Learned, rows: trials.Rows, found: Gathered
    ) -> dict[str, Any]:
        """What a training scores: right ones and pictures of each category, by round and split."""
        splits = []
        begun = perf_counter()
        with Threads():
            for part in training.scored:
                if part.disturbance and len(part.rows):
                    known = self.disturbed[part.disturbance]
                    places = np.searchsorted(known, part.rows)
                    blocks = [found[place, part.disturbance][places] for place in range(len(self.parts))]
                    predicted = learned.labels(blocks)
                else:
                    predicted = learned.predicted(rows, part.rows)
                true = self.labels[part.rows]
                pictures = np.bincount(true, minlength=self.how.categories)
                right = np.bincount(true[predicted == true], minlength=self.how.categories)
                splits.append({"split": part.split, "right": right.tolist(), "pictures": pictures.tolist()})
        return {
            "fold": training.fold,
            "round": training.round,
            "trained_on": len(training.rows),
            "splits": splits,
            "fit_seconds": learned.seconds,
            "score_seconds": perf_counter() - begun,
        }

    def milliseconds(self, learned: trials.Learned, contents: Sequence[bytes]) -> float | None:
        """Milliseconds of one core in which a picture is decoded, described, encoded and classified, with nothing
        shared with other candidates: the median."""
        from job.vision.picture import Picture
        from job.vision.pixels import Unusable

        taken = []
        with Threads():
            for number, content in enumerate([contents[0], *contents]):
                begun = thread_time()
                try:
                    picture = Picture.decode(content, self.max_bytes, mask=self.mask)
                    blocks = [self._vector(part, picture) for part in self.parts]
                except Unusable:
                    continue
                learned.labels(blocks)
                if number:  # the first one warms what it meets
                    taken.append(thread_time() - begun)
        return 1000 * float(np.median(taken)) if taken else None

    @staticmethod
    def _vector(part: Part, picture: Any) -> NDArray[Any]:
        rows = part.descriptor.unpack(part.descriptor.describe(picture))
        return part.encoding.encode(rows, np.zeros(len(rows), np.int64), 1, part.codebook)
