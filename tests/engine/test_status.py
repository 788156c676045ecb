import time

import pytest

from job.engine.status import figures
from job.taskfigures import TaskFigures


def test_skew_is_the_longest_task_over_the_median_one():
    assert TaskFigures(3, 3, 1.0, 2.0, 6.0, 9.0).skew == 3.0
    assert TaskFigures().skew == 1.0


def test_cores_are_busy_for_the_share_of_their_time_that_tasks_took():
    assert TaskFigures(total=6.0).busy(seconds=3.0, cores=4) == 0.5
    assert TaskFigures(total=99.0).busy(seconds=3.0, cores=4) == 1.0
    assert TaskFigures(total=1.0).busy(seconds=0.0, cores=4) == 0.0


# ---- what Spark says


@pytest.fixture
def slow():
    """Hands rows on; the last of ten numbers takes longer. Made here, so that workers need not import this module."""

    def work(batches):
        for batch in batches:
            time.sleep(1.0 if 9 in batch["id"].to_pylist() else 0.05)
            yield batch

    return work


def test_figures_are_those_of_the_jobs_of_a_group(slow, spark):
    frame = spark.range(0, 10, 1, numPartitions=5)
    spark.sparkContext.setJobGroup("others", "others")
    frame.count()
    spark.sparkContext.setJobGroup("mine", "mine")
    start = time.perf_counter()
    assert frame.mapInArrow(slow, "id long").toArrow().num_rows == 10
    seconds = time.perf_counter() - start
    found = figures(spark, "mine")
    assert (found.tasks, found.partitions) == (5, 5)
    assert found.shortest <= found.median <= found.longest
    assert 1.0 <= found.longest <= seconds
    assert found.longest <= found.total <= 2 * seconds
    assert found.shortest < found.longest


def test_jobs_of_one_group_are_added_up(slow, spark):
    spark.sparkContext.setJobGroup("twice", "twice")
    for partitions in (3, 4):
        spark.range(0, 10, 1, numPartitions=partitions).mapInArrow(slow, "id long").toArrow()
    assert figures(spark, "twice").tasks == 7


def test_a_group_without_jobs_has_no_figures(spark):
    assert figures(spark, "nothing") == TaskFigures()
