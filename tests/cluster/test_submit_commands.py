"""Commands other than `run` that are submitted: arguments checked here, as the job would, and results fetched."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from fake_cluster import FakeCluster

from job.cluster import application, results
from job.cluster.application import Wanted
from job.cluster.command_line import Other, Run
from job.commands.submit import _command
from job.errors import UsageError
from job.experiment.flags import Parser

Submit = Callable[..., tuple[int, str, str]]
MODEL = ("--model", "s3://fruits/out/one")
DATA = ("--data", "s3://fruits/new")


def arguments(*given: str, manifest: Sequence[str] | None = None) -> list[str]:
    """What the job gets of the arguments behind `fruits submit`."""
    command, rest = _command(given)
    document = application.load(application.shipped())
    if manifest is not None:
        document["spec"]["arguments"] = list(manifest)
    return application.prepare(document, Wanted(), rest, "the-run", command)["spec"]["arguments"]


def test_a_prediction_keeps_where_results_and_events_go_and_no_pictures_of_the_manifest():
    assert arguments("predict", *MODEL, *DATA) == [
        "predict", "--out", "s3://fruits/out", "--event-log", "s3://fruits/event-logs", *MODEL, *DATA,
        "--run-name", "the-run",
    ]  # fmt: skip


def test_what_is_given_wins_over_the_manifest_and_a_name_is_kept():
    command, given = _command(
        ["predict", *DATA, "--out", "s3://mine/out", "--run-name", "monday", "--conf", "spark.a=1"]
    )
    assert isinstance(command, Other)
    manifest = ["run", "--out", "s3://fruits/out", "--conf", "spark.b=2", "--words", "7"]
    found = command.flags(command.merge(manifest, given, "the-run"))
    assert (found["out"], found["run_name"]) == ("s3://mine/out", "monday")
    assert found["conf"] == ["spark.b=2", "spark.a=1"]
    assert "words" not in found


def test_a_manifest_of_the_same_command_is_completed():
    manifest = ["predict", *MODEL, *DATA, "--reject-below", "0.5"]
    found = arguments("predict", "--data", "s3://fruits/other", manifest=manifest)
    assert found == [*manifest, "--data", "s3://fruits/other", "--run-name", "the-run"]


def test_a_comparison_of_recipes_is_a_job_as_well():
    found = arguments("tune", *DATA, "--candidates", "fast,sift", "--folds", "3")
    assert found == [
        "tune", "--out", "s3://fruits/out", "--event-log", "s3://fruits/event-logs", *DATA, "--candidates", "fast,sift",
        "--folds", "3", "--run-name", "the-run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--candidates", "fast"), "--data is missing"),
        ((*DATA, "--grid", "grid.toml"), "a file of this machine"),
        ((*DATA, "--candidates", "fsat"), "fsat"),
    ],
)
def test_a_comparison_that_the_job_would_refuse_is_refused_here(given, said):
    with pytest.raises(UsageError, match=said):
        arguments("tune", *given)


def test_a_setting_that_the_command_does_not_have_is_left_out_of_what_is_kept():
    parser = Parser(prog="fruits toy")
    for flag in ("--out", "--run-name", "--data"):
        parser.add_argument(flag)
    manifest = ["run", "--out", "s3://a/b", "--event-log", "s3://a/c", "--conf", "spark.a=1"]
    found = Other("toy", parser, lambda _: None).merge(manifest, DATA, "x")
    assert found == ["toy", "--out", "s3://a/b", *DATA, "--run-name", "x"]


@pytest.mark.parametrize("given", [["--words", "40"], ["run", "--words", "40"], []])
def test_without_a_command_it_is_a_run(given: list[str]):
    command, rest = _command(given)
    assert isinstance(command, Run)
    assert list(rest) == [item for item in given if item != "run"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("upload", "x"), "'upload' can't be submitted: choose one of run, predict"),
        (("s3://fruits/new",), "'s3://fruits/new' can't be submitted"),
        (("predict",), "A job predicts all pictures below an address: give --data"),
        (("predict", *DATA, "s3://fruits/a.jpg"), "name no pictures"),
        (("predict", *DATA, "--words", "7"), "Unrecognized arguments: --words"),
        (("predict", *DATA, "--reject-below", "2"), "'2' must be a number from 0 to 1"),
        (("predict", *DATA, "--run-name", "a/b"), "--run-name is 'a/b'"),
        (("predict", *DATA, "-q", "-v"), "-v/--verbose: not allowed with argument -q/--quiet"),
        (("predict", *DATA, "--watch"), "--watch can't be submitted, as it works without Spark"),
    ],
)
def test_what_the_job_would_refuse_is_refused_before(given: tuple[str, ...], sentence: str):
    with pytest.raises(UsageError, match=sentence.replace("(", r"\(")):
        arguments(*given)


@pytest.mark.parametrize(
    ("given", "flag"), [(("--model", "out/one", *DATA), "--model 'out/one'"), (("--data", "here"), "--data 'here'")]
)
def test_addresses_of_this_machine_are_refused(given: tuple[str, ...], flag: str, cluster: FakeCluster, submit: Submit):
    code, _, said = submit("predict", "--", *given)
    assert (code, cluster.created) == (2, [])
    assert f"{flag} is a folder of this machine, which the cluster's pods can't reach" in said


def test_a_prediction_is_submitted_and_its_results_are_fetched(
    cluster: FakeCluster, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []
    monkeypatch.setattr(results, "check", lambda *given: asked.append(given))
    monkeypatch.setattr(results, "fetch", lambda *given: asked.append(given) or tmp_path / "monday")
    cluster.scenes = [("COMPLETED", "", [])]
    options = ("--results", str(tmp_path))
    code, _, said = submit(*options, "predict", "--", *MODEL, *DATA, "--run-name", "monday")
    assert code == 0, said
    assert said.endswith(f"Results: {tmp_path}/monday")
    assert asked == [("s3://fruits/out", tmp_path), ("s3://fruits/out", "monday", tmp_path)]
    assert cluster.created[0]["spec"]["arguments"][0] == "predict"


def test_options_may_stand_on_both_sides_of_the_command(cluster: FakeCluster, submit: Submit):
    cluster.scenes = [("COMPLETED", "", [])]
    code, _, said = submit("predict", "--executors", "3", "--", *MODEL, *DATA)
    assert code == 0, said
    made = cluster.created[0]["spec"]
    assert made["executor"]["instances"] == 3
    assert made["arguments"][0] == "predict"


def test_a_manifest_of_another_program_is_told_to_predict(cluster: FakeCluster, submit: Submit, tmp_path: Path):
    document = yaml.safe_load(application.shipped().read_text())
    document["spec"]["arguments"] = ["my-own", "--x"]
    (tmp_path / "own.yaml").write_text(json.dumps(document))
    cluster.scenes = [("COMPLETED", "", [])]
    code, _, said = submit("--manifest", str(tmp_path / "own.yaml"), "predict", "--", *DATA, "--out", "s3://a/b")
    assert code == 0, said
    assert cluster.created[0]["spec"]["arguments"][:3] == ["predict", *DATA]
