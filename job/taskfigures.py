"""What the tasks of one operation did, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskFigures:
    """Of one operation: number of tasks; shortest, median and longest of its longest stage (seconds); time of all
    tasks together (seconds)."""

    tasks: int = 0
    partitions: int = 0
    shortest: float = 0.0
    median: float = 0.0
    longest: float = 0.0
    total: float = 0.0
    waited: float = 0.0
    """Seconds that all tasks together waited for the store."""

    @property
    def skew(self) -> float:
        """Longest task over the median one; 1 where there is nothing to compare."""
        return self.longest / self.median if self.median > 0 else 1.0

    def busy(self, seconds: float, cores: int) -> float:
        """Share of the cores' time in which tasks ran, 0 to 1."""
        return min(1.0, self.total / (seconds * cores)) if seconds > 0 else 0.0


def seconds_left(done: float, of: float, seconds: float) -> float | None:
    """Seconds that the rest takes, if it goes on as in these first ones; None where nothing is done yet, or all is."""
    return seconds * (of - done) / done if 0 < done < of else None
