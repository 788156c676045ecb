"""Python workers that end in the midst of a task, as by a fault in a decoder that a picture provokes."""

import re
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
# What Spark says of a task whose worker is gone: of its own, or where it was just writing to the worker, the socket's.
_SIGN = re.compile(r"Python worker exited unexpectedly|java\.\S+Exception: (?:Connection reset|Broken pipe)")


class _Work(Protocol[T_co]):
    def __call__(self, *, apart: bool) -> T_co: ...


def tried_again() -> bool:
    """Whether this task was tried before: a worker may have ended on one of its pictures."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0


def worker_ended(error: Exception) -> bool:
    """Whether a job failed since a Python worker ended in the midst of a task: it crashed, or was killed."""
    return bool(_SIGN.search(str(error)))


def apart_after_a_crash(work: _Work[T_co]) -> T_co:
    """`work(apart=False)`, and where a worker ended `work(apart=True)`, which has each picture worked on in a process
    of its own.

    Executors try a task again by themselves, and tell it so (`tried_again`); in the driver's own JVM a task is tried
    once.
    """
    try:
        return work(apart=False)
    except Exception as error:
        if not worker_ended(error):
            raise
    return work(apart=True)
