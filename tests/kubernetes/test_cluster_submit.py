"""`fruits submit` on the real cluster, beside the chart: a run that completes, and every way of failing for real."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kube
import pytest
from compare import assert_same_results

from job.cluster import results

Fruits = Callable[..., Any]
SMALL = ("--image", kube.IMAGE, "--set", "driver.coreRequest=100m", "--set", "executor.coreRequest=100m",
         # work begins with all executors, however long they take to start on a busy machine
         "--set", "sparkConf.spark.scheduler.maxRegisteredResourcesWaitingTime=300s")  # fmt: skip
ARGUMENTS = ("--preset", "sift", "--words", "40")
FAILURES = {
    "image": (("--image", "localhost/nowhere:1", "--start-timeout", "5s"), ()),
    "driver-room": (("--set", "driver.coreRequest=100", "--start-timeout", "3s"), ()),
    "executor-room": (("--set", "executor.memory=900g", "--start-timeout", "3s"), ()),
    # a heap that is taken at once, and hardly room for the rest of the JVM
    "driver-memory": (
        (
            "--set",
            "driver.memory=512m",
            "--set",
            "driver.memoryOverhead=8m",
            "--set",
            "driver.javaOptions=-Xms512m -XX:+AlwaysPreTouch",
        ),
        (),
    ),
    "bucket": ((), ("--data", "s3://no-such-bucket/sample")),
    "account": (("--set", "driver.serviceAccount=nobody", "--start-timeout", "3s"), ()),
}


@pytest.fixture(scope="module", autouse=True)
def chart() -> Iterator[None]:
    """The store, its sample and the service accounts come with the chart."""
    if "fruits" not in kube.helm("list", "-q").split():
        kube.helm("install", "fruits", kube.CHART, *kube.values())
        kube.completed("fruits")
    yield
    kube.kubectl("delete", "sparkapplications", "-l", "app.kubernetes.io/managed-by=fruits-submit")


@pytest.fixture(scope="module")
def failures() -> Iterator[dict[str, "Future[subprocess.CompletedProcess[str]]"]]:
    """All that are meant to fail, one after another, beside the tests.

    A JVM of the operator submits each: several at once on two cores keep it from taking up the next one in time.
    """

    def submit(name: str) -> "subprocess.CompletedProcess[str]":
        options, arguments = FAILURES[name]
        command = [
            sys.executable,
            "-m",
            "job",
            "submit",
            "--name",
            f"bad-{name}",
            *SMALL,
            *options,
            "--",
            *ARGUMENTS,
            *arguments,
        ]
        return subprocess.run(
            command, env=kube.plain_environment({}), capture_output=True, text=True, timeout=400, check=False
        )

    with ThreadPoolExecutor(1) as pool:
        yield {name: pool.submit(submit, name) for name in FAILURES}


def answer(failures: dict[str, "Future[subprocess.CompletedProcess[str]]"], name: str) -> tuple[int, str]:
    """Exit code and the one sentence with which it ended."""
    done = failures[name].result()
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stderr.splitlines()[-1]


def gone(name: str) -> bool:
    """Whether neither the application nor a pod of it is left."""
    found = kube.get("sparkapplications,pods")["items"]
    return not any(item["metadata"]["name"].startswith(name) for item in found)


def test_a_submitted_run_completes_and_its_results_are_fetched(
    fruits: Fruits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kube.store() as environment:
        done = fruits(
            "submit",
            *SMALL,
            "--executors",
            "2",
            "--results",
            tmp_path,
            "--",
            "--run-name",
            "submitted",
            *ARGUMENTS,
            **environment,
        )
        assert done.returncode == 0, done.stderr
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        same = results.fetch("s3://fruits/out", "first", tmp_path)
    assert_same_results(tmp_path / "submitted", same)
    assert "event=step operation=extract_descriptors split=train" in done.stdout
    # SUBMITTED may last for less than the second between two looks
    for stated in ("RUNNING", "executors 2 of 2", "COMPLETED"):
        assert stated in done.stderr


def test_a_submitted_prediction_completes_and_its_results_are_fetched(fruits: Fruits, tmp_path: Path) -> None:
    pictures = ("--model", "s3://fruits/out/first", "--data", "s3://fruits/sample/Test")
    options = ("--name", "fruits-predict", *SMALL, "--executors", "1", "--results", tmp_path)
    with kube.store() as environment:
        done = fruits("submit", *options, "predict", "--", *pictures, "--run-name", "predicted", **environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "predicted" / "manifest.json").read_bytes())
    assert found["dataset"]["images"] == found["dataset"]["described"] > 0
    assert found["model"]["uri"] == "s3://fruits/out/first/model"
    assert found["accuracy"] > 0.5
    assert done.stderr.splitlines()[-1].endswith(f"Results: {tmp_path / 'predicted'}")


def test_an_image_that_is_nowhere_is_told(failures: Any) -> None:
    code, said = answer(failures, "image")
    assert code == 1
    assert "The driver's image 'localhost/nowhere:1' can't be pulled" in said
    assert "was deleted" in said
    kube.until(240, "bad-image gone", lambda: gone("bad-image"))


def test_a_driver_that_fits_on_no_node_is_told_what_is_short(failures: Any) -> None:
    code, said = answer(failures, "driver-room")
    assert code == 1
    assert "The driver's pod fits on no node: it asks for 100 of cpu" in said


def test_executors_that_fit_on_no_node_are_told_what_is_short(failures: Any) -> None:
    code, said = answer(failures, "executor-room")
    assert code == 1
    assert "No executor's pod fits on a node: it asks for" in said
    assert "of memory" in said
    kube.until(240, "bad-executor-room gone", lambda: gone("bad-executor-room"))


def test_a_driver_killed_for_memory_is_told_how_much_it_had(failures: Any) -> None:
    code, said = answer(failures, "driver-memory")
    assert code == 1
    assert "The driver was killed for memory: it had 520Mi in all" in said
    assert "(driver.memory 512m, driver.memoryOverhead 8m)" in said
    assert "--set driver.memoryOverhead=16m" in said


def test_a_missing_bucket_is_told(failures: Any) -> None:
    code, said = answer(failures, "bucket")
    assert code == 1
    assert said.startswith("fruits: There is no bucket 'no-such-bucket' at http://fruits-minio:9000")


def test_a_missing_service_account_is_told(failures: Any) -> None:
    code, said = answer(failures, "account")
    assert code == 1
    assert 'serviceaccount "nobody" not found' in said


def test_a_namespace_that_the_operator_does_not_look_after_is_told(fruits: Fruits) -> None:
    done = fruits("submit", *SMALL, "--namespace", "default")
    assert done.returncode == 1
    assert "does not look after namespace 'default', but " in done.stderr


def test_a_field_that_the_operator_does_not_know_is_told(fruits: Fruits) -> None:
    done = fruits("submit", *SMALL, "--name", "bad-field", "--set", "drivr.cores=1")
    assert done.returncode == 1
    assert 'unknown field "spec.drivr"' in done.stderr


def test_an_interrupted_submit_deletes_what_it_made() -> None:
    # as from a terminal: what a shell starts in the background ignores the signal
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "job",
        "submit",
        "--name",
        "bad-interrupted",
        *SMALL,
        "--",
        *ARGUMENTS,
    ]
    process = subprocess.Popen(
        command, env=kube.plain_environment({}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    kube.until(240, "bad-interrupted runs", lambda: kube.state("bad-interrupted") == "RUNNING")
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "fruits: Interrupted. The job was deleted (--keep leaves it)."
    assert time.monotonic() - begun < 60
    kube.until(240, "bad-interrupted gone", lambda: gone("bad-interrupted"))


def test_the_doctor_finds_the_cluster_ready(fruits: Fruits) -> None:
    with kube.store() as environment:
        done = fruits("doctor", "--namespace", "fruits", "--data", "s3://fruits/sample", **environment)
    assert done.returncode == 0, done.stdout
    for subject in ("store", "cluster", "operator", "rights"):
        assert f"ok       {subject}" in done.stdout
