"""Work that is done again, each picture apart, after a worker has ended."""

import pytest

from job.engine.crashes import apart_after_a_crash, tried_again


class Work:
    def __init__(self, *errors: Exception) -> None:
        self.errors, self.asked = list(errors), []

    def __call__(self, *, apart: bool) -> str:
        self.asked.append(apart)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


CRASH = RuntimeError("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)")
WHILE_WRITTEN_TO = RuntimeError("Lost task 0.0 in stage 3.0 (TID 7): java.net.SocketException: Broken pipe")


def test_work_that_ends_well_is_done_once():
    work = Work()
    assert (apart_after_a_crash(work), work.asked) == ("done", [False])


@pytest.mark.parametrize("error", [CRASH, WHILE_WRITTEN_TO], ids=["while read from", "while written to"])
def test_after_a_crash_it_is_done_apart_once(error):
    work = Work(error)
    assert (apart_after_a_crash(work), work.asked) == ("done", [False, True])


def test_a_crash_of_work_done_apart_is_raised():
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        apart_after_a_crash(Work(CRASH, CRASH))


def test_other_errors_are_raised():
    work = Work(ValueError("of the work itself"))
    with pytest.raises(ValueError, match="of the work itself"):
        apart_after_a_crash(work)
    assert work.asked == [False]


def test_in_the_driver_no_task_was_tried():
    assert not tried_again()
