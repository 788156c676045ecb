"""Values: described, known to the schema, refused by name when they are wrong."""

import json
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from chart import CASES, CHART, EKS, case, refusal, render, render_script

import job

VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Maps whose keys are the user's own.
OPEN = (
    "commonLabels",
    "podSecurityContext",
    "securityContext",
    "job.arguments",
    "minio.resources.requests",
    "minio.resources.limits",
    "upload.resources.requests",
    "upload.resources.limits",
    "resourceQuota.hard",
    "historyServer.resources.requests",
    "historyServer.resources.limits",
    "notebook.resources.requests",
    "notebook.resources.limits",
    "serve.arguments",
    "serve.resources.requests",
    "serve.resources.limits",
    "predict.arguments",
    "predict.resources.requests",
    "predict.resources.limits",
)


def leaves(values: dict, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in OPEN:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def schema_leaves(schema: dict, prefix: str = "") -> Iterator[str]:
    for key, part in schema["properties"].items():
        path = f"{prefix}{key}"
        if "properties" in part:
            yield from schema_leaves(part, f"{path}.")
        elif path != "global":
            yield path


def test_the_chart_lints_without_a_warning(helm: str) -> None:
    said = subprocess.run([helm, "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout
    assert "WARNING" not in said.stdout


def test_the_schema_has_every_value_and_no_other() -> None:
    assert sorted(leaves(yaml.safe_load(VALUES))) == sorted(schema_leaves(SCHEMA))


def test_every_value_is_described() -> None:
    described = [value.path for value in render_script.documented_values(VALUES)]
    values = yaml.safe_load(VALUES)
    bare = [
        path
        for path in leaves(values)
        if path not in described and not any(path.startswith(f"{above}.") for above in described)
    ]
    assert bare == []


def test_every_part_of_the_schema_refuses_unknown_keys() -> None:
    def open_parts(schema: dict, path: str) -> Iterator[str]:
        if "properties" in schema:
            if schema.get("additionalProperties") is not False:
                yield path
            for key, part in schema["properties"].items():
                yield from open_parts(part, f"{path}.{key}")

    assert list(open_parts(SCHEMA, "")) == []


def test_the_image_is_that_of_this_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == job.__version__
    assert render().job["image"] == f"fruits-job:{job.__version__}"


@pytest.mark.parametrize("name", CASES)
def test_every_values_file_is_accepted(name: str) -> None:
    assert case(name).documents


@pytest.mark.parametrize(
    "setting",
    [
        "executor.instances=8",
        "executor.memory=512m",
        "executor.coreRequest=2",
        "executor.coreRequest=1500m",
        "driver.coreLimit=2",
        "job.timeToLiveSeconds=60",
        "job.arguments.words=100",
        "job.arguments.categories={Kiwi,Lime}",
        "storage.region=eu-central-1",
        "image.pullSecrets={registry}",
        "minio.sizeLimit=10Gi",
        "metrics.podMonitor.interval=1m30s",
        "job.schedule=@daily",
        "job.schedule=0 3 * * 1-5",
    ],
)
def test_a_good_value_is_accepted(setting: str) -> None:
    assert render(sets=(setting,)).documents


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("executor.instance=3", "at '/executor': additional properties 'instance' not allowed"),
        ("executors=3", "additional properties 'executors' not allowed"),
        ("minio.image.name=minio", "at '/minio/image': additional properties 'name' not allowed"),
        ("driver.template.metdata.name=x", "at '/driver/template': additional properties 'metdata' not allowed"),
        ("executor.instances=0", "at '/executor/instances'"),
        ("executor.instances=two", "at '/executor/instances'"),
        ("executor.memory=1Gi", "at '/executor/memory'"),
        ("executor.memory=2", "at '/executor/memory'"),
        ("driver.coreRequest=half", "at '/driver/coreRequest'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy'"),
        ("image.repository=", "at '/image/repository'"),
        ("job.command=benchmarks", "at '/job/command'"),
        ("job.command=pack", "at '/job/command'"),
        ("job.arguments.train_images=3", "'train_images' does not match"),
        ("predict.arguments.watch=true", "at '/predict/arguments': additional properties 'watch' not allowed"),
        ("predict.arguments.run-name=null", "missing property 'run-name'"),
        ("predict.schedule=", "at '/predict/schedule'"),
        ("predict.schedule=@every 5m", "at '/predict/schedule'"),
        ("job.sparkVersion=latest", "at '/job/sparkVersion'"),
        ("job.sparkConf.fs\\.s3a\\.endpoint=x", "'fs.s3a.endpoint' does not match pattern '^spark"),
        ("job.restartPolicy.type=Sometimes", "at '/job/restartPolicy/type'"),
        ("job.batchScheduler.name=slurm", "at '/job/batchScheduler/name'"),
        ("job.schedule=tomorrow", "at '/job/schedule'"),
        ("job.concurrencyPolicy=Queue", "at '/job/concurrencyPolicy'"),
        ("job.name=Fruits", "at '/job/name'"),
        ("storage.credentials=keys", "at '/storage/credentials'"),
        ("storage.roleArn=fruits", "at '/storage/roleArn'"),
        ("storage.bucket=My_Bucket", "at '/storage/bucket'"),
        ("storage.endpoint=minio:9000", "at '/storage/endpoint'"),
        ("eventLog.uri=/logs", "at '/eventLog/uri'"),
        ("historyServer.service.port=0", "at '/historyServer/service/port'"),
        ("networkPolicy.store.cidrs={everywhere}", "at '/networkPolicy/store/cidrs/0'"),
        ("ports.driver=80", "at '/ports/driver'"),
        ("resourceQuota.hard.pods=many", "at '/resourceQuota/hard/pods'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting: str, said: str) -> None:
    assert said in refusal(setting)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("storage.bucket=",), "storage.bucket is empty"),
        (("minio.enabled=false",), "set storage.existingSecret"),
        (("minio.enabled=false", "storage.credentials=irsa"), "storage.roleArn is empty"),
        (("storage.credentials=podIdentity",), "knows only access keys"),
        (("storage.endpoint=https://s3.example.org",), "set one or the other"),
        (("eventLog.enabled=false",), "the history server would have nothing to show"),
        (("executor.dynamicAllocation.enabled=true", "executor.instances=9"), "allows 1 to 4"),
        (("resourceQuota.enabled=true", "resourceQuota.hard.limits\\.cpu=4"), "set driver.coreLimit and executor"),
        (("job.command=predict", "job.arguments.words=40"), "'words' not allowed"),
        (("job.command=predict", "job.arguments.watch=true"), "'watch' not allowed"),
        (("job.command=predict", "job.arguments.data=null"), "missing property 'data'"),
        (("fullnameOverride=1fruits",), "would be called '1fruits'"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_way_out(settings: tuple[str, ...], said: str) -> None:
    assert said in refusal(*settings)


def test_the_values_for_eks_ask_for_the_bucket_and_the_role() -> None:
    assert "storage.bucket is empty" in refusal(values=("values-eks.yaml",))
    assert "storage.roleArn is empty" in refusal(EKS[0], values=("values-eks.yaml",))
