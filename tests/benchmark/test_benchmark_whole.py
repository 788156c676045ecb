"""A real benchmark, short: executors that are processes of this machine, and a plan from what was measured."""

import csv
import json
from pathlib import Path

import pytest
from running import QUICK, Answer, fruits

# A benchmark makes three whole runs on clusters of processes.
pytestmark = pytest.mark.slow

OPTIONS = (
    "--executors",
    "1,2",
    "--repeats",
    "1",
    "--sizes",
    "40",
    "--preset",
    "sift",
    "--words",
    "20",
    "--conf",
    f"spark.driver.extraJavaOptions={QUICK}",
    "--conf",
    f"spark.executor.extraJavaOptions={QUICK}",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def answer(folder: Path, sample: Path) -> Answer:
    found = fruits(
        "benchmark",
        "--data",
        sample,
        "--results",
        folder,
        *OPTIONS,
    )
    assert found.code == 0, found.err + found.out
    return found


def test_each_run_is_told_and_leaves_its_folder(answer: Answer, folder: Path):
    lines = answer.out.splitlines()
    assert [line.partition(" ")[0] for line in lines[:3]] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "2 executors, 40 pictures, warm-up" in lines[0]
    manifests = [json.loads(path.read_text()) for path in (folder / "runs").glob("*/manifest.json")]
    assert len(manifests) == 3
    for manifest in manifests:
        assert {split: part["images"] for split, part in manifest["dataset"].items()} == {"train": 30, "test": 10}
    assert sorted(manifest["cores"] for manifest in manifests) == [1, 2, 2]
    # nothing else stays: event logs and the executors' own folders are gone
    assert {path.name for path in folder.iterdir()} == {
        "benchmark.json",
        "benchmark.csv",
        "benchmark.html",
        "runs",
        "logs",
        "events",
    }
    assert not list((folder / "events").iterdir())


def test_the_results_are_the_same_on_one_executor_and_on_two(answer: Answer):
    assert "The results of all 2 runs are the same (to 1e-06)." in answer.out


def test_tasks_are_known_by_executor_and_operation(answer: Answer, folder: Path):
    runs = json.loads((folder / "benchmark.json").read_text())["runs"]
    for run in runs:
        tasks = [task for task in run["tasks"] if task[:2] == ["extract_descriptors", "train"]]
        assert len({task[3] for task in tasks}) == run["point"]["executors"]
        assert all(0 <= task[6] <= task[5] - task[4] + 1e-3 for task in tasks)
    assert "extract_descriptors train on 2: " in answer.out


def test_the_seconds_are_those_of_the_runs(answer: Answer, folder: Path):
    with (folder / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    totals = {row["executors"]: float(row["seconds"]) for row in rows if row["operation"] == "total"}
    assert set(totals) == {"1", "2"}
    assert f"{totals['1']:.2f}" in answer.out


def test_a_plan_is_made_from_it(answer: Answer, folder: Path):
    plan = fruits("plan", folder, "--images", 40, "--executors", 2)
    assert plan.code == 0, plan.err
    assert plan.out.startswith("40 pictures on 2 executors of 1 core: ")


def test_a_finished_benchmark_that_is_resumed_makes_no_run(answer: Answer, folder: Path, sample: Path):
    again = fruits("benchmark", "--data", sample, "--results", folder, *OPTIONS, "--resume")
    assert again.code == 0, again.err
    assert "[1/3]" not in again.out
    assert "total" in again.out
