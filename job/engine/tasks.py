"""What Spark's tasks did in an operation, and what limited it: from Spark's own status store, not by guess."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_QUANTILES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class TaskFigures:
    """Of one operation: number of tasks; shortest, median and longest of its longest stage (seconds); time of all
    tasks together (seconds)."""

    tasks: int = 0
    partitions: int = 0
    shortest: float = 0.0
    median: float = 0.0
    longest: float = 0.0
    total: float = 0.0
    waited: float = 0.0
    """Seconds that all tasks together waited for the store."""

    @property
    def skew(self) -> float:
        """Longest task over the median one; 1 where there is nothing to compare."""
        return self.longest / self.median if self.median > 0 else 1.0

    def busy(self, seconds: float, cores: int) -> float:
        """Share of the cores' time in which tasks ran, 0 to 1."""
        return min(1.0, self.total / (seconds * cores)) if seconds > 0 else 0.0


def figures(spark: "SparkSession", group: str) -> TaskFigures:
    """Figures of the jobs of a job group, once Spark's listeners have heard of all of them."""
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    tracker, store = spark.sparkContext.statusTracker(), context.statusStore()
    stages = [
        _stage(spark, store, stage)
        for job in tracker.getJobIdsForGroup(group)
        if (info := tracker.getJobInfo(job))
        for stage in info.stageIds
    ]
    found = [stage for stage in stages if stage is not None]
    if not found:
        return TaskFigures()
    main = max(found, key=lambda stage: stage.total)
    return TaskFigures(
        sum(stage.tasks for stage in found),
        main.partitions,
        main.shortest,
        main.median,
        main.longest,
        sum(stage.total for stage in found),
    )


def _stage(spark: "SparkSession", store: Any, stage: int) -> TaskFigures | None:
    from py4j.protocol import Py4JJavaError

    try:
        data = store.lastStageAttempt(stage)
    except Py4JJavaError:  # skipped, or long gone from the store
        return None
    done = data.numCompleteTasks()
    if not done:
        return None
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    wanted = gateway.new_array(gateway.jvm.double, len(_QUANTILES))
    for place, quantile in enumerate(_QUANTILES):
        wanted[place] = quantile
    summary = store.taskSummary(stage, data.attemptId(), wanted)
    shortest, median, longest = (
        float(summary.get().executorRunTime().apply(place)) / 1000.0 if summary.isDefined() else 0.0
        for place in range(3)
    )
    return TaskFigures(done, data.numTasks(), shortest, median, longest, data.executorRunTime() / 1000.0)


def limited_by(tasks: TaskFigures, seconds: float, cores: int) -> str:
    """One sentence: what kept the operation from being faster."""
    if not tasks.tasks:
        return "Driver work: it ran no tasks."
    busy = tasks.busy(seconds, cores)
    if tasks.waited > 0.5 * tasks.total:
        return f"Waiting for the store: {tasks.waited / tasks.total:.0%} of the tasks' time."
    if tasks.partitions < cores and tasks.longest > 0.5 * seconds:
        return f"Too few tasks: {tasks.partitions} for {cores} cores, so {cores - tasks.partitions} had nothing to do."
    if tasks.longest > 0.5 * seconds and tasks.skew > 2.0:
        return f"Skew: the longest task took {tasks.longest:.2f} s, the median one {tasks.median:.2f} s."
    if busy >= 0.7:
        return f"The cores: busy {busy:.0%} of the time; more executors would make it faster."
    if tasks.longest < 0.5 * seconds:
        return f"Driver work and job starts: the tasks took {tasks.longest:.2f} of {seconds:.2f} s."
    return f"Start-up and waiting: the cores were busy {busy:.0%} of the time."
