"""What Spark's event log says of tasks and executors: who worked when, and on which operation."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

_GROUP = "spark.jobGroup.id"
_PYTHON, _SENT = "time to run Python workers", "data sent to Python workers"


class Task(NamedTuple):
    """One task that succeeded: its operation, split, stage and executor; seconds since the start of the application at
    which it was launched and ended; how many of them it worked, the rest being its start-up (classes, the task's code,
    the Python worker)."""

    operation: str
    split: str
    stage: int
    executor: str
    launched: float
    ended: float
    worked: float


class Log(NamedTuple):
    """An event log: its tasks by launch; when each executor came (seconds since the start of the application)."""

    tasks: list[Task]
    executors: dict[str, float]


def read(lines: Iterable[str]) -> Log:
    """The event log of one run. Lines that are no events are passed over: a log may end in the middle of one."""
    begun = 0.0
    groups: dict[int, tuple[str, str]] = {}
    tasks: list[Task] = []
    executors: dict[str, float] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        kind = event.get("Event")
        if kind == "SparkListenerApplicationStart":
            begun = event["Timestamp"] / 1000
        elif kind == "SparkListenerExecutorAdded":
            executors[event["Executor ID"]] = event["Timestamp"] / 1000 - begun
        elif kind == "SparkListenerJobStart":
            operation, _, rest = event.get("Properties", {}).get(_GROUP, "").partition(" ")
            for stage in event["Stage IDs"]:
                groups.setdefault(stage, (operation, rest.partition(" ")[0]))
        elif kind == "SparkListenerTaskEnd" and event["Stage ID"] in groups and not event["Task Info"]["Failed"]:
            tasks.append(_task(event, groups[event["Stage ID"]], begun))
    return Log(sorted(tasks, key=lambda task: (task.launched, task.executor)), executors)


def _task(event: dict[str, Any], group: tuple[str, str], begun: float) -> Task:
    info, metrics = event["Task Info"], event.get("Task Metrics") or {}
    # a stage may pass through several Python workers, each with sums of its own
    sums = [(item.get("Name"), item.get("Update")) for item in info["Accumulables"]]
    launched, ended = info["Launch Time"] / 1000 - begun, info["Finish Time"] / 1000 - begun
    python = [float(update) / 1000 for name, update in sums if name == _PYTHON]
    worked = (
        sum(python)
        if python and any(name == _SENT for name, _ in sums)
        else (metrics.get("Executor Run Time", 0) / 1000)
    )
    return Task(
        *group,
        event["Stage ID"],
        info["Executor ID"],
        round(launched, 3),
        round(ended, 3),
        round(min(worked, ended - launched), 3),
    )
