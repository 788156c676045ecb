import time

import pytest

from job.engine.status import figures
from job.report.limits import limited_by
from job.taskfigures import TaskFigures

# ---- what limited an operation


@pytest.mark.parametrize(
    ("tasks", "seconds", "cores", "said"),
    [
        (TaskFigures(), 1.0, 4, "Driver work"),
        (TaskFigures(2, 2, 4.0, 4.5, 5.0, 9.0), 6.0, 8, "Too few tasks: 2 for 8 cores, so 6 had nothing to do"),
        (TaskFigures(8, 8, 0.5, 1.0, 5.0, 12.0), 6.0, 4, "Skew: the longest task took 5.00 s, the median one 1.00 s"),
        (TaskFigures(64, 64, 0.9, 1.0, 1.1, 64.0), 17.0, 4, "The cores: busy 94%"),
        (TaskFigures(4, 4, 0.1, 0.1, 0.2, 0.5), 3.0, 4, "Driver work and job starts: the tasks took 0.20 of 3.00 s"),
        (TaskFigures(8, 8, 1.0, 1.0, 1.2, 8.0, 6.0), 2.1, 4, "Waiting for the store: 75% of the tasks' time"),
        (TaskFigures(4, 4, 1.0, 1.0, 1.2, 4.4), 2.0, 4, "Start-up and waiting: the cores were busy 55%"),
    ],
)
def test_what_kept_an_operation_from_being_faster_is_told_in_a_sentence(tasks, seconds, cores, said):
    sentence = limited_by(tasks, seconds, cores)
    assert sentence.startswith(said)
    assert sentence.endswith(".")


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
