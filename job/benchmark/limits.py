"""Where the cores' time of an operation went, from the figures of its tasks, and so what limits it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from job.benchmark.events import Task

_ENOUGH = 0.7
_EVEN = 1.5


@dataclass(frozen=True)
class Account:
    """Core-seconds of an operation; together they are its seconds times the cores.

    worked: tasks did what they are for; waited: of that, for the store; start_up: tasks loaded classes, their code, a
    Python worker; few_tasks: cores had none, as there were fewer tasks than cores, or a last round with fewer;
    skew: cores had none while a task longer than the others went on; driver: no task ran.
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


def account(tasks: Sequence[Task], seconds: float, cores: int, waited: float = 0.0) -> Account:
    """The account of an operation of `seconds` on `cores`; `waited`: core-seconds its tasks waited for the store."""
    worked = sum(task.worked for task in tasks)
    start_up = sum(task.ended - task.launched - task.worked for task in tasks)
    few = skew = spans = 0.0
    for stage in sorted({task.stage for task in tasks}):
        own = [task for task in tasks if task.stage == stage]
        lengths = sorted(task.ended - task.launched for task in own)
        span = max(task.ended for task in own) - min(task.launched for task in own)
        missing = max(0, cores - len(own)) * span
        idle = max(0.0, cores * span - sum(lengths) - missing)
        even = lengths[-1] <= _EVEN * lengths[len(lengths) // 2]
        few += missing + (idle if even and len(own) > cores and len(own) % cores else 0.0)
        skew += 0.0 if even and len(own) > cores and len(own) % cores else idle
        spans += span
    waited = min(waited, worked)
    return Account(worked - waited, waited, start_up, few, skew, cores * max(0.0, seconds - spans))


def sentence(tasks: Sequence[Task], seconds: float, cores: int, waited: float = 0.0) -> str:
    """What limits the operation, and by how much."""
    if not tasks:
        return "Driver work: it has no tasks, so that executors do not matter."
    shares = account(tasks, seconds, cores, waited).shares()
    if shares["worked"] >= _ENOUGH:
        return f"The cores, at work {shares['worked']:.0%} of the time: more executors make it faster."
    stage = max(
        {task.stage for task in tasks},
        key=lambda number: sum(task.ended - task.launched for task in tasks if task.stage == number),
    )
    lengths = sorted(task.ended - task.launched for task in tasks if task.stage == stage)
    said = {
        "few_tasks": f"Too few tasks: {len(lengths)} for {cores} cores, so that cores stand idle",
        "skew": f"Skew: the longest task takes {lengths[-1]:.2f} s, the median one "
        f"{lengths[len(lengths) // 2]:.2f} s, and cores wait for it",
        "waited": "Waiting for the store: tasks have no picture to work on",
        "driver": "Driver work and job starts: no task runs",
        "start_up": "Start-up: tasks load classes and start Python workers",
    }
    worst = max(said, key=shares.__getitem__)
    return f"{said[worst]} ({shares[worst]:.0%} of the cores' time)."
