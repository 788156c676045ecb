"""The one clock: what each operation of an experiment took, and what Spark's tasks did in it."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from job.engine.status import figures
from job.experiment.follower import Follower, Parts, Watcher
from job.report import tables
from job.taskfigures import TaskFigures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Job groups of one session carry these numbers, so that two experiments in one session never share a group.
_GROUPS = itertools.count(1)


@dataclass(frozen=True)
class Step:
    """What one operation did on one split.

    Attributes
    ----------
    operation, split
        Names, as `timings.csv` has them.
    seconds
        Wall time.
    tasks
        What Spark's tasks did; no tasks where Spark did nothing.
    facts
        What was found: counts, dimensions, accuracy, in the order in which they are shown.
    preview
        The first rows of what was made, or None.

    """

    operation: str
    split: str
    seconds: float
    tasks: TaskFigures = field(default_factory=TaskFigures)
    facts: Mapping[str, Any] = field(default_factory=dict)
    preview: pa.Table | None = None


Listener = Callable[[Step], None]


class Clock:
    """Times operations and tells each finished one to a listener.

    Parameters
    ----------
    told
        Is called with each finished step.
    begun
        `time.perf_counter()` at the start of the whole; now, unless given.
    watcher
        Is told how far an operation is while it runs.

    """

    def __init__(
        self, told: Listener | None = None, begun: float | None = None, watcher: Watcher | None = None
    ) -> None:
        self.begun = time.perf_counter() if begun is None else begun
        self.steps: list[Step] = []
        self._told, self._watcher = told, watcher
        self._at_work: list[Follower] = []

    def aside(self) -> "Clock":
        """A clock for parts of an operation, whose steps are told to nobody; how far they are is."""
        other = Clock(watcher=self._watcher)
        other._at_work = self._at_work
        return other

    @contextmanager
    def operation(
        self, name: str, split: str, spark: "SparkSession | None" = None, *, pictures: int | None = None
    ) -> Iterator["Finding"]:
        """Time the block. The caller adds what it found to the yielded `Finding`.

        `pictures` is the number of pictures that Spark's tasks work on, where the block makes one pass over them.
        """
        group = f"{name} {split} {next(_GROUPS)}"
        if spark is not None:
            spark.sparkContext.setJobGroup(group, f"{name} {split}")
        found = Finding()
        start = time.perf_counter()
        with self._followed(name, split, spark, group, found, pictures):
            yield found
        seconds = time.perf_counter() - start
        tasks = figures(spark, group) if spark is not None else TaskFigures()
        if found.waited is not None:
            tasks = replace(tasks, waited=found.waited())
        facts = found.facts(tasks) if callable(found.facts) else found.facts
        step = Step(name, split, seconds, tasks, facts, found.preview)
        self.steps.append(step)
        if self._told is not None:
            self._told(step)

    def _followed(
        self,
        name: str,
        split: str,
        spark: "SparkSession | None",
        group: str,
        found: "Finding",
        pictures: int | None,
    ) -> AbstractContextManager[object]:
        if self._watcher is None or self._watcher.period is None:
            return nullcontext()
        return Follower(
            self._watcher,
            name,
            split,
            spark,
            group,
            pictures=pictures,
            parts=lambda: found.parts,
            stack=self._at_work,
        )

    def total(self) -> Step:
        """The step `total`: the time since the clock began. It is kept, and told to nobody."""
        step = Step("total", "all", time.perf_counter() - self.begun)
        self.steps.append(step)
        return step


@dataclass
class Finding:
    """What the caller of an operation reports: facts (or a function from the tasks' figures to them), first rows, and
    where tasks wait for a store, a function that gives the seconds for which they did. While it runs, `parts` says how
    many parts are done, of how many, and what one is called, where Spark's tasks are not the parts."""

    facts: Mapping[str, Any] | Callable[[TaskFigures], Mapping[str, Any]] = field(default_factory=dict)
    preview: pa.Table | None = None
    waited: Callable[[], float] | None = None
    parts: Parts | None = None


def timings(steps: Iterable[Step]) -> pa.Table:
    """`operation, split, seconds, tasks, partitions` of each step, as `timings.csv` has them."""
    return tables.timings_table(
        (step.operation, step.split, step.seconds, step.tasks.tasks or None, step.tasks.partitions or None)
        for step in steps
    )
