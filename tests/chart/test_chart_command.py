"""The command line that the chart writes into pods is one that `fruits` understands."""

import json
import subprocess
import sys
from functools import cache

import pytest
from chart import CHART, case, render

from job.commands.main import COMMANDS


@cache
def help_of(command: str) -> str:
    asked = [sys.executable, "-m", "job", command, "--help"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


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


def test_the_command_knows_how_the_sample_is_asked_for_and_uploaded() -> None:
    rendered = render(sets=("upload.sampleArguments.categories=5",))
    pod = rendered.pod(rendered.one("Job")["metadata"]["name"])["spec"]
    assert pod["initContainers"][0]["args"] == ["fruits", "sample", "--categories", "5", "/tmp/sample"]
    assert pod["containers"][0]["args"] == ["fruits", "upload", "--create-bucket", "/tmp/sample", "s3://fruits/sample"]
    assert "--categories N" in help_of("sample")
    assert "--create-bucket" in help_of("upload")
