"""`fruits benchmark`: its options, and what it refuses before any run is made."""

import json

import pytest

from job.benchmark import record
from job.commands import main as cli


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = cli.main(["benchmark", *map(str, arguments)])
    found = capsys.readouterr()
    return code, found.err or found.out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--executors", "1,x"], "'1,x'"),
        (["--executors", "0"], "'0'"),
        (["--repeats", "0"], "'0'"),
        (["--sizes", "100", "--train-images", "5"], "--sizes is given together"),
        (["--master", "local[2]"], "--master is not for"),
        (["--run-name", "x"], "--run-name is not for"),
        (["--event-log", "x"], "--event-log is not for"),
        (["--out", "x"], "--out is not for a local benchmark"),
        (["--words", "1"], "--words is '1'"),
        (["--instance", "m1.tiny"], "'m1.tiny'"),
        (["--price-per-hour", "-1"], "'-1'"),
        (["--executor-memory", "lots"], "'lots'"),
        (["--run-timeout", "soon"], "'soon'"),
        (["--backend", "cloud"], "cloud"),
        (["--resume"], "can't be read"),
        (["--backend", "kubernetes", "--config", "x.toml"], "--config x.toml"),
        (["--backend", "kubernetes", "--manifest", "none.yaml"], "none.yaml"),
    ],
)
def test_wrong_usage_is_told_before_any_run_is_made(arguments, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, sentence = said(capsys, *arguments)
    assert code == 2
    assert part in sentence
    assert not list(tmp_path.iterdir())


def test_a_dry_run_lists_the_runs(capsys, tmp_path):
    code, out = said(
        capsys, "--executors", "1,2", "--repeats", "2", "--sizes", "100,2000", "--dry-run", "--results", tmp_path
    )
    assert code == 0
    assert out.splitlines()[0] == "[1/9] 2 executors, 100 pictures, warm-up"
    assert len(out.splitlines()) == 9


def test_a_dry_run_as_json_is_an_object_a_run(capsys, tmp_path):
    code, out = said(capsys, "--executors", "1,2", "--repeats", "1", "--dry-run", "--json", "--results", tmp_path)
    assert code == 0
    assert json.loads(out.splitlines()[0]) == {
        "event": "run", "number": 1, "of": 3, "executors": 2, "cores": 1, "repeat": 0,
    }  # fmt: skip
    assert len(out.splitlines()) == 3


def test_a_benchmark_is_not_written_over(benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    code, sentence = said(capsys, "--results", tmp_path)
    assert code == 2
    assert "--resume" in sentence


def test_a_benchmark_is_gone_on_with_by_the_same_options_only(benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    code, sentence = said(capsys, "--resume", "--executors", "1,2", "--results", tmp_path)
    assert code == 2
    assert "executors [1, 2, 4], not [1, 2]" in sentence or "arguments" in sentence


def test_the_runs_are_those_of_fruits_run_with_the_same_settings():
    found = cli.parser().parse_args(["benchmark", "--words", "30", "--no-classify", "--conf", "spark.a=1"])
    from job.commands import benchmark as command

    assert command._given(found) == ["--words", "30", "--no-classify", "--conf", "spark.a=1"]


def test_the_command_on_kubernetes_asks_for_what_the_manifest_says(capsys, tmp_path):
    code = cli.main(
        [
            "benchmark",
            "--backend",
            "kubernetes",
            "--executors",
            "1,2",
            "--repeats",
            "1",
            "--dry-run",
            "--set",
            "executor.coreRequest=500m",
            "--results",
            str(tmp_path / "r"),
        ]
    )
    assert code == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert not (tmp_path / "r").exists()
