"""Runs are made one after the other; failures, interruptions and their resumption."""

import json
import time
from pathlib import Path

import pytest
from made_up import benchmark_of, grid, manifest_of

from job.benchmark import execute, record
from job.benchmark.prices import INSTANCES
from job.benchmark.schedule import Point, schedule
from job.commands.benchmark import Told, finish
from job.errors import UserError
from job.report.console import Console

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

    def event_log(self, name: str) -> bytes:
        raise UserError(f"There is no event log of {name}.")


def told(*, quiet: bool = False, verbose: bool = False, json: bool = False) -> Told:
    """What the command tells with these options."""
    return Told(Console(quiet=quiet, verbose=verbose, as_json=json), quiet=quiet, verbose=verbose, json=json)


def empty(points):
    benchmark = benchmark_of(points)
    benchmark.runs = []
    return benchmark


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, capsys):
    points = schedule([1, 2], 1, [], 1, 123)
    benchmark, lines = empty(grid((1, 2), repeats=1)), []
    execute.execute(
        benchmark, points, FakeLauncher(tmp_path, FAILING), tmp_path, 60, lambda made: lines.append(str(made))
    )
    assert [run.point for run in benchmark.measured()] == [Point(1, 1, 0, 1)]
    assert [failure.point for failure in benchmark.failures] == [FAILING]
    assert [line.split("]")[0] for line in lines] == ["[1/3", "[2/3", "[3/3"]
    assert any("2 executors, repeat 1: failed: " in line and "folder" in line for line in lines)
    assert "left" in lines[0]
    assert "left" not in lines[-1]
    with pytest.raises(UserError, match=r"1 of the runs failed.*--resume") as error:
        finish(benchmark, tmp_path, INSTANCES["m5.xlarge"], told())
    assert error.value.exit_code == 1
    assert "extract_descriptors" in capsys.readouterr().out
    assert (tmp_path / "benchmark.html").exists()


def test_a_run_whose_tasks_are_not_known_is_kept_and_told(tmp_path):
    points = schedule([1], 1, [], 1, 123)
    benchmark, lines = empty(grid((1,), repeats=1)), []
    execute.execute(benchmark, points, FakeLauncher(tmp_path), tmp_path, 60, lambda made: lines.append(str(made)))
    assert [run.tasks for run in benchmark.runs] == [[]] * len(points)
    assert all("its tasks are not known: There is no event log of" in line for line in lines)


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


def test_a_run_that_does_not_end_when_it_is_asked_to_is_killed(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(300)\n"
    )
    launcher = FakeLauncher(tmp_path)
    monkeypatch.setattr(launcher, "command", lambda *_: (["--version"], {"PYTHONPATH": str(tmp_path)}))
    monkeypatch.setattr(execute, "_GRACE", 0.2)
    benchmark, begun = empty(grid((1, 2), repeats=1)), time.monotonic()
    execute.execute(benchmark, [FAILING], launcher, tmp_path, 3, lambda _: None)
    assert "--run-timeout" in benchmark.failures[0].sentence
    assert time.monotonic() - begun < 100


def test_what_a_failed_run_says_need_not_be_utf8(tmp_path, monkeypatch):
    launcher, benchmark = FakeLauncher(tmp_path), empty(grid((1, 2), repeats=1))
    line = (["show", "--out", "Rübe"], {"PYTHONIOENCODING": "latin-1"})
    monkeypatch.setattr(launcher, "command", lambda *_: line)
    execute.execute(benchmark, [FAILING], launcher, tmp_path, 60, lambda _: None)
    assert "R\ufffdbe': make one with" in benchmark.failures[0].sentence


def test_where_no_run_was_made_there_is_no_table(tmp_path):
    benchmark = empty(grid((1, 2), repeats=1))
    benchmark.failures = [record.Failure(FAILING, "Java is missing.")]
    with pytest.raises(UserError, match="No run of the benchmark ended well: Java is missing"):
        finish(benchmark, tmp_path, INSTANCES["m5.xlarge"], told())


def whole(folder: Path, tell: Told) -> None:
    """Two runs and a warm-up, the second of which fails, and what they say together."""
    benchmark = empty(grid((1, 2), repeats=1))
    points = schedule([1, 2], 1, [], 1, 123)
    execute.execute(benchmark, points, FakeLauncher(folder, FAILING), folder, 60, tell.attempt)
    with pytest.raises(UserError, match="1 of the runs failed"):
        finish(benchmark, folder, INSTANCES["m5.xlarge"], tell)


def test_a_quiet_benchmark_tells_what_failed_and_where_the_results_are(tmp_path, capsys):
    whole(tmp_path, told(quiet=True))
    *troubles, end = capsys.readouterr().out.splitlines()
    (failed,) = (line for line in troubles if "its tasks are not known" not in line)
    assert "2 executors, repeat 1: failed: " in failed
    assert end == f"Results: {tmp_path / 'benchmark.json'}, benchmark.csv, benchmark.html"
    assert (tmp_path / "benchmark.html").exists()


def test_a_verbose_benchmark_tells_the_seconds_of_each_run_too(tmp_path, capsys):
    whole(tmp_path, told())
    usual = capsys.readouterr().out
    (tmp_path / "again").mkdir()
    whole(tmp_path / "again", told(verbose=True))
    more = capsys.readouterr().out
    assert "    extract_descriptors train: " in more
    assert "    extract_descriptors train: " not in usual
    assert len(more.splitlines()) > len(usual.splitlines())


def test_as_json_each_line_of_a_benchmark_is_an_object(tmp_path, capsys):
    whole(tmp_path, told(json=True, verbose=True))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert set(kinds) == {"run", "timing", "warning", "size", "operation", "done"}
    runs = [event for event in events if event["event"] == "run"]
    assert [(run["number"], run["of"]) for run in runs] == [(1, 3), (2, 3), (3, 3)]
    (failed,) = (run for run in runs if "seconds" not in run)
    assert (failed["executors"], failed["repeat"]) == (2, 1)
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert [message for message in warnings if message.startswith("2 executors, repeat 1: ")]
    (extraction,) = (
        event
        for event in events
        if event["event"] == "operation" and (event["operation"], event["split"]) == ("extract_descriptors", "train")
    )
    assert extraction["executors"] == 1
    assert extraction["seconds"] > 0
    assert extraction["speed_up"] == 1
    assert events[-1] == {"event": "done", "out": str(tmp_path)}
