"""What is submitted: the shipped SparkApplication or the user's, with what the command line says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from job.cluster import application, run_arguments
from job.cluster.command_line import Run
from job.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ["run", "--data", "s3://fruits/sample", "--event-log", "s3://fruits/event-logs", "--out", "s3://fruits/out"]


def prepared(*given: str, **wanted: Any) -> dict[str, Any]:
    return application.prepare(application.load(application.shipped()), application.Wanted(**wanted), given, "the-run")


def flags(*given: str, **wanted: Any) -> dict[str, Any]:
    return run_arguments.parse(prepared(*given, **wanted)["spec"]["arguments"])


def test_the_shipped_manifest_is_the_one_in_k8s_and_comes_with_the_wheel() -> None:
    assert application.shipped().read_text() == (ROOT / "k8s" / "sparkapplication.yaml").read_text()
    assert '"k8s/sparkapplication.yaml" = "job/cluster/sparkapplication.yaml"' in (ROOT / "pyproject.toml").read_text()


def test_the_shipped_manifest_is_submitted_as_it_is_but_for_its_run_name_and_mark() -> None:
    before, after = yaml.safe_load(application.shipped().read_text()), prepared()
    assert after["metadata"]["labels"].pop("app.kubernetes.io/managed-by") == "fruits-submit"
    assert before["spec"].pop("arguments") == SHIPPED
    assert sorted(after["spec"].pop("arguments")) == sorted([*SHIPPED, "--run-name", "the-run"])
    assert before == after


def test_a_given_argument_takes_the_place_of_the_manifests() -> None:
    found = flags("--data", "s3://mine/fruits", "--words", "100", "--no-classify", "--run-name", "mine")
    assert found == {
        "data": "s3://mine/fruits",
        "event_log": "s3://fruits/event-logs",
        "out": "s3://fruits/out",
        "words": "100",
        "no_classify": "true",
        "run_name": "mine",
    }


def test_train_and_test_take_the_place_of_data() -> None:
    found = flags("--train", "s3://a/x", "--test", "s3://a/y")
    assert "data" not in found
    assert (found["train"], found["test"]) == ("s3://a/x", "s3://a/y")


def test_one_descriptor_takes_the_place_of_the_manifests_blocks_of_features_and_the_other_way_round() -> None:
    blocks, one = ["run", "--features", "hsv"], ["run", "--descriptor", "orb"]
    assert run_arguments.merge(blocks, one[1:], "a") == ["run", *one[1:], "--run-name", "a"]
    assert run_arguments.merge(one, blocks[1:], "a") == ["run", *blocks[1:], "--run-name", "a"]


def test_how_much_is_told_comes_through() -> None:
    given = ["--words", "7", "-v", "--json"]
    assert run_arguments.merge(["run"], given, "a") == [
        *("run", "--words", "7", "--run-name", "a", "--verbose", "--json"),
    ]


def test_repeated_arguments_and_those_that_start_with_a_dash_come_through() -> None:
    given = ("--conf", "spark.a=1", "--conf", "spark.b=-Xmx1g -Dx=y", "--categories=-Odd,Apple")
    again = run_arguments.parse(prepared(*given)["spec"]["arguments"])
    assert again["conf"] == ["spark.a=1", "spark.b=-Xmx1g -Dx=y"]
    assert again["categories"] == "-Odd,Apple"


def test_the_environment_of_this_machine_is_not_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_WORDS", "7")
    monkeypatch.setenv("FRUITS_OUT", "here")
    assert run_arguments.settings(flags()).words != 7
    assert run_arguments.settings(flags()).out == "s3://fruits/out"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--words", "x"], "--words is 'x'"),
        (["--nonsense"], "Unrecognized arguments: --nonsense"),
        (["--data", "s3://a", "--train", "s3://b", "--test", "s3://c"], "--data is given together with --train"),
        (["--config", "my.toml"], "--config my.toml is a file of this machine"),
    ],
)
def test_what_run_would_refuse_is_not_submitted(given: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        prepared(*given)


def test_image_name_namespace_executors_and_cores_are_set() -> None:
    made = prepared(name="mine", namespace="other", image="registry/fruits:2", executors=5, executor_cores=4)
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("mine", "other")
    assert made["spec"]["image"] == "registry/fruits:2"
    executor = made["spec"]["executor"]
    assert (executor["instances"], executor["cores"], executor["coreRequest"]) == (5, 4, "3200m")


def test_a_number_of_executors_ends_dynamic_allocation() -> None:
    document = application.load(application.shipped())
    document["spec"]["dynamicAllocation"] = {"enabled": True, "maxExecutors": 9}
    made = application.prepare(document, application.Wanted(executors=2), [], "r")
    assert "dynamicAllocation" not in made["spec"]
    assert "dynamicAllocation" in application.prepare(document, application.Wanted(), [], "r")["spec"]


def test_any_field_of_the_spec_can_be_set() -> None:
    spec = prepared(
        fields=(
            "driver.memory=2g",
            "executor.deleteOnTermination=false",
            "sparkConf.spark.ui.port=4041",
            "timeToLiveSeconds=60",
            "driver.coreRequest=2",
        )
    )["spec"]
    assert (spec["driver"]["memory"], spec["driver"]["coreRequest"]) == ("2g", "2")
    assert spec["executor"]["deleteOnTermination"] is False
    assert spec["sparkConf"]["spark.ui.port"] == "4041"
    assert spec["timeToLiveSeconds"] == 60
    for wrong in ("driver.memory", "arguments.0=x", "driver.memory.x=1"):
        with pytest.raises(UsageError, match="--set"):
            prepared(fields=(wrong,))


def test_a_manifest_of_another_program_keeps_its_arguments_unless_others_are_given() -> None:
    document = application.load(application.shipped())
    document["spec"]["arguments"] = ["--mine", "1"]
    assert application.prepare(document, application.Wanted(), [], "r")["spec"]["arguments"] == ["--mine", "1"]
    assert application.prepare(document, application.Wanted(), ["--x"], "r")["spec"]["arguments"] == ["--x"]
    assert not application.runs(document, Run())


def test_a_name_that_kubernetes_refuses_is_refused_here() -> None:
    for name in ("Big", "a_b", "a" * 45, "-a", "1a"):
        with pytest.raises(UsageError, match="lower-case letters"):
            prepared(name=name)


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(kind="Deployment"), "kind in .* is 'Deployment': it must be SparkApplication"),
        (lambda d: d.update(kind="ScheduledSparkApplication"), "is 'ScheduledSparkApplication'"),
        (
            lambda d: d.update(apiVersion="sparkoperator.k8s.io/v1beta1"),
            "apiVersion .* be sparkoperator.k8s.io/v1beta2",
        ),
        (lambda d: d.update(apiVersion="spark.apache.org/v1"), "apiVersion .* must be sparkoperator.k8s.io/v1beta2"),
        (lambda d: d["spec"].update(type="Scala"), "spec.type .* is 'Scala': it must be Python"),
        (lambda d: d["spec"].update(mode="client"), "spec.mode .* is 'client': it must be cluster"),
        (lambda d: d["spec"].update(arguments=["run", "--words", 5]), "spec.arguments .* is no list of texts"),
        (lambda d: d["spec"].update(suspend=True), "spec.suspend .* is true"),
        (_without("spec"), "lacks spec"),
        (_without("spec", "driver"), "spec.driver is missing"),
        (_without("spec", "mainApplicationFile"), "spec.mainApplicationFile is missing"),
    ],
)
def test_a_manifest_that_can_not_be_submitted_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    document = yaml.safe_load(application.shipped().read_text())
    change(document)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match=sentence):
        application.load(file)


def test_a_file_with_other_documents_or_no_yaml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with pytest.raises(UsageError, match="can't be read"):
        application.load(file)
    for text, sentence in (("a: [", "is no YAML"), ("", "has 0 documents"), ("a\n", "is no SparkApplication")):
        file.write_text(text)
        with pytest.raises(UsageError, match=sentence):
            application.load(file)
    with pytest.raises(UsageError, match=r"has .* documents: give a file with one SparkApplication"):
        application.load(ROOT / "k8s" / "minikube.yaml")
