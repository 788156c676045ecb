"""`helm install` on the real cluster, and everything that comes with it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kube
import pytest
from compare import assert_same_results

from job.cluster import results
from job.vision.sample import sample_picture

Fruits = Callable[..., Any]


@pytest.fixture(scope="module")
def first() -> kube.Document:
    """The SparkApplication of the chart, completed."""
    return kube.completed("fruits")


def fetch(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=120) as answer:
        content = answer.read().decode()
    return json.loads(content) if path.startswith("/api") else content


def test_the_namespace_refuses_pods_that_are_not_restricted() -> None:
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest"'):
        kube.kubectl("run", "root", f"--image={kube.IMAGE}", "--dry-run=server", "--privileged")


def test_the_user_interface_of_a_running_job_is_reached_by_one_command() -> None:
    kube.helm("install", "fruits", kube.CHART, *kube.values())

    def asked() -> Any:
        kube.going("fruits")
        with kube.forwarded("fruits-driver", 4040) as address:
            return fetch(address, "/api/v1/applications")

    (application,) = kube.until(300, "the driver's port 4040", asked)
    assert application["attempts"][0]["completed"] is False


def test_the_job_completes(first: kube.Document) -> None:
    assert first["status"]["applicationState"]["state"] == "COMPLETED"
    assert len(first["status"]["executorState"]) == 2


def test_its_results_are_those_of_a_run_on_this_machine(
    first: kube.Document, fruits: Fruits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kube.store() as environment:
        done = fruits(
            "run",
            "--data",
            "s3://fruits/sample",
            "--out",
            tmp_path / "here",
            "--preset",
            "sift",
            "--words",
            "40",
            "--run-name",
            "first",
            "--master",
            "local[2]",
            **environment,
        )
        assert done.returncode == 0, done.stderr
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        there = results.fetch("s3://fruits/out", "first", tmp_path / "there")
    assert_same_results(tmp_path / "here" / "first", there)
    assert (there / "model").is_dir()
    assert "first" in (there / "report.html").read_text()


def test_the_chart_s_own_tests_pass(first: kube.Document) -> None:
    said = kube.helm("test", "fruits", "--timeout", "300s")
    assert said.count("Phase:          Succeeded") == 4


def test_the_history_server_has_the_finished_run(first: kube.Document) -> None:
    name = first["status"]["sparkApplicationId"]
    with kube.forwarded("svc/fruits-history-server", 18080) as address:
        found = kube.until(
            240,
            f"{name} in the history server",
            lambda: [
                application
                for application in fetch(address, "/api/v1/applications?status=completed")
                if application["id"] == name
            ],
        )
        assert found[0]["attempts"][0]["completed"] is True
        parts = {
            part: fetch(address, f"/api/v1/applications/{name}/{part}") for part in ("jobs", "stages", "allexecutors")
        }
        page = fetch(address, f"/history/{name}/jobs/")
    assert all(job["status"] == "SUCCEEDED" for job in parts["jobs"])
    assert sum(stage["numCompleteTasks"] for stage in parts["stages"]) > 0
    worked = {executor["id"]: executor["completedTasks"] for executor in parts["allexecutors"]}
    assert worked.pop("driver") == 0
    assert len(worked) == 2
    assert all(worked.values())
    assert "Event Timeline" in page


def test_an_upgrade_keeps_the_password_and_the_finished_job(first: kube.Document) -> None:
    def known() -> list[str]:
        names = ("secret/fruits-store", "sparkapplication/fruits", "deployment/fruits-minio")
        made = [kube.get(name)["metadata"]["uid"] for name in names]
        pods = [pod["metadata"]["name"] for pod in kube.get("pods", "-l", "app.kubernetes.io/component=minio")["items"]]
        return [*made, *pods, *kube.store_secret().values()]

    before = known()
    kube.helm("upgrade", "fruits", kube.CHART, "--reuse-values", "--set", "notebook.enabled=true")
    assert known() == before
    assert kube.state("fruits") == "COMPLETED"


def test_its_model_answers_over_http_in_the_cluster(first: kube.Document) -> None:
    sets = ("serve.enabled=true", "serve.model=s3://fruits/out/first", "serve.replicas=1",
            "serve.resources.requests.cpu=50m", "serve.arguments.deadline=60s")  # fmt: skip
    arguments = [item for each in sets for item in ("--set", each)]
    kube.helm("upgrade", "fruits", kube.CHART, "--reuse-values", *arguments)
    kube.kubectl("rollout", "status", "deployment/fruits-serve", "--timeout=300s")
    picture = sample_picture(0, 0, split="test")
    with kube.forwarded("svc/fruits-serve", 80) as address:
        with urllib.request.urlopen(f"http://{address}/predict", data=picture, timeout=120) as answer:
            found = json.load(answer)
        assert found["status"] == "ok"
        assert 'fruits_pictures_total{status="ok"} 1.0' in fetch(address, "/metrics")
    said = kube.helm("test", "fruits", "--timeout", "300s")
    assert said.count("Phase:          Succeeded") == 5


def test_the_notebook_asks_for_its_token() -> None:
    kube.kubectl("rollout", "status", "statefulset/fruits-notebook", "--timeout=300s")
    import base64

    token = base64.b64decode(kube.get("secret", "fruits-notebook")["data"]["token"]).decode()
    with kube.forwarded("pod/fruits-notebook-0", 8888) as address:
        assert kube.until(240, "JupyterLab", lambda: fetch(address, f"/api/status?token={token}"))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            fetch(address, "/api/contents")


def test_the_notebook_runs_on_executors_of_the_cluster() -> None:
    kube.kubectl(
        "exec",
        "fruits-notebook-0",
        "-c",
        "notebook",
        "--",
        "jupyter",
        "nbconvert",
        "--to=notebook",
        "--execute",
        "--output=executed",
        "pipeline.ipynb",
        timeout=600,
    )
    executed = json.loads(kube.kubectl("exec", "fruits-notebook-0", "-c", "notebook", "--", "cat", "executed.ipynb"))
    said = "\n".join(
        "".join(output.get("data", {}).get("text/plain", output.get("text", "")))
        for cell in executed["cells"]
        for output in cell.get("outputs", [])
    )
    assert "k8s://https://kubernetes.default.svc" in said
    assert "2 cores" in said
    assert "accuracy 1.0" in said
    assert "tasks" in said
    # the session has stopped, and with it its executors
    kube.until(240, "executors gone", lambda: not kube.get("pods", "-l", "spark-role=executor")["items"])
