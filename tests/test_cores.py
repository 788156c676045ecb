"""How many cores this process may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from job.cores import available_cores

CPU = Path("/sys/fs/cgroup/cpu")


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores, which this process may all use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def groups(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A file system with control groups, the files of which are given by their paths."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(membership)
    for name, text in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_they_are_those_that_it_may_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert available_cores(tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert available_cores(tmp_path) == 2


def test_a_system_without_affinity_says_how_many_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores(tmp_path) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("50000 100000", 1),
        ("100000 100000", 1),
        ("250000 100000", 3),
        ("9900000 100000", 8),
        ("", 8),
    ],
)
def test_a_container_s_limit_by_version_2_is_rounded_up(quota: str, cores: int, tmp_path: Path):
    assert available_cores(groups(tmp_path, "0::/\n", {"cpu.max": f"{quota}\n"})) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("50000", 1), ("250000", 3)])
@pytest.mark.parametrize("controller", ["cpu", "cpu,cpuacct"])
def test_a_container_s_limit_by_version_1_is_rounded_up(controller: str, quota: str, cores: int, tmp_path: Path):
    files = {f"{controller}/cpu.cfs_quota_us": quota, f"{controller}/cpu.cfs_period_us": "100000\n"}
    assert available_cores(groups(tmp_path, "4:memory:/a\n1:cpu,cpuacct:/\n0::/\n", files)) == cores


def test_the_smallest_limit_of_the_groups_above_holds(tmp_path: Path):
    files = {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000", "cpu.max": "500000 100000"}
    assert available_cores(groups(tmp_path, "0::/a/b\n", files)) == 3


def test_a_path_that_is_the_host_s_and_not_there_leaves_the_topmost_group(tmp_path: Path):
    root = groups(tmp_path, "0::/../../kubepods/pod1\n", {"cpu.max": "150000 100000"})
    assert available_cores(root) == 2


@pytest.mark.skipif(not os.access(CPU, os.W_OK), reason="control groups of version 1 can't be made here")
def test_a_process_in_a_real_group_of_half_a_core_has_one():
    group = CPU / f"fruits-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("50000")
        program = (
            f"import os; open('{group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "from job.cores import available_cores; print(available_cores())"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["1"]
    finally:
        group.rmdir()
