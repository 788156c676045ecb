"""What limited an operation: where the time of its cores went, and one sentence about the largest part of that.

The report of a run and the tables of `fruits benchmark` say it by the same function `sentence`. They differ in what
they know: a benchmark has every task's times from Spark's event log (`job.benchmark.limits`), a run has a few figures
of all tasks together (`estimate`).
"""

import math
from dataclasses import asdict, dataclass

from job.taskfigures import TaskFigures

# From this share of the cores' time on, work counts as what limits: nothing else could be improved by much.
_ENOUGH = 0.7
# Up to this ratio of the longest task to the median one, tasks count as equally long.
_EVEN = 1.5


@dataclass(frozen=True)
class Account:
    """Core-seconds of an operation. Together they are its seconds times its cores.

    Attributes
    ----------
    worked
        Tasks did what they are for.
    waited
        Tasks waited for the store.
    start_up
        Tasks loaded classes and their code, and started a Python worker.
    few_tasks
        Cores had no task, because there were fewer tasks than cores, or fewer in the last round.
    skew
        Cores had no task, while one that took longer than the others went on.
    driver
        No task ran at all.

    """

    worked: float = 0.0
    waited: float = 0.0
    start_up: float = 0.0
    few_tasks: float = 0.0
    skew: float = 0.0
    driver: float = 0.0

    def shares(self) -> dict[str, float]:
        """Each part's share of the whole, 0 to 1."""
        parts = asdict(self)
        whole = sum(parts.values()) or 1.0
        return {name: value / whole for name, value in parts.items()}


def idle(tasks: int, median: float, longest: float, span: float, taken: float, cores: int) -> tuple[float, float]:
    """Core-seconds without a task while a stage ran, as (for want of tasks, because one task was longer than others).

    The stage has this number of tasks, which took `taken` seconds together, the median and the longest one as given;
    from the first to the last of them passed `span` seconds.
    """
    missing = max(0, cores - tasks) * span
    rest = max(0.0, cores * span - taken - missing)
    last_round = longest <= _EVEN * median and tasks > cores and tasks % cores != 0
    return (missing + rest, 0.0) if last_round else (missing, rest)


def estimate(tasks: TaskFigures, seconds: float, cores: int) -> Account:
    """The account of an operation of `seconds` on `cores`, of whose tasks only these figures are known.

    The tasks' start-up is not among the figures, so that it counts as the driver's time.
    """
    waited = min(tasks.waited, tasks.total)
    rounds = math.ceil(tasks.partitions / cores)
    span = min(seconds, max(tasks.longest, tasks.total / cores, rounds * tasks.median))
    few, skew = idle(tasks.partitions, tasks.median, tasks.longest, span, tasks.total, cores)
    return Account(tasks.total - waited, waited, 0.0, few, skew, cores * max(0.0, seconds - span))


def sentence(account: Account, tasks: TaskFigures, cores: int) -> str:
    """What limits the operation, and by how much of the cores' time."""
    if not tasks.tasks:
        return "Driver work: it has no tasks, so that executors do not matter."
    shares = account.shares()
    if shares["worked"] >= _ENOUGH:
        return f"The cores, at work {shares['worked']:.0%} of the time: more executors make it faster."
    said = {
        "few_tasks": f"Too few tasks: {tasks.partitions} for {cores} cores, so that cores stand idle",
        "skew": f"Skew: the longest task takes {tasks.longest:.2f} s, the median one {tasks.median:.2f} s, and cores "
        "wait for it",
        "waited": "Waiting for the store: tasks have no picture to work on",
        "driver": "Driver work and job starts: no task runs",
        "start_up": "Start-up: tasks load classes and start Python workers",
    }
    worst = max(said, key=shares.__getitem__)
    return f"{said[worst]} ({shares[worst]:.0%} of the cores' time)."


def limited_by(tasks: TaskFigures, seconds: float, cores: int) -> str:
    """What limited an operation of a run: the sentence about its estimated account."""
    return sentence(estimate(tasks, seconds, cores), tasks, cores)
