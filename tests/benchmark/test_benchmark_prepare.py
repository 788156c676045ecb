"""A benchmark is made ready: what is kept of its options, and what its runs are told."""

import json

from job.benchmark import prepare, record
from job.commands.benchmark import _given
from job.commands.main import parser
from job.experiment.choices import choices
from job.settings import resolve


def wanted(tmp_path, *options: str, environment: dict[str, str] | None = None) -> prepare.Wanted:
    found = parser().parse_args(["benchmark", *options])
    settings = resolve(vars(found), environment or {}, choices=choices())
    return prepare.Wanted([1, 2], 1, None, [], 1, tmp_path, 60.0, _given(found), settings)


def test_a_secret_of_conf_is_in_no_file_of_the_benchmark(tmp_path):
    made, launcher = prepare.local(wanted(tmp_path, "--words", "30", "--conf", "spark.my.password=hush"))
    record.write(made, tmp_path)
    assert "hush" not in (tmp_path / "benchmark.json").read_text()
    assert json.loads((tmp_path / "benchmark.json").read_text())["arguments"][-1] == "spark.my.password=***"
    assert launcher.arguments == ["--words", "30"]
    assert launcher.conf == ("spark.my.password=hush",)


def test_conf_of_the_environment_reaches_the_runs(tmp_path):
    _, launcher = prepare.local(wanted(tmp_path, environment={"FRUITS_CONF": "spark.a=1\nspark.b=2"}))
    assert launcher.conf == ("spark.a=1", "spark.b=2")


def test_a_benchmark_is_resumed_only_as_it_was_made(tmp_path):
    made, _ = prepare.local(wanted(tmp_path, "--conf", "spark.my.password=hush"))
    record.write(made, tmp_path)
    assert prepare.resume(made, tmp_path) == record.read(tmp_path)
