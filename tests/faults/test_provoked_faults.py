"""Faults provoked for real in the midst of runs: executors and their workers, the store, the scratch, the driver.

The short form: each kind once, in runs of seconds on the same executors. `tests/benchmarks/random_faults.py` is the
long one.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from absent import absent
from driving import Command, House, HouseRun, environment_of
from outcome import SETTINGS, assert_same, fetch
from provoke import KINDS, beside, disk_fill, pod_kill, stress_cpu
from running import QUICK
from s3_proxy import FirstTime, Proxy
from s3_servers import Server

LIMIT = 300
HERE = ("--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={QUICK}")


def begin(house: House, sample: Path, out: Path) -> HouseRun:
    return house.begin("run", "--data", sample, "--out", out, "--run-name", "shaken", *SETTINGS)


# ---- executors and their workers


def test_executors_prove_by_a_secret_that_they_are_this_run_s(house: House, undisturbed: Path):
    lines, found = [], set()
    for process in psutil.Process(house.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            lines.append(line)
            if "CoarseGrainedExecutorBackend" in line:
                assert "-Dspark.network.crypto.cipher=AES/GCM/NoPadding" in line
                found.add(process.environ()["_SPARK_AUTH_SECRET"])
    (secret,) = found
    assert len(secret) == 64
    # neither in a list of processes nor in what was said
    assert not [line for line in (*lines, *house.out, *house.err) if secret in line]


# the two that are left out have tests of their own below
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"stress-cpu", "pod-kill"}))
def test_whatever_happens_while_pictures_are_described_changes_nothing(
    kind: str, house: House, undisturbed: Path, sample: Path, tmp_path: Path
):
    run = begin(house, sample, tmp_path)
    run.reached("start_spark")
    KINDS[kind](house, 3.0)
    answer = run.ended(LIMIT)
    assert answer.code == 0, answer.err
    assert_same(tmp_path / "shaken", undisturbed)


def test_an_executor_that_dies_with_what_others_need_changes_nothing(
    house: House, undisturbed: Path, sample: Path, tmp_path: Path
):
    run = begin(house, sample, tmp_path)
    run.reached("fit_vocabulary")
    pod_kill(house)
    answer = run.ended(LIMIT)
    assert answer.code == 0, answer.err
    assert_same(tmp_path / "shaken", undisturbed)


def test_a_worker_that_is_ten_times_slower_changes_nothing(
    house: House, undisturbed: Path, sample: Path, tmp_path: Path
):
    run = begin(house, sample, tmp_path)
    run.reached("read_images")
    slow = beside(stress_cpu, house, 3.0)
    answer = run.ended(LIMIT)
    slow.join()
    assert answer.code == 0, answer.err
    assert_same(tmp_path / "shaken", undisturbed)


# ---- the store that pictures are read from and results are written to


def begin_in_store(house: House, bucket: str, name: str) -> HouseRun:
    place = f"s3://{bucket}"
    return house.begin("run", "--data", f"{place}/sample", "--out", f"{place}/out", "--run-name", name, *SETTINGS)


def lose_answers(proxy: Proxy) -> None:
    proxy.be(FirstTime("lost"))


def ask_to_slow_down(proxy: Proxy) -> None:
    proxy.be(lambda number, _method, _path: "503" if number % 6 == 0 else None)


def break_connections(proxy: Proxy) -> None:
    proxy.be(lambda number, _method, _path: {0: "reset", 5: "cut"}.get(number % 10))


def be_slow(proxy: Proxy) -> None:
    proxy.be(latency=0.1)


@pytest.mark.parametrize(
    ("fault", "met"),
    [(lose_answers, "lost"), (ask_to_slow_down, "503"), (break_connections, "cut"), (be_slow, "requests")],
)
def test_a_store_that_is_troubled_changes_nothing(
    fault: Callable[[Proxy], None],
    met: str,
    house: House,
    server: Server,
    proxy: Proxy,
    bucket: str,
    undisturbed: Path,
    tmp_path: Path,
):
    before = proxy.seen[met]
    fault(proxy)
    answer = begin_in_store(house, bucket, fault.__name__).ended(LIMIT)
    assert answer.code == 0, answer.err
    assert proxy.seen[met] > before + 5
    assert_same(fetch(server, bucket, f"out/{fault.__name__}", tmp_path), undisturbed)


def test_a_store_that_is_started_again_changes_nothing(
    house: House, server: Server, bucket: str, undisturbed: Path, tmp_path: Path
):
    run = begin_in_store(house, bucket, "restart")
    run.reached("start_spark")
    server.stop()
    time.sleep(1.0)
    server.start()
    answer = run.ended(LIMIT)
    assert answer.code == 0, answer.err
    assert_same(fetch(server, bucket, "out/restart", tmp_path), undisturbed)


def test_a_store_that_takes_no_results_is_told_in_a_sentence_and_holds_nothing_that_looks_whole(
    house: House, server: Server, proxy: Proxy, bucket: str
):
    run = begin_in_store(house, bucket, "refused")
    run.reached("evaluate")
    proxy.be(lambda _number, method, path: "403" if method == "PUT" and "predictions" in path else None)
    answer = run.ended(LIMIT)
    assert answer.code == 1
    assert f"s3://{bucket}/out/refused/predictions.csv" in answer.sentence()
    found = server.client().list_objects_v2(Bucket=bucket, Prefix="out/refused/")
    assert not found.get("Contents")


# ---- the driver: its disk, and its end


def new_mounts() -> tuple[str, ...]:
    """The command before a command that lets it mount what it likes."""

    def may(command: tuple[str, ...]) -> bool:
        probe = [*command, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
        return bool(shutil.which("unshare")) and not subprocess.run(probe, capture_output=True, check=False).returncode

    found = next(filter(may, (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user"))), None)
    if found is None:
        absent("this user may not mount a small disk")
    return found


def test_a_scratch_that_is_full_is_told_in_a_sentence_and_nothing_is_left(sample: Path, tmp_path: Path):
    # a path short enough for Unix sockets
    with tempfile.TemporaryDirectory(prefix="t-") as scratch:
        mounts = (*new_mounts(), "sh", "-c", f'mount -t tmpfs -o size=300m tmpfs {scratch} && exec "$@"', "sh")
        environment = environment_of(tmp_path, {"TMPDIR": scratch, "FRUITS_CLASS_ARCHIVE": "off"})
        # what is kept of pictures goes to the disk
        little = ("--conf", "spark.memory.fraction=0.001")
        out = tmp_path / "out"
        given = ("run", "--data", sample, "--out", out, *SETTINGS, *HERE, *little)
        with Command(environment, *given, before=mounts) as run:
            run.reached("start_spark")
            disk_fill(scratch, run.process.pid)
            answer = run.ended(LIMIT)
    assert answer.code == 1
    assert answer.sentence().startswith(f"There is no room left for intermediate data, here in '{scratch}'")
    assert not list(out.iterdir())


def test_a_driver_that_is_killed_and_started_again_finds_the_same(
    house: House, undisturbed: Path, sample: Path, tmp_path: Path
):
    """The last test of this driver."""
    given = ("run", "--data", sample, "--out", tmp_path / "out", "--run-name", "again", *SETTINGS)
    run = house.begin(*given)
    run.reached("extract_descriptors", "train")
    processes = psutil.Process(house.process.pid).children(recursive=True)
    house.kill()
    assert not (tmp_path / "out" / "again" / "manifest.json").exists()
    with Command(environment_of(tmp_path), *given, *HERE) as again:
        answer = again.ended(LIMIT)
    assert answer.code == 0, answer.err
    assert_same(tmp_path / "out" / "again", undisturbed)
    _, alive = psutil.wait_procs(processes, timeout=120)
    assert not alive
