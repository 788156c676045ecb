"""`fruits plan`: what it prints, what it writes, and what it refuses."""

import json

import pytest
import yaml
from made_up import benchmark_of

from job.benchmark import record
from job.benchmark.schedule import Point
from job.commands import main as cli


def said(capsys, *arguments) -> tuple[int, str]:
    code = cli.main(["plan", *map(str, arguments)])
    found = capsys.readouterr()
    return code, found.err + found.out


def test_the_command_says_time_cost_and_values(benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    values = tmp_path / "values.yaml"
    code, out = said(capsys, tmp_path, "--images", 10**9, "--values", values)
    assert code == 0, out
    for part in (
        "1,000,000,000 pictures on",
        "90 % interval",
        "Cost: $",
        "Partitions: ",
        "Memory: executor",
        "Fit: ",
        "an extrapolation",
        "larger machine",
    ):
        assert part in out
    assert yaml.safe_load(values.read_text())["executor"]["instances"] > 1


def test_the_values_are_printed_where_no_file_is_named(benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    code, out = said(capsys, tmp_path / "benchmark.json", "--images", 4000, "--executors", 4)
    assert code == 0, out
    assert yaml.safe_load(out[out.index("# 4,000 pictures") :])["executor"]["instances"] == 4
    assert "extrapolation" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("none", "--images", 5), 2, "'none' can't be read"),
        (("BENCHMARK", "--images", 0), 2, "'0'"),
        (("BENCHMARK", "--images", 10**9 + 1), 2, "up to 1000000000"),
        (("BENCHMARK",), 2, "--images"),
        (("BENCHMARK", "--images", 5, "--deadline", "soon"), 2, "'soon'"),
        (("BENCHMARK", "--images", 5, "--budget", "much"), 2, "'much'"),
        (("BENCHMARK", "--images", 10**6, "--deadline", "1s"), 1, "can't be done within 1.00 s"),
    ],
)
def test_wrong_wishes_are_told_in_a_sentence(arguments, code, part, benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    found, sentence = said(capsys, *(tmp_path if item == "BENCHMARK" else item for item in arguments))
    assert found == code
    assert part in sentence
    assert len(sentence.splitlines()) == 1


def test_a_benchmark_of_one_run_is_too_little(capsys, tmp_path):
    record.write(benchmark_of([Point(1, 1, 1000, 1)]), tmp_path)
    code, sentence = said(capsys, tmp_path, "--images", 1000)
    assert code == 1
    assert "one number of executors only" in sentence


def test_as_json_the_plan_is_one_object(benchmark, capsys, tmp_path):
    record.write(benchmark, tmp_path)
    code, out = said(capsys, tmp_path, "--images", 4000, "--executors", 4, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["pictures"], found["executors"]) == (4000, 4)
    assert found["low"] <= found["seconds"] <= found["high"]
    assert found["values"]["executor"]["instances"] == 4
