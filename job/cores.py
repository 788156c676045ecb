"""How many cores this process may use: the one answer, for threads, estimates and messages alike."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_cores(root: Path = _ROOT) -> int:
    """Cores that this process may use, at least 1.

    They are those that it may run on (CPU affinity, where the system has it), and not more than a container's limit
    gives it, rounded up: half a core counts as one. `root` is where the file system with the limits is.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([here, *_limits(root)])))


def _limits(root: Path) -> Iterator[float]:
    """Cores that the groups of this process give it, by version 2 and version 1 of control groups.

    A group is never given more than the groups that it is in. In a container, the path that the kernel tells may be
    the host's, and not there; then the container's own group is the topmost one.
    """
    mounted = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    version_1 = version_2 = "/"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            version_2 = path
        elif "cpu" in controllers.split(","):
            version_1 = path
    for folder in _upwards(mounted, version_2):
        yield from _quota(folder / "cpu.max")
    for controller in ("cpu", "cpu,cpuacct"):
        for folder in _upwards(mounted / controller, version_1):
            yield from _quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    """A group's folder and those of the groups that it is in."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        yield mounted.joinpath(*parts[:length])


def _quota(*files: Path) -> Iterator[float]:
    """Quota over period, which one file holds or two; nothing where there is no limit ("max", or -1)."""
    try:
        quota, period = (int(text) for text in " ".join(file.read_text(encoding="ascii") for file in files).split())
    except (OSError, ValueError):
        return
    if quota > 0 and period > 0:
        yield quota / period
