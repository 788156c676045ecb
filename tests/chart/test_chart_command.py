"""The command line that the chart writes into pods is one that `fruits` understands."""

import json
from functools import cache

import pytest
from chart import CHART, case, refusal, render

from job.commands import predict, tune
from job.commands.parsers import COMMANDS, options_of, parser, parsers_of
from job.parser import Parser


@cache
def help_of(command: str) -> str:
    return parsers_of(parser((command,)))[command].show_all()


@pytest.mark.parametrize("name", ["ci/default-values.yaml", "ci/arguments-values.yaml", "values-eks.yaml"])
def test_the_command_knows_every_flag_of_the_job(name: str) -> None:
    command, *flags = case(name).flags()
    for flag in flags:
        if flag.startswith("--"):
            assert f" {flag} " in help_of(command).replace("\n", " \n")


def allowed() -> list[str]:
    """The commands that the chart's schema takes."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    return list(schema["properties"]["job"]["properties"]["command"]["enum"])


def test_every_command_that_the_schema_allows_takes_the_flags_that_the_chart_writes() -> None:
    assert set(allowed()) <= set(COMMANDS)
    for command in allowed():
        _, *flags = render(sets=(f"job.command={command}",)).flags()
        for flag in flags:
            if flag.startswith("--"):
                assert f" {flag} " in help_of(command).replace("\n", " \n")


@pytest.mark.parametrize("name", ["ci/predict-job-values.yaml", "ci/predict-values.yaml"])
def test_what_predicts_in_the_cluster_passes_the_commands_own_checks(name: str) -> None:
    own = Parser(prog="fruits predict")
    predict.add_arguments(own)
    rendered = case(name)
    if rendered.all("CronJob"):
        fruits, command, *flags = rendered.pod("fruits-predict")["spec"]["containers"][0]["args"]
        assert (fruits, command) == ("fruits", "predict")
        found = own.parse_args(flags)
        assert (found.watch, found.once, found.run_name) == (True, True, "incoming")
        assert (found.data, found.out) == ("s3://fruits/incoming", "s3://fruits/out")
        predict._check(found)
    else:
        command, *flags = rendered.flags()
        assert command == "predict"
        found = own.parse_args(flags)
        assert (found.data, found.partitions) == ("s3://fruits/new", "20")
        assert found.event_log == "s3://fruits/event-logs"
        predict.check_submitted(found)


def test_the_schema_knows_the_flags_of_a_prediction_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    of_job = schema["job"]["allOf"][0]["then"]["properties"]["arguments"]
    (_, of_schedule) = schema["predict"]["properties"]["arguments"]["allOf"]
    for flag in {*of_job["properties"], *of_schedule["properties"]}:
        assert f" --{flag} " in help_of("predict").replace("\n", " \n")


def test_what_is_compared_in_the_cluster_passes_the_commands_own_checks() -> None:
    own = Parser(prog="fruits tune")
    tune.add_arguments(own)
    command, *flags = case("ci/tune-values.yaml").flags()
    assert command == "tune"
    found = own.parse_args(flags)
    assert (found.data, found.candidates) == ("s3://fruits/pictures", "accurate,fast,soft-hsv+lbp/lda/strong")
    assert (found.folds, found.budget, found.resume) == (4, 3600, True)
    tune.check_submitted(found)


def test_the_schema_knows_the_flags_of_a_comparison_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["job"]
    known = set(schema["allOf"][1]["then"]["properties"]["arguments"]["properties"])
    options = {option.removeprefix("--") for option in options_of(parser(("tune",)), "tune")}
    # Files of another machine, what the chart sets itself, and what does no work.
    assert known == options - {"grid", "trials", "master", "wait-for-data", "dry-run", "help", "help-all"}


@pytest.mark.parametrize("setting", ["words=50", "grid=x.toml", "protocl=rotation"])
def test_a_flag_that_a_comparison_does_not_have_is_refused_before_it_can_fail(setting: str) -> None:
    name = setting.partition("=")[0]
    assert f"'{name}'" in refusal("job.command=tune", f"job.arguments.{setting}")


def test_the_command_knows_how_the_sample_is_asked_for_and_uploaded() -> None:
    rendered = render(sets=("upload.sampleArguments.categories=5",))
    pod = rendered.pod(rendered.one("Job")["metadata"]["name"])["spec"]
    assert pod["initContainers"][0]["args"] == ["fruits", "sample", "--categories", "5", "/tmp/sample"]
    assert pod["containers"][0]["args"] == ["fruits", "upload", "--create-bucket", "/tmp/sample", "s3://fruits/sample"]
    assert "--categories N" in help_of("sample")
    assert "--create-bucket" in help_of("upload")
