"""Candidates one after another, each fitted by all executors, where their vectors are too many for one place.

This is what `fruits run` does with a large table. Words are those that all candidates share, learned once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job.experiment.clock import Clock
from job.experiment.extract import Extracted, Partitioning, extract
from job.experiment.fit import Fitted, encode, fit
from job.experiment.recipe import Recipe
from job.experiment.score import score
from job.experiment.tuning.plan import Pictures, Scored
from job.experiment.tuning.trial import Trial
from job.learn import trials

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from job.stages import VisualVocabularyModel


@dataclass(frozen=True)
class Apart:
    """A candidate's trainings in one rung, by the executors.

    Attributes
    ----------
    spark
        The session.
    recipe
        The candidate.
    trial
        The same as it would be in a task.
    extracted
        All training pictures, described, with the candidate's own copies.
    encoders
        What its blocks have learned, in their places.
    pictures
        The pictures in their folds.
    partitioning
        How pictures are spread over tasks.

    """

    spark: "SparkSession"
    recipe: Recipe
    trial: Trial
    extracted: Extracted
    encoders: tuple["VisualVocabularyModel", ...]
    pictures: Pictures
    partitioning: Partitioning

    def work(self, contents: Sequence[bytes]) -> dict[str, Any]:
        """What `Trial.work` finds."""
        results: list[dict[str, Any]] = []
        milliseconds, size = None, 0
        for training in self.trial.trainings:
            begun = perf_counter()
            train = self._part(training.rows)
            fitted = fit(train, self.recipe, cores=self.partitioning.cores, clock=Clock(), encoders=self.encoders)
            seconds = perf_counter() - begun
            found = {"fold": training.fold, "round": training.round, "trained_on": len(training.rows)}
            splits = [self._scored(fitted, part) for part in training.scored]
            score_seconds = perf_counter() - begun - seconds
            results.append({**found, "splits": splits, "fit_seconds": seconds, "score_seconds": score_seconds})
            if training is self.trial.trainings[0]:
                learned = self._learned(fitted)
                milliseconds = self.trial.milliseconds(learned, contents) if contents else None
                size = learned.bytes + self.trial.words_bytes
            fitted.train.bags.unpersist()
        return {"folds": results, "milliseconds": milliseconds, "bytes": size}

    def _part(self, rows: Iterable[int], *, plain: bool = False) -> Extracted:
        """The described pictures with these numbers; `plain` without their copies."""
        names = sorted(self.pictures.names[row] for row in rows)
        places = {name: place for place, name in enumerate(self.extracted.images.table["ima"].to_pylist())}
        images = self.extracted.images.take(np.array([places[name] for name in names]))
        frame = _only(self.extracted.frame, names)
        if plain and "copy" in frame.columns:
            frame = frame.where("copy = 0").drop("copy")
        return replace(self.extracted, images=images, frame=frame, described=len(names))

    def _scored(self, fitted: Fitted, part: Scored) -> dict[str, Any]:
        """Right ones and pictures of each category."""
        count = len(fitted.categories)
        right, pictures = np.zeros(count, np.int64), np.zeros(count, np.int64)
        if len(part.rows):
            test = self._disturbed(part) if part.disturbance else self._part(part.rows, plain=True)
            encoded = encode(fitted, test, cores=self.partitioning.cores, clock=Clock())
            table = score(fitted, encoded, part.split, spark=self.spark, clock=Clock()).predictions
            true, predicted = (table[name].to_numpy().astype(np.int64) for name in ("label", "prediction"))
            pictures = np.bincount(true, minlength=count)
            right = np.bincount(true[true == predicted], minlength=count)
            encoded.bags.unpersist()
        return {"split": part.split, "right": right.tolist(), "pictures": pictures.tolist()}

    def _disturbed(self, part: Scored) -> Extracted:
        images = self._part(part.rows).images
        images = replace(images, split="test")
        disturbance = part.disturbance
        return extract(self.spark, images, self.recipe, self.partitioning, clock=Clock(), disturbance=disturbance)

    def _learned(self, fitted: Fitted) -> trials.Learned:
        assert fitted.classifier is not None
        return trials.Learned(
            self.trial.how,
            None if fitted.scaler is None else fitted.scaler.fitted,
            None if fitted.reducer is None else fitted.reducer.projection,
            fitted.classifier.trained,
            0.0,
        )


def _only(frame: "DataFrame", names: Sequence[str]) -> "DataFrame":
    """The rows of these pictures."""
    wanted = frame.sparkSession.sparkContext.broadcast(list(names))

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = pa.array(wanted.value, pa.string())
        for batch in batches:
            yield batch.filter(pc.is_in(batch["ima"], known))

    return frame.mapInArrow(work, frame.schema)
