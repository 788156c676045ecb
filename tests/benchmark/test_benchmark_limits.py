"""Where the cores' time went, from the tasks alone."""

import pytest

from job.benchmark import limits
from job.benchmark.events import Task


def tasks(*lengths: float, start_up: float = 0.0, stage: int = 0, cores: int = 4, begin: float = 0.0) -> list[Task]:
    """Tasks one after the other on the core that is free first."""
    free = [begin] * cores
    made = []
    for length in lengths:
        core = free.index(min(free))
        made.append(
            Task("extract_descriptors", "train", stage, str(core), free[core], free[core] + length, length - start_up)
        )
        free[core] += length
    return made


@pytest.mark.parametrize(
    ("own", "seconds", "cores", "waited", "said"),
    [
        # the prototype's: 5 partitions on 8 and on 16 cores
        (tasks(*[10.0] * 5, cores=8), 10.5, 8, 0.0, "Too few tasks: 5 for 8 cores"),
        (tasks(*[10.0] * 5, cores=16), 10.5, 16, 0.0, "Too few tasks: 5 for 16 cores"),
        # and on 4, where the last round has one task
        (tasks(*[10.0] * 5, cores=4), 20.5, 4, 0.0, "Too few tasks: 5 for 4 cores"),
        (tasks(10.0, 1.0, 1.0, 1.0), 10.5, 4, 0.0, "Skew: the longest task takes 10.00 s, the median one 1.00 s"),
        (tasks(*[1.0] * 8), 8.0, 4, 0.0, "Driver work and job starts: no task runs (75%"),
        (tasks(*[1.0] * 4, start_up=0.9), 1.1, 4, 0.0, "Start-up: "),
        (tasks(*[5.0] * 8), 10.2, 4, 30.0, "Waiting for the store: "),
        (tasks(*[5.0] * 8), 10.2, 4, 0.0, "The cores, at work 98% of the time"),
        ([], 3.0, 4, 0.0, "Driver work: it has no tasks"),
    ],
)
def test_what_limits_an_operation_is_told_with_its_share(own, seconds, cores, waited, said):
    found = limits.sentence(own, seconds, cores, waited)
    assert found.startswith(said)
    assert found.endswith(".")


def test_the_account_adds_up_to_the_time_of_all_cores():
    own = [*tasks(3.0, 2.0, 2.5, start_up=0.5), *tasks(*[1.0] * 6, stage=1, begin=4.0)]
    found = limits.account(own, seconds=8.0, cores=4, waited=1.0)
    parts = (found.worked, found.waited, found.start_up, found.few_tasks, found.skew, found.driver)
    assert sum(parts) == pytest.approx(8.0 * 4)
    assert all(part >= 0 for part in parts)
    assert found.start_up == pytest.approx(1.5)
    assert sum(found.shares().values()) == pytest.approx(1.0)
