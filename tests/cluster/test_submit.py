"""`fruits submit` against an API server that plays every way in which a job can go."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_cluster import RUNNING, FakeCluster, event, pod, terminated, waiting

from job.cluster import application, diagnosis

Submit = Callable[..., tuple[int, str, str]]
SHORT = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims."
REFUSED = """26/01/01 00:00:00 WARN NativeCodeLoader: Unable to load native-hadoop library
Exception in thread "main" io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: \
https://10.96.0.1/api/v1/namespaces/fruits/pods. Message: pods "fruits-run-driver" is forbidden: error looking up \
service account fruits/fruits-driver: serviceaccount "fruits-driver" not found. Received status: Status(code=403).
\tat io.fabric8.kubernetes.client.KubernetesClientException.copyAsCause(KubernetesClientException.java:205)
"""


def test_a_job_that_completes_gives_0_and_its_log(cluster: FakeCluster, submit: Submit) -> None:
    driver = pod("driver", RUNNING)
    cluster.log = ["event=start run_name=one", "event=step operation=read_images split=train"]
    cluster.scenes = [
        ("", "", []),
        ("SUBMITTED", "", [pod("driver", waiting("ContainerCreating"))]),
        ("RUNNING", "", [driver, pod("executor", RUNNING)]),
        ("COMPLETED", "", [pod("driver", terminated(0, "Completed"))]),
    ]
    code, out, said = submit(
        "--start-timeout",
        "9s",
        "--image",
        "fruits-job:9",
        "--executors",
        "3",
        "--",
        "--run-name",
        "one",
        "--words",
        "40",
    )
    assert code == 0, said
    assert out.splitlines() == cluster.log
    assert said.endswith("Done. Results: s3://fruits/out/one")
    made = cluster.created[0]["spec"]
    assert (made["image"], made["executor"]["instances"]) == ("fruits-job:9", 3)
    assert made["arguments"][made["arguments"].index("--words") + 1] == "40"
    assert cluster.deleted == []


def test_a_failed_job_gives_its_own_sentence_and_exit_code(cluster: FakeCluster, submit: Submit) -> None:
    own = "fruits: There is no bucket 'fruits' at http://fruits-minio:9000: create it."
    cluster.log = ["event=start", own, "26/01/01 INFO bye"]
    for code in (1, 2):
        cluster.scenes = [("FAILED", "driver container failed", [pod("driver", terminated(code, "Error"))])]
        assert submit()[::2] == (code, own)


def test_a_driver_killed_for_memory_is_told_how_much_it_had_and_what_to_set(
    cluster: FakeCluster, submit: Submit
) -> None:
    for state in (terminated(137, "OOMKilled"), terminated(1, "OOMKilled"), terminated(137, "Error")):
        cluster.scenes = [("FAILED", "", [pod("driver", state)])]
        code, _, said = submit()
        assert code == 1
        assert "1536Mi in all (driver.memory 1g, driver.memoryOverhead 512m)" in said
        assert "--set driver.memoryOverhead=1024m" in said


def test_executors_killed_for_memory_are_the_reason_of_a_failure(cluster: FakeCluster, submit: Submit) -> None:
    killed = pod("executor", terminated(137, "OOMKilled"))
    cluster.log = ["fruits: The work failed: Job aborted due to stage failure (--debug shows where)."]
    cluster.scenes = [
        ("RUNNING", "", [pod("driver", RUNNING), killed]),
        ("FAILED", "", [pod("driver", terminated(1, "Error"))]),
    ]
    code, _, said = submit()
    assert code == 1
    assert "1 executors were killed for memory: each had executor.memory 1g, executor.memoryOverhead 768m" in said


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_can_not_be_pulled_ends_the_wait_and_the_job(
    cluster: FakeCluster, submit: Submit, reason: str
) -> None:
    cluster.scenes = [("SUBMITTED", "", [pod("driver", waiting(reason, "Back-off pulling image"))])]
    cluster.events = [
        event(
            "fruits-run-driver",
            "Failed",
            'Failed to pull image "fruits-job:0.1.0": rpc error: code = NotFound desc = not found',
        )
    ]
    code, _, said = submit()
    assert code == 1
    assert "The driver's image 'fruits-job:0.1.0' can't be pulled" in said
    assert said.endswith("The job was deleted (--keep leaves it).")
    assert cluster.deleted == ["fruits-run"]


def test_a_driver_that_fits_nowhere_is_told_which_resource_is_short(cluster: FakeCluster, submit: Submit) -> None:
    cluster.scenes = [("SUBMITTED", "", [pod("driver", {}, scheduled=SHORT)])]
    code, _, said = submit()
    assert code == 1
    assert "The driver's pod fits on no node: it asks for 500m of cpu" in said
    assert "lower driver.coreRequest (--set)" in said


def test_executors_that_fit_nowhere_are_told_which_resource_is_short(cluster: FakeCluster, submit: Submit) -> None:
    short = SHORT.replace("1 Insufficient cpu", "1 Insufficient cpu, 1 Insufficient memory")
    cluster.scenes = [("RUNNING", "", [pod("driver", RUNNING), pod("executor", {}, scheduled=short)])]
    code, _, said = submit()
    assert code == 1
    assert "No executor's pod fits on a node: it asks for 500m of cpu and 1536Mi of memory" in said
    assert "fewer --executors" in said


def test_executors_that_wait_beside_one_that_runs_are_waited_for(cluster: FakeCluster, submit: Submit) -> None:
    pods = [pod("driver", RUNNING), pod("executor", RUNNING), pod("executor", {}, name="e2", scheduled=SHORT)]
    cluster.scenes = [*[("RUNNING", "", pods)] * 30, ("COMPLETED", "", [])]
    assert submit()[0] == 0


def test_a_node_that_is_on_its_way_is_waited_for(cluster: FakeCluster, submit: Submit) -> None:
    cluster.events = [event("fruits-run-driver", "TriggeredScaleUp", "pod triggered scale-up", "Normal")]
    cluster.scenes = [*[("SUBMITTED", "", [pod("driver", {}, scheduled=SHORT)])] * 40, ("COMPLETED", "", [])]
    assert submit()[0] == 0


def test_an_operator_that_is_not_installed_is_told_before_anything_is_made(
    cluster: FakeCluster, submit: Submit
) -> None:
    cluster.installed = False
    code, _, said = submit()
    assert code == 1
    assert "The Spark operator is not installed" in said
    assert "helm install spark-operator" in said
    assert "spark.jobNamespaces={fruits}" in said
    assert cluster.created == []


def test_an_operator_that_looks_elsewhere_or_does_not_run_is_told(cluster: FakeCluster, submit: Submit) -> None:
    cluster.operators = [FakeCluster.operator("default")]
    assert "does not look after namespace 'fruits', but default" in submit()[2]
    cluster.operators = [FakeCluster.operator("fruits", ready=0)]
    assert "The Spark operator in namespace 'spark-operator' is not running" in submit()[2]
    assert cluster.created == []


def test_an_operator_that_does_not_take_the_job_up_is_not_waited_for(cluster: FakeCluster, submit: Submit) -> None:
    cluster.operators, cluster.scenes = [], [("", "", [])]
    code, _, said = submit()
    assert (code, cluster.deleted) == (1, ["fruits-run"])
    assert "The Spark operator has not taken the job up" in said


def test_a_refused_submission_is_told_in_the_words_of_the_cluster(cluster: FakeCluster, submit: Submit) -> None:
    cluster.scenes = [("SUBMISSION_FAILED", REFUSED, [])]
    said = submit()[2]
    assert 'can\'t submit the job: pods "fruits-run-driver" is forbidden' in said
    assert 'serviceaccount "fruits-driver" not found. The job was deleted' in said


def test_executors_that_a_quota_forbids_are_told(cluster: FakeCluster, submit: Submit) -> None:
    cluster.log = [
        "26/01/01 WARN ExecutorPodsSnapshotsStoreImpl: Exception when notifying snapshot subscriber.",
        'Message: pods "e-1" is forbidden: exceeded quota: fruits, requested: requests.cpu=800m',
    ]
    cluster.scenes = [("RUNNING", "", [pod("driver", RUNNING)])]
    assert 'The driver can\'t start executors: pods "e-1" is forbidden: exceeded quota: fruits' in submit()[2]


def test_a_missing_secret_is_told(cluster: FakeCluster, submit: Submit) -> None:
    state = waiting("CreateContainerConfigError", 'secret "fruits-store" not found')
    cluster.scenes = [("SUBMITTED", "", [pod("driver", state)])]
    assert "The driver's container can't be made: secret \"fruits-store\" not found" in submit()[2]


def test_the_deadline_ends_the_wait(cluster: FakeCluster, submit: Submit) -> None:
    cluster.scenes = [("RUNNING", "", [pod("driver", RUNNING), pod("executor", RUNNING)])]
    code, _, said = submit("--wait-timeout", "0.5s")
    assert (code, cluster.deleted) == (1, ["fruits-run"])
    assert "The job did not end within 0.5 s, it is RUNNING: give it longer (--wait-timeout)." in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_wait_deletes_the_job(cluster: FakeCluster, submit: Submit, number: signal.Signals) -> None:
    cluster.scenes = [("RUNNING", "", [pod("driver", RUNNING), pod("executor", RUNNING)])]
    before = signal.getsignal(signal.SIGTERM)
    _when_made(cluster, number)
    code, _, said = submit()
    assert (code, said) == (130, "fruits: Interrupted. The job was deleted (--keep leaves it).")
    assert cluster.deleted == ["fruits-run"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_wait_keeps_the_job_when_told_to(cluster: FakeCluster, submit: Submit) -> None:
    cluster.scenes = [("RUNNING", "", [pod("driver", RUNNING)])]
    _when_made(cluster, signal.SIGINT)
    code, _, said = submit("--keep")
    assert (code, cluster.deleted) == (130, [])
    assert "The job is kept: `kubectl -n fruits get sparkapplications fruits-run`" in said


def test_what_the_api_server_says_to_a_manifest_is_told(cluster: FakeCluster, submit: Submit) -> None:
    cluster.refusal = (400, 'strict decoding error: unknown field "spec.drivr"')
    assert 'refuses the manifest: strict decoding error: unknown field "spec.drivr"' in submit()[2]
    cluster.refusal = (403, 'sparkapplications.sparkoperator.k8s.io is forbidden: User "me" cannot create resource')
    assert "does not let you" in submit()[2]


def test_a_namespace_that_is_not_there_is_told(cluster: FakeCluster, submit: Submit) -> None:
    cluster.operators = []
    assert "there is no such namespace: create it, or give --namespace" in submit("--namespace", "nowhere")[2]


def test_a_cluster_that_does_not_answer_is_told_within_seconds(cluster: FakeCluster, submit: Submit) -> None:
    text = cluster.kubeconfig.read_text().replace(cluster.url, "http://127.0.0.1:9")
    cluster.kubeconfig.write_text(text)
    begun = time.monotonic()
    code, _, said = submit()
    assert code == 1
    assert "The cluster at http://127.0.0.1:9 does not answer" in said
    assert time.monotonic() - begun < 10


def test_a_machine_that_knows_no_cluster_is_told(monkeypatch: pytest.MonkeyPatch, submit: Submit) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert "No cluster is known here, KUBECONFIG names '/nowhere/config'" in submit()[2]


def test_a_finished_job_of_the_same_name_is_replaced_and_no_other(cluster: FakeCluster, submit: Submit) -> None:
    there = {
        "metadata": {"name": "fruits-run", "labels": dict(application.MADE_BY)},
        "spec": {},
        "status": {"applicationState": {"state": "FAILED"}},
    }
    cluster.application = there
    assert submit("--start-timeout", "9s")[0] == 0
    assert cluster.deleted == ["fruits-run"]
    cluster.created, cluster.application = [], {**there, "status": {"applicationState": {"state": "RUNNING"}}}
    assert "is RUNNING: wait for it, delete it" in submit()[2]
    cluster.application = {"metadata": {"name": "fruits-run"}, "spec": {}, "status": {}}
    assert "that `fruits submit` has not made: choose another --name" in submit()[2]
    assert (cluster.created, cluster.deleted) == ([], ["fruits-run"])


def test_an_address_of_this_machine_is_refused_before_anything_is_made(cluster: FakeCluster, submit: Submit) -> None:
    code, _, said = submit("--", "--data", "/home/me/fruits")
    assert (code, cluster.created) == (2, [])
    assert "--data '/home/me/fruits' is a folder of this machine" in said


def test_results_are_not_asked_of_a_store_that_is_not_reached(
    cluster: FakeCluster, submit: Submit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(key, value)
    code, _, said = submit("--results", str(tmp_path / "results"))
    assert (code, cluster.created) == (1, [])
    assert "--results needs the store from this machine too: The store at http://127.0.0.1:9 does not answer" in said


def test_a_log_line_is_told_once_however_often_the_log_is_read(cluster: FakeCluster, submit: Submit) -> None:
    first, second = pod("driver", RUNNING), pod("driver", RUNNING)
    second["metadata"]["uid"] = "another attempt"
    cluster.log = ["one", "two"]
    cluster.scenes = [("RUNNING", "", [first])] * 10 + [("COMPLETED", "", [first])]
    assert submit()[1].splitlines() == ["one", "two"]
    cluster.scenes = [("RUNNING", "", [first])] * 10 + [("RUNNING", "", [second])] * 10 + [("COMPLETED", "", [second])]
    cluster.application, cluster._place = None, 0
    assert submit()[1].splitlines() == ["one", "two"] * 2


def test_the_log_of_an_attempt_is_told_to_its_end_before_that_of_the_next(cluster: FakeCluster, submit: Submit) -> None:
    first, second = pod("driver", RUNNING), pod("driver", RUNNING)
    second["metadata"]["uid"] = "another attempt"
    cluster.log, cluster.log_pauses = ["one", "two"], [1.0]
    cluster.scenes = [("RUNNING", "", [first])] * 3 + [("RUNNING", "", [second])] * 3 + [("COMPLETED", "", [second])]
    assert submit()[1].splitlines() == ["one", "two"] * 2


def test_after_a_broken_connection_the_log_goes_on_where_it_was(cluster: FakeCluster, submit: Submit) -> None:
    driver = pod("driver", RUNNING)
    cluster.log = [f"line {number}" for number in range(2500)]
    cluster.log_breaks = [700, 2100]
    cluster.scenes = [("RUNNING", "", [driver])] * 10 + [("COMPLETED", "", [driver])]
    assert submit()[1].splitlines() == cluster.log


def test_lines_of_two_streams_are_told_whatever_the_order_of_their_times(cluster: FakeCluster, submit: Submit) -> None:
    driver = pod("driver", RUNNING)
    lines = [(3, "a warning"), (1, "event=start"), (1, "event=step"), (2, "another warning")]
    cluster.log = [f"2026-01-01T00:00:00.{moment:09d}Z {text}" for moment, text in lines]
    cluster.scenes = [("RUNNING", "", [driver])] * 5 + [("COMPLETED", "", [driver])]
    assert submit()[1].splitlines() == [text for _, text in lines]


def test_warnings_of_the_pods_are_told_once(
    cluster: FakeCluster, submit: Submit, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = {**event("fruits-run-driver", "Failed", "of the run before"), "involvedObject": {"uid": "another"}}
    cluster.events = [
        event("fruits-run-driver", "Unhealthy", "no answer"),
        event("stranger", "Failed", "x"),
        earlier,
        event("fruits-run-driver", "FailedMount", "configmap not found"),
    ]
    cluster.scenes = [*[("RUNNING", "", [pod("driver", RUNNING)])] * 5, ("FAILED", "", [])]
    from job.commands import main as cli

    cli.main(["submit"])
    said = capsys.readouterr().err
    assert said.count("fruits-run-driver: Unhealthy: no answer") == 1
    assert not any(word in said for word in ("stranger", "of the run before", "FailedMount"))


def test_a_volume_that_never_comes_is_told(cluster: FakeCluster, submit: Submit) -> None:
    cluster.events = [event("fruits-run-driver", "FailedMount", 'MountVolume.SetUp failed: secret "keys" not found')]
    cluster.scenes = [("SUBMITTED", "", [pod("driver", waiting("ContainerCreating"))])]
    assert "The driver's pod can't start: MountVolume.SetUp failed: secret \"keys\" not found" in submit()[2]


def test_the_cause_is_found_in_what_spark_submit_says() -> None:
    assert diagnosis.refusal(REFUSED).endswith('serviceaccount "fruits-driver" not found')
    assert diagnosis.refusal("a\nCaused by: java.net.ConnectException: no route\n\tat x") == "no route"
    assert diagnosis.refusal("driver pod not found") == "driver pod not found"


def _when_made(cluster: FakeCluster, number: signal.Signals) -> None:
    def wait() -> None:
        while not cluster.created:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, daemon=True).start()
