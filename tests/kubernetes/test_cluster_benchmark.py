"""`fruits benchmark` through the operator: two numbers of executors, once each, and a plan made from them."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kube
import pytest

Fruits = Callable[..., Any]
HALF_A_CORE = (
    "--set",
    "driver.coreRequest=100m",
    "--set",
    "executor.coreRequest=500m",
    "--set",
    "executor.coreLimit=1000m",
)


@pytest.fixture(scope="module", autouse=True)
def chart() -> Iterator[None]:
    """The store with the sample and the service accounts; gone again when the next module installs the chart."""
    kube.helm("install", "fruits", kube.CHART, *kube.values(), "--set", "job.enabled=false,historyServer.enabled=false")
    kube.until(
        240,
        "the sample is in the store",
        lambda: any(job.get("status", {}).get("succeeded") for job in kube.get("jobs")["items"]),
    )
    yield
    kube.kubectl("delete", "sparkapplications", "--all", "--wait")
    kube.helm("uninstall", "fruits", "--wait")
    kube.until(240, "an empty namespace", lambda: not kube.left_over())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


def test_one_and_two_executors_are_measured_and_find_the_same(fruits: Fruits, folder: Path) -> None:
    with kube.store() as environment:
        done = fruits(
            "benchmark",
            "--backend",
            "kubernetes",
            "--image",
            kube.IMAGE,
            *HALF_A_CORE,
            "--executors",
            "1,2",
            "--repeats",
            "1",
            "--results",
            folder,
            "--preset",
            "sift",
            "--words",
            "40",
            timeout=900,
            **environment,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "[3/3] " in done.stdout
    assert "The results of all 2 runs are the same" in done.stdout
    content = json.loads((folder / "benchmark.json").read_text())
    assert sorted(run["point"]["executors"] for run in content["runs"] if run["point"]["repeat"]) == [1, 2]
    # each task is known with its executor, from Spark's event log in the store
    for run in content["runs"]:
        executors = {task[3] for task in run["tasks"] if task[:2] == ["extract_descriptors", "train"]}
        assert len(executors) == run["point"]["executors"]
    with (folder / "benchmark.csv").open(newline="") as file:
        operations = {row["operation"] for row in csv.DictReader(file)}
    assert {"extract_descriptors", "fit_vocabulary", "assign_words", "total"} <= operations
    assert "Tasks on 2 executors" in (folder / "benchmark.html").read_text()


def test_a_plan_is_made_from_it(fruits: Fruits, folder: Path) -> None:
    pictures = sum(json.loads((folder / "benchmark.json").read_text())["runs"][0]["images"].values())
    done = fruits("plan", folder, "--images", pictures, "--executors", 2)
    assert done.returncode == 0, done.stderr
    assert "coreRequest: 500m" in done.stdout


def test_nothing_is_left_of_its_runs_but_the_last_ones_application() -> None:
    names = [item["metadata"]["name"] for item in kube.get("sparkapplications")["items"]]
    assert names == ["fruits-benchmark"]
