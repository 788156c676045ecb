"""Faults of processes, provoked for real, by the names that chaos-mesh gives their kinds.

Each is given the process that makes the run, and how long it is to last where it lasts.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
from driving import Driving

Fault = Callable[[Driving, float], None]
# Seconds within which a process is met that has not ended by the time the fault reaches it.
_LIMIT = 120.0
T = TypeVar("T")


def pod_kill(run: Driving, _seconds: float = 0) -> None:
    """An executor is gone from one moment to the next, as a pod that is force-deleted."""
    _met(run.executor, psutil.Process.kill)


def pod_delete(run: Driving, _seconds: float = 0) -> None:
    """An executor is told to end, as Kubernetes does when a pod is deleted or a node is drained."""
    _met(run.executor, psutil.Process.terminate)


def pod_kill_two(run: Driving, _seconds: float = 0) -> None:
    """Both executors are gone at once."""
    for executor in run.some(2):
        with suppress(psutil.NoSuchProcess):
            executor.kill()


def container_kill(run: Driving, _seconds: float = 0) -> None:
    """A Python worker is gone, as when the kernel chooses it while memory is short."""
    _met(run.worker, psutil.Process.kill)


def process_kill(run: Driving, _seconds: float = 0) -> None:
    """The process is gone from which an executor's Python workers are forked, and they with it."""

    def kill_both(worker: psutil.Process) -> None:
        daemon = worker.parent()
        assert daemon is not None
        daemon.kill()
        with suppress(psutil.NoSuchProcess):
            worker.kill()

    _met(run.worker, kill_both)


def process_stop(run: Driving, seconds: float = 5.0) -> None:
    """An executor and its Python workers stand still for some time, then go on."""
    executor = run.executor()
    with suppress(psutil.NoSuchProcess):
        _still([executor, *executor.children(recursive=True)], seconds)


def stress_cpu(run: Driving, seconds: float = 5.0) -> None:
    """The Python worker of a task gets a tenth of its time."""
    worker = run.worker()
    until = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        while time.monotonic() < until:
            _still([worker], 0.09)
            time.sleep(0.01)


def stress_memory(run: Driving, _seconds: float = 0) -> None:
    """A Python worker finds no more memory than it has."""
    worker = run.worker()
    with suppress(psutil.NoSuchProcess):
        size = worker.memory_info().vms
        worker.rlimit(psutil.RLIMIT_AS, (size, size))


def decommission(run: Driving, _seconds: float = 0) -> None:
    """An executor is told to hand over what it has and to go, as on the notice of a spot node."""
    _met(run.executor, lambda executor: executor.send_signal(signal.SIGPWR))


KINDS: dict[str, Fault] = {
    "pod-kill": pod_kill,
    "pod-delete": pod_delete,
    "pod-kill two": pod_kill_two,
    "container-kill": container_kill,
    "process-kill": process_kill,
    "process-stop": process_stop,
    "stress-cpu": stress_cpu,
    "stress-memory": stress_memory,
    "decommission": decommission,
}


def _met(find: Callable[[], psutil.Process], fault: Callable[[psutil.Process], None]) -> None:
    """Provokes a fault in a process that is found, or in the next one where that has ended since, as what an earlier
    fault is the end of does."""
    limit = time.monotonic() + _LIMIT
    while True:
        try:
            return fault(find())
        except psutil.NoSuchProcess:
            assert time.monotonic() < limit


def _still(processes: list[psutil.Process], seconds: float) -> None:
    """Stops them for so long. They go on whatever happens here."""
    stopped = []
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
                stopped.append(process)
        time.sleep(seconds)
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def beside(fault: Callable[[T, float], None], what: T, seconds: float) -> threading.Thread:
    """Provokes one that lasts while the caller goes on."""
    thread = threading.Thread(target=fault, args=(what, seconds), daemon=True)
    thread.start()
    return thread


def disk_fill(folder: str, pid: int, leave: int = 0) -> None:
    """Fills the file system of a folder that the process of that number sees, but for so many bytes."""
    seen = f"/proc/{pid}/root{folder}"
    free = os.statvfs(seen).f_bavail * os.statvfs(seen).f_frsize
    with Path(seen, "filled").open("wb") as file, suppress(OSError):
        left = free - leave
        while left > 0:
            left -= file.write(b"\1" * min(1 << 20, left))
            file.flush()
