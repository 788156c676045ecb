"""How far an operation is, told while it runs, by Spark's own figures."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from job.engine.progress import Watch
from job.experiment.clock import Clock
from job.report.advance import Advance


class Told:
    """Keeps what it is told."""

    period: float | None = 0.05

    def __init__(self, go: Path | None = None, wanted: Callable[[Advance], bool] = bool) -> None:
        """Makes the file `go` once it is told what is wanted."""
        self.found: list[Advance] = []
        self.settled = 0
        self._go, self._wanted = go, wanted

    def advance(self, found: Advance) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.found.append(found)
        if self._go and self._wanted(found):
            self._go.touch()

    def settle(self) -> None:
        self.settled += 1


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that the last task waits for."""
    return tmp_path / "go"


@pytest.fixture
def held(go: Path):
    """Makes work of tasks, of which that with the number `last` waits. Made here, so that workers need not import this
    module."""

    def make(last: int):
        def work(batches):
            for batch in batches:
                limit = time.monotonic() + 120
                while last in batch["id"].to_pylist() and not go.exists() and time.monotonic() < limit:
                    time.sleep(0.02)
                yield batch

        return work

    return make


def test_tasks_that_are_done_are_told_of_all_tasks_with_pictures_a_second(held, go, spark):
    told = Told(go, lambda found: 0 < found.done < 6)
    with Clock(watcher=told).operation("extract", "train", spark, pictures=600):
        spark.range(0, 60, 1, numPartitions=6).mapInArrow(held(59), "id long").toArrow()
    assert told.settled == 1
    halfway = [one for one in told.found if 0 < one.done < 6]
    assert halfway
    for one in halfway:
        assert (one.operation, one.split, one.of, one.unit) == ("extract", "train", 6, "tasks")
        assert one.rate == pytest.approx(100 * one.done / one.seconds)
        assert one.left == pytest.approx(one.seconds * (6 - one.done) / one.done)
    assert [one.done for one in told.found] == sorted(one.done for one in told.found)


def test_tasks_of_other_operations_are_not_counted(held, go, spark):
    told = Told(go, lambda found: found.of > 0)
    clock = Clock(watcher=told)
    spark.sparkContext.setJobGroup("others", "others")
    spark.range(0, 10, 1, numPartitions=5).mapInArrow(held(-1), "id long").toArrow()
    with clock.operation("extract", "test", spark):
        spark.range(0, 10, 1, numPartitions=3).mapInArrow(held(9), "id long").toArrow()
    assert {one.of for one in told.found} <= {0, 3}
    assert told.found[-1].of == 3


def test_an_operation_without_tasks_tells_that_it_is_alive():
    told = Told()
    with Clock(watcher=told).operation("fit_vocabulary", "train"):
        until(lambda: len(told.found) > 1)
    first, second = told.found[:2]
    assert (first.done, first.of, first.rate, first.left) == (0, 0, None, None)
    assert first.seconds < second.seconds


def test_parts_that_are_no_tasks_are_told_where_the_work_counts_them():
    told, done = Told(), [0]
    with Clock(watcher=told).operation("cross_validate", "rung 1") as finding:
        finding.parts = lambda: (done[0], 4, "candidates")
        done[0] = 3
        until(lambda: bool(told.found) and told.found[-1].done == 3)
    assert (told.found[-1].of, told.found[-1].unit) == (4, "candidates")


def test_of_operations_within_another_the_inner_one_is_told():
    told = Told()
    clock = Clock(watcher=told)
    with clock.operation("score_winner", "test"):
        until(lambda: bool(told.found))
        with clock.aside().operation("extract_descriptors", "test"):
            del told.found[:]
            until(lambda: len(told.found) > 3)
            assert {one.operation for one in told.found[1:]} == {"extract_descriptors"}
        del told.found[:]
        until(lambda: len(told.found) > 3)
        assert {one.operation for one in told.found[1:]} == {"score_winner"}
    assert [step.operation for step in clock.steps] == ["score_winner"], "what is aside is no step"


def test_a_failure_is_the_operation_s_own_and_nothing_is_told_after_it():
    told = Told()

    def fail() -> None:
        with Clock(watcher=told).operation("fit", "train"):
            until(lambda: bool(told.found))
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert told.settled == 1
    count = len(told.found)
    time.sleep(4 * 0.05)
    assert len(told.found) == count


def test_who_does_not_want_to_know_is_not_told(spark):
    told = Told()
    told.period = None
    with Clock(watcher=told).operation("fit", "train", spark):
        assert not [thread for thread in threading.enumerate() if thread.name == "progress"]
    assert (told.found, told.settled) == ([], 0)


def test_a_watch_of_a_group_counts_its_jobs_together(spark):
    spark.sparkContext.setJobGroup("both", "both")
    watch = Watch(spark, "both")
    for partitions in (3, 4):
        spark.range(0, 10, 1, numPartitions=partitions).mapInArrow(lambda batches: batches, "id long").toArrow()
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    works = watch.look()
    assert sum(work.tasks for work in works) == sum(work.done for work in works) == 7
    assert watch.look() == works, "what has ended is not asked for again"
