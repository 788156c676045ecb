"""What Spark's tasks did in an operation: from Spark's own status store, not by guess."""

from typing import TYPE_CHECKING, Any

from job.taskfigures import TaskFigures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_QUANTILES = (0.0, 0.5, 1.0)


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
