"""What a run is, once it is over: one frozen record, from which outputs and report are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from job import dataset
from job.experiment.clock import Step, timings
from job.experiment.extract import Extracted
from job.experiment.fit import Encoded, Fitted
from job.experiment.issues import DataIssues
from job.experiment.recipe import Recipe
from job.experiment.rounds import Row
from job.experiment.score import Scores
from job.learn.curve import Point
from job.report.html import Pictures
from job.report.limits import limited_by

# Operations of which nothing is said in the analysis of tasks: they have none, or all of them.
_NOT_ANALYSED = ("start_spark", "total")


@dataclass(frozen=True)
class Split:
    """One split of a run: its pictures, as they were listed, described and encoded."""

    images: dataset.Images
    extracted: Extracted
    encoded: Encoded


class Leaks(NamedTuple):
    """How many of the pictures scored are copies of training pictures, and the accuracy of the others; None of none."""

    copies: int
    pictures: int
    accuracy: float | None


@dataclass(frozen=True)
class RunResult:
    """All that a run found.

    Attributes
    ----------
    name
        The run's name.
    settings
        All settings as JSON values, secrets hidden.
    recipe
        The plan.
    versions
        Versions of what computed.
    cores
        Cores that ran tasks.
    splits
        The splits by name, in their order.
    fitted
        What was learned.
    rounds
        How it and simpler recipes did in the rounds of the protocol; empty for the standard one.
    scores
        How it did on the scored split; None where nothing was classified.
    steps
        What each operation took, in the order in which they ended.
    issues
        What may be wrong with the pictures.
    curve
        Accuracy by pictures of a category that were learned from; empty unless asked for.
    settings_from
        Where each setting is from: "flag", "environment", "file", "preset" or "default".
    pictures
        Photographs for the report.

    """

    name: str
    settings: Mapping[str, Any]
    recipe: Recipe
    versions: Mapping[str, Any]
    cores: int
    splits: Mapping[str, Split]
    fitted: Fitted
    scores: Scores | None
    rounds: tuple[Row, ...]
    steps: tuple[Step, ...]
    issues: DataIssues = field(default_factory=DataIssues)
    curve: tuple[Point, ...] = ()
    settings_from: Mapping[str, str] = field(default_factory=dict)
    pictures: Pictures = field(default_factory=Pictures)

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end."""
        return next(step.seconds for step in self.steps if step.operation == "total")

    @property
    def accuracy(self) -> float | None:
        """Share of the scored pictures that were given their own category; None where nothing was classified."""
        return None if self.scores is None else self.scores.accuracy

    def rejected(self) -> pa.Table:
        """`path, reason` of the pictures of all splits that could not be used."""
        return pa.concat_tables([split.extracted.rejected for split in self.splits.values()]).combine_chunks()

    def leaks(self) -> Leaks | None:
        """What the copies of training pictures among those scored do to the accuracy; None where there are none."""
        if self.scores is None or not self.issues.leaks():
            return None
        copied = pc.is_in(self.scores.predictions["ima"], pa.array(list(self.issues.leaks()), pa.string()))
        others = self.scores.predictions.filter(pc.invert(copied))
        right = pc.mean(pc.equal(others["cat"], others["predicted_cat"])).as_py()
        return Leaks(len(self.issues.leaks()), self.scores.predictions.num_rows, right)

    def timings(self) -> pa.Table:
        """`operation, split, seconds, tasks, partitions`."""
        return timings(self.steps)

    def analysis(self) -> pa.Table:
        """For each operation what its tasks did, and what limited it."""
        return pa.Table.from_pylist(
            [
                {
                    "operation": step.operation,
                    "split": step.split,
                    "tasks": step.tasks.tasks,
                    "min_s": step.tasks.shortest,
                    "median_s": step.tasks.median,
                    "max_s": step.tasks.longest,
                    "skew": step.tasks.skew,
                    "busy": step.tasks.busy(step.seconds, self.cores),
                    "waited_s": step.tasks.waited,
                    "limited_by": limited_by(step.tasks, step.seconds, self.cores),
                }
                for step in self.steps
                if step.operation not in _NOT_ANALYSED
            ]
        )
