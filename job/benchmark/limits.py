"""Where the cores' time of an operation went, from the times of each of its tasks, and so what limits it."""

from collections.abc import Sequence

from job.benchmark.events import Task
from job.report import limits
from job.report.limits import Account
from job.taskfigures import TaskFigures


def account(tasks: Sequence[Task], seconds: float, cores: int, waited: float = 0.0) -> Account:
    """The account of an operation of `seconds` on `cores`; `waited`: core-seconds its tasks waited for the store."""
    worked = sum(task.worked for task in tasks)
    start_up = sum(task.ended - task.launched - task.worked for task in tasks)
    few = skew = spans = 0.0
    for own in _stages(tasks):
        lengths = _lengths(own)
        span = max(task.ended for task in own) - min(task.launched for task in own)
        found = limits.idle(len(own), lengths[len(own) // 2], lengths[-1], span, sum(lengths), cores)
        few, skew, spans = few + found[0], skew + found[1], spans + span
    waited = min(waited, worked)
    return Account(worked - waited, waited, start_up, few, skew, cores * max(0.0, seconds - spans))


def figures(tasks: Sequence[Task]) -> TaskFigures:
    """The tasks in few numbers; shortest, median and longest are those of the stage that took longest in all."""
    if not tasks:
        return TaskFigures()
    main = _lengths(max(_stages(tasks), key=lambda own: sum(_lengths(own))))
    shortest, median, longest = main[0], main[len(main) // 2], main[-1]
    return TaskFigures(len(tasks), len(main), shortest, median, longest, sum(_lengths(tasks)))


def sentence(tasks: Sequence[Task], seconds: float, cores: int, waited: float = 0.0) -> str:
    """What limits the operation, and by how much."""
    return limits.sentence(account(tasks, seconds, cores, waited), figures(tasks), cores)


def _stages(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks of each stage, in the order of the stages."""
    return [[task for task in tasks if task.stage == stage] for stage in sorted({task.stage for task in tasks})]


def _lengths(tasks: Sequence[Task]) -> list[float]:
    """Seconds of each task, ascending."""
    return sorted(task.ended - task.launched for task in tasks)
