"""Runs are made one after the other; failures, interruptions and their resumption."""

import json
from pathlib import Path

import pytest
from made_up import benchmark_of, grid, manifest_of

from job.benchmark import execute, record
from job.benchmark.prices import INSTANCES
from job.benchmark.schedule import Point, schedule
from job.commands.benchmark import finish
from job.errors import UserError

FAILING = Point(2, 1, 0, 1)


class FakeLauncher:
    """Leaves a manifest and says a version in place of a run; fails at one point."""

    def __init__(self, folder: Path, failing: Point | None = None) -> None:
        self.folder, self.failing = folder, failing
        self.made: list[Point] = []

    def command(self, point: Point, name: str):
        self.made.append(point)
        if point == self.failing:
            return ["sample"], {}
        place = self.folder / "runs" / name
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(json.dumps(manifest_of(point, name=name)))
        return ["--version"], {"PYTHONDONTWRITEBYTECODE": "1"}

    def event_log(self, name: str, said: str) -> bytes:
        raise OSError(name, said)


def empty(points):
    benchmark = benchmark_of(points)
    benchmark.runs = []
    return benchmark


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, capsys):
    points = schedule([1, 2], 1, [], 1, 123)
    benchmark, lines = empty(grid((1, 2), repeats=1)), []
    execute.execute(benchmark, points, FakeLauncher(tmp_path, FAILING), tmp_path, 60, lines.append)
    assert [run.point for run in benchmark.measured()] == [Point(1, 1, 0, 1)]
    assert [failure.point for failure in benchmark.failures] == [FAILING]
    assert [line.split("]")[0] for line in lines] == ["[1/3", "[2/3", "[3/3"]
    assert any("2 executors, repeat 1: failed: " in line and "folder" in line for line in lines)
    assert "left" in lines[0]
    assert "left" not in lines[-1]
    with pytest.raises(UserError, match=r"1 of the runs failed.*--resume") as error:
        finish(benchmark, tmp_path, INSTANCES["m5.xlarge"])
    assert error.value.exit_code == 1
    assert "extract_descriptors" in capsys.readouterr().out
    assert (tmp_path / "benchmark.html").exists()


def test_resuming_makes_what_is_missing_and_what_failed(tmp_path):
    points = schedule([1, 2], 1, [], 1, 123)
    execute.execute(
        empty(grid((1, 2), repeats=1)), points, FakeLauncher(tmp_path, FAILING), tmp_path, 60, lambda _: None
    )
    again = FakeLauncher(tmp_path)
    benchmark = record.read(tmp_path)
    execute.execute(benchmark, points, again, tmp_path, 60, lambda _: None)
    assert again.made == [FAILING]
    assert {run.point for run in record.read(tmp_path).runs} == set(points)
    assert record.read(tmp_path).failures == []


def test_an_interrupted_benchmark_has_kept_what_was_done(tmp_path):
    class Interrupted(FakeLauncher):
        def command(self, point: Point, name: str):
            if len(self.made) == 2:
                raise KeyboardInterrupt
            return super().command(point, name)

    points = schedule([1, 2], 1, [], 2, 123)
    with pytest.raises(KeyboardInterrupt):
        execute.execute(empty(grid((1, 2), repeats=2)), points, Interrupted(tmp_path), tmp_path, 60, lambda _: None)
    assert [run.point for run in record.read(tmp_path).runs] == points[:2]


def test_a_run_that_does_not_end_is_ended(tmp_path):
    benchmark = empty(grid((1, 2), repeats=1))
    execute.execute(benchmark, [FAILING], FakeLauncher(tmp_path), tmp_path, 0.001, lambda _: None)
    assert "--run-timeout" in benchmark.failures[0].sentence


def test_where_no_run_was_made_there_is_no_table(tmp_path):
    benchmark = empty(grid((1, 2), repeats=1))
    benchmark.failures = [record.Failure(FAILING, "Java is missing.")]
    with pytest.raises(UserError, match="No run of the benchmark ended well: Java is missing"):
        finish(benchmark, tmp_path, INSTANCES["m5.xlarge"])
