"""What stands beside the job: MinIO, the upload, the history server, the notebook, the quota, the notes."""

import shutil
from pathlib import Path

import pytest
import yaml
from chart import CHART, Rendered, case, environment, render, render_script


def properties(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines())


def selected(rendered: Rendered, service: str) -> list[str]:
    """Names of the pods that a Service stands for."""
    selector = rendered.one("Service", service)["spec"]["selector"].items()
    return [name for name, pod in rendered.pods() if selector <= pod["metadata"]["labels"].items()]


def test_services_stand_for_their_pods() -> None:
    rendered = render(sets=("notebook.enabled=true",))
    for name in ("fruits-minio", "fruits-history-server", "fruits-notebook"):
        assert selected(rendered, name) == [name]


def test_minio_keeps_its_objects_in_the_pod_unless_it_is_given_a_volume() -> None:
    def data(rendered: Rendered) -> dict:
        return next(volume for volume in rendered.pod("fruits-minio")["spec"]["volumes"] if volume["name"] == "data")

    assert data(render())["emptyDir"] == {"sizeLimit": "5Gi"}
    rendered = case("ci/persistence-values.yaml")
    assert data(rendered)["persistentVolumeClaim"]["claimName"] == "fruits-minio"
    claim = rendered.one("PersistentVolumeClaim")["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "20Gi")


def test_without_minio_nothing_of_it_is_left() -> None:
    assert "minio" not in case("ci/existing-secret-values.yaml").text.replace("fruits-minio", "minio").lower()


def test_a_changed_upload_is_a_new_job() -> None:
    def name(*sets: str) -> str:
        return render(sets=sets).one("Job")["metadata"]["name"]

    assert name() == name("job.arguments.words=100")
    assert name() != name("upload.sampleArguments.categories=4")
    assert name() != name("image.tag=next")


def test_the_job_waits_for_the_upload_only_where_it_reads_what_is_uploaded() -> None:
    assert "--wait-for-data" in render().flags()
    assert "--wait-for-data" in render(sets=("job.arguments.data=s3://fruits/sample/",)).flags()
    assert "--wait-for-data" not in render(sets=("job.arguments.data=s3://fruits/my-fruits",)).flags()
    rendered = render(sets=("upload.enabled=false",))
    assert "--wait-for-data" not in rendered.flags()
    assert rendered.all("Job") == []


def test_the_history_server_reads_what_the_job_writes() -> None:
    rendered = render(sets=("eventLog.uri=s3://logs/spark",))
    assert rendered.flags()[rendered.flags().index("--event-log") + 1] == "s3://logs/spark"
    data = rendered.one("ConfigMap", "fruits-history-server")["data"]
    assert properties(data["history-server.conf"])["spark.history.fs.logDirectory"] == "s3a://logs/spark"
    pod = rendered.pod("fruits-history-server")["spec"]
    assert pod["containers"][0]["args"][1] == "org.apache.spark.deploy.history.HistoryServer"
    assert pod["initContainers"][0]["args"][-3:] == ["-mkdir", "-p", "s3a://logs/spark"]


def test_the_history_server_can_stand_alone() -> None:
    rendered = case("ci/history-server-alone-values.yaml")
    assert rendered.all("SparkApplication") == rendered.all("Job") == []
    conf = properties(rendered.one("ConfigMap", "fruits-history-server")["data"]["history-server.conf"])
    assert conf["spark.history.fs.cleaner.enabled"] == "true"
    assert conf["spark.history.fs.cleaner.maxAge"] == "30d"
    service = rendered.one("Service", "fruits-history-server")["spec"]
    assert (service["type"], service["ports"][0]["port"]) == ("NodePort", 80)


def test_a_changed_configuration_restarts_the_history_server() -> None:
    def checksum(*sets: str) -> str:
        return render(sets=sets).pod("fruits-history-server")["metadata"]["annotations"]["checksum/config"]

    assert checksum() == checksum("executor.instances=3")
    assert checksum() != checksum("storage.region=eu-west-1")


def test_without_event_log_nobody_writes_or_reads_one() -> None:
    rendered = case("ci/event-log-off-values.yaml")
    assert "--event-log" not in rendered.flags()
    assert "history" not in rendered.text


def test_the_notebook_drives_executors_that_are_the_jobs() -> None:
    rendered = case("ci/notebook-values.yaml")
    data = rendered.one("ConfigMap", "fruits-notebook")["data"]
    conf = properties(data["spark-defaults.conf"])
    name = rendered.one("StatefulSet")["metadata"]["name"]
    assert conf["spark.master"] == "k8s://https://kubernetes.default.svc"
    assert conf["spark.driver.host"] == "fruits-notebook.fruits.svc"
    assert conf["spark.kubernetes.driver.pod.name"] == f"{name}-0", "executors go when their driver's pod goes"
    assert conf["spark.kubernetes.authenticate.executor.serviceAccountName"] == "fruits-executor"
    assert (conf["spark.executor.instances"], conf["spark.executor.memory"]) == ("3", "1g")
    assert conf["spark.hadoop.fs.s3a.endpoint"] == "http://fruits-minio:9000"
    assert yaml.safe_load(data["executor.yaml"])["spec"] == rendered.job["executor"]["template"]["spec"]
    service = rendered.one("Service", "fruits-notebook")["spec"]
    assert service["clusterIP"] == "None"
    ports = {port["name"]: str(port["port"]) for port in service["ports"]}
    assert ports["driver"] == conf["spark.driver.port"]
    assert ports["blockmanager"] == conf["spark.driver.blockManager.port"]


def test_the_notebook_opens_with_a_token_from_a_secret() -> None:
    variables = environment(case("ci/notebook-values.yaml").pod("fruits-notebook"))
    assert variables["JUPYTER_TOKEN"] == {"secretKeyRef": {"name": "fruits-notebook", "key": "token"}}
    rendered = render(sets=("notebook.enabled=true", "notebook.existingSecret=mine"))
    assert environment(rendered.pod("fruits-notebook"))["JUPYTER_TOKEN"]["secretKeyRef"]["name"] == "mine"
    assert [secret["metadata"]["name"] for secret in rendered.all("Secret")] == ["fruits-store"]


def test_the_notebook_and_the_job_look_at_the_same_data() -> None:
    variables = environment(case("ci/notebook-values.yaml").pod("fruits-notebook"))
    assert (variables["FRUITS_DATA"], variables["FRUITS_OUT"]) == ("s3://fruits/sample", "s3://fruits/out")


def test_arriving_pictures_are_predicted_by_a_pod_without_spark_and_one_at_a_time() -> None:
    rendered = case("ci/predict-values.yaml")
    spec = rendered.one("CronJob", "fruits-predict")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("*/5 * * * *", "Europe/Berlin", False)
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = rendered.pod("fruits-predict")
    assert pod["spec"]["serviceAccountName"] == "fruits-executor"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (pod["spec"]["nodeSelector"], pod["metadata"]["labels"]["tier"]) == ({"pool": "batch"}, "predict")
    assert environment(pod)["AWS_ENDPOINT_URL"] == "http://fruits-minio:9000"
    arguments = pod["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--model") + 1] == "s3://fruits/out/first"
    assert arguments[arguments.index("--reject-below") + 1] == "0.6"
    assert render().all("CronJob") == []


def test_a_job_that_predicts_does_not_wait_for_the_sample() -> None:
    rendered = render(sets=("job.command=predict",))
    assert rendered.flags()[0] == "predict"
    assert "--wait-for-data" not in rendered.flags()
    assert "--event-log" in rendered.flags()


def test_a_quota_is_made_when_it_is_asked_for() -> None:
    hard = case("ci/resource-quota-values.yaml").one("ResourceQuota")["spec"]["hard"]
    assert hard["limits.cpu"] == "12"
    assert render().all("ResourceQuota") == []


def notes(folder: Path, *sets: str) -> str:
    """What Helm would print after an installation. It prints it only with a cluster; so it is put into a ConfigMap."""
    chart = folder / "fruits"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes.tpl")
    (chart / "templates" / "notes.yaml").write_text(
        'kind: ConfigMap\nmetadata: {name: notes}\ndata: {text: {{ tpl (.Files.Get "notes.tpl") . | toJson }}}\n',
        encoding="utf-8",
    )
    arguments = [item for setting in sets for item in ("--set", setting)]
    rendered = Rendered(render_script.helm_template(*arguments, "--show-only", "templates/notes.yaml", chart=chart))
    return rendered.one("ConfigMap")["data"]["text"]


@pytest.mark.parametrize(
    ("sets", "commands"),
    [
        (
            (),
            [
                "kubectl -n fruits get sparkapplication fruits --watch",
                "kubectl -n fruits logs --follow fruits-driver",
                "kubectl -n fruits exec deploy/fruits-minio -- mc ls --recursive store/fruits/out",
                "kubectl -n fruits port-forward fruits-driver 4040",
                "kubectl -n fruits port-forward svc/fruits-history-server 18080:18080",
            ],
        ),
        (("minio.enabled=false", "storage.existingSecret=keys"), ["aws s3 ls --recursive s3://fruits/out/"]),
        (("job.schedule=0 3 * * *",), ["kubectl -n fruits get scheduledsparkapplication fruits"]),
        (
            ("job.suspend=true",),
            ["""kubectl -n fruits patch sparkapplication fruits --type merge -p '{"spec": {"suspend": false}}'"""],
        ),
        (
            ("predict.enabled=true",),
            [
                "kubectl -n fruits create job --from=cronjob/fruits-predict fruits-predict-now",
                "kubectl -n fruits logs --follow job/fruits-predict-now",
            ],
        ),
        (("notebook.enabled=true",), ["kubectl -n fruits port-forward svc/fruits-notebook 8888"]),
    ],
)
def test_the_notes_give_the_next_commands(sets: tuple[str, ...], commands: list[str], tmp_path: Path) -> None:
    lines = [line.strip() for line in notes(tmp_path, *sets).splitlines()]
    for command in commands:
        assert command in lines
