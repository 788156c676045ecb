"""What limited an operation, in one sentence: from the figures of its tasks alone."""

from job.taskfigures import TaskFigures


def limited_by(tasks: TaskFigures, seconds: float, cores: int) -> str:
    """One sentence: what kept the operation from being faster."""
    if not tasks.tasks:
        return "Driver work: it ran no tasks."
    busy = tasks.busy(seconds, cores)
    if tasks.waited > 0.5 * tasks.total:
        return f"Waiting for the store: {tasks.waited / tasks.total:.0%} of the tasks' time."
    if tasks.partitions < cores and tasks.longest > 0.5 * seconds:
        return f"Too few tasks: {tasks.partitions} for {cores} cores, so {cores - tasks.partitions} had nothing to do."
    if tasks.longest > 0.5 * seconds and tasks.skew > 2.0:
        return f"Skew: the longest task took {tasks.longest:.2f} s, the median one {tasks.median:.2f} s."
    if busy >= 0.7:
        return f"The cores: busy {busy:.0%} of the time; more executors would make it faster."
    if tasks.longest < 0.5 * seconds:
        return f"Driver work and job starts: the tasks took {tasks.longest:.2f} of {seconds:.2f} s."
    return f"Start-up and waiting: the cores were busy {busy:.0%} of the time."
