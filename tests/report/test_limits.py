"""What limited an operation of a run, from a few figures of its tasks."""

import pytest

from job.report.limits import Account, estimate, limited_by, sentence
from job.taskfigures import TaskFigures


@pytest.mark.parametrize(
    ("tasks", "seconds", "cores", "said"),
    [
        (TaskFigures(), 1.0, 4, "Driver work: it has no tasks"),
        (TaskFigures(2, 2, 4.0, 4.5, 5.0, 9.0), 6.0, 8, "Too few tasks: 2 for 8 cores"),
        (TaskFigures(5, 5, 10.0, 10.0, 10.0, 50.0), 20.5, 4, "Too few tasks: 5 for 4 cores"),
        (TaskFigures(8, 8, 0.5, 1.0, 5.0, 12.0), 6.0, 4, "Skew: the longest task takes 5.00 s, the median one 1.00 s"),
        (TaskFigures(64, 64, 0.9, 1.0, 1.1, 64.0), 17.0, 4, "The cores, at work 94% of the time"),
        (TaskFigures(4, 4, 0.1, 0.1, 0.2, 0.5), 3.0, 4, "Driver work and job starts: no task runs (93%"),
        (TaskFigures(8, 8, 1.0, 1.0, 1.0, 8.0, waited=7.0), 2.0, 4, "Waiting for the store: "),
    ],
)
def test_the_sentence_says_what_limited_an_operation(tasks, seconds, cores, said):
    found = limited_by(tasks, seconds, cores)
    assert found.startswith(said)
    assert found.endswith(".")


@pytest.mark.parametrize("seconds", [0.0, 3.0, 7.0])
def test_the_estimated_account_adds_up_to_the_time_of_all_cores(seconds):
    found = estimate(TaskFigures(6, 6, 0.5, 1.0, min(2.5, seconds), min(7.0, 4 * seconds), waited=0.5), seconds, 4)
    parts = (found.worked, found.waited, found.start_up, found.few_tasks, found.skew, found.driver)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(4 * seconds)


def test_an_account_without_time_has_shares_of_nothing():
    assert set(Account().shares().values()) == {0.0}


def test_start_up_is_told_where_it_is_known():
    assert sentence(Account(worked=1.0, start_up=9.0), TaskFigures(4, 4, 1, 1, 1, 4), 4).startswith("Start-up: ")
