"""How far Spark's tasks are, while they run."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ENDED = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True)
class Work:
    """One of Spark's stages: its name and its tasks; `seconds` are those since it was first seen."""

    name: str
    tasks: int
    done: int
    running: int
    failed: int
    seconds: float = 0.0


class Watch:
    """What Spark's status tracker knows of a group's jobs; without a group, of those that began after this was made."""

    def __init__(self, spark: "SparkSession", group: str | None = None) -> None:
        self._tracker, self._group = spark.sparkContext.statusTracker(), group
        self._stages: dict[int, Work] = {}
        self._begun: dict[int, float] = {}
        self._ended: set[int] = set()
        self._old = set() if group else self._known()
        self.jobs: set[int] = set()

    def look(self) -> list[Work]:
        """The stages so far, in their order; those that have ended keep what they were last seen with."""
        self.jobs |= self._known() - self._old
        for job in self.jobs - self._ended:
            info = self._tracker.getJobInfo(job)
            for number in info.stageIds if info else ():
                self._look_at(number)
            if info and info.status in _ENDED:
                self._ended.add(job)
        return [work for _, work in sorted(self._stages.items())]

    def _look_at(self, number: int) -> None:
        stage = self._tracker.getStageInfo(number)
        if not stage or not stage.numTasks:
            return
        seconds = time.monotonic() - self._begun.setdefault(number, time.monotonic())
        # `toPandas at /tmp/ipykernel_1/2.py:3`: the file is the cell above
        name = stage.name.partition(" at ")[0]
        self._stages[number] = Work(
            name, stage.numTasks, stage.numCompletedTasks, stage.numActiveTasks, stage.numFailedTasks, seconds
        )

    def _known(self) -> set[int]:
        """Jobs of the group; without one, jobs that run, and those of no group that ran: short ones would be missed
        between two looks."""
        if self._group:
            return set(self._tracker.getJobIdsForGroup(self._group))
        return {*self._tracker.getActiveJobsIds(), *self._tracker.getJobIdsForGroup(None)}
