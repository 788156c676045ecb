"""How many cores this process may use: the one answer, for threads, estimates and messages alike."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use, at least 1.

    They are those that it may run on (CPU affinity, where the system has it), and not more than a container's limit
    gives it, rounded up. `cgroup` is where the limits are mounted.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(cgroup)
    return max(1, here if limit is None else min(here, math.ceil(limit)))


def _limit(cgroup: Path) -> float | None:
    """Cores that the container's limit gives, by version 2 of cgroups or version 1; None where there is none."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        quota, period = _version_1(cgroup)
    try:
        found = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return found if found > 0 else None


def _version_1(cgroup: Path) -> tuple[str, str]:
    try:
        return (
            (cgroup / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii"),
            (cgroup / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii"),
        )
    except OSError:
        return "max", "0"
