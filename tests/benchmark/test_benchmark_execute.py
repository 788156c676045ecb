"""Runs are made one after the other; failures, interruptions and their resumption."""

import json
from pathlib import Path

import pytest
from made_up import benchmark_of, grid, manifest_of

from job.benchmark import execute, record, report
from job.benchmark.prices import INSTANCES
from job.benchmark.schedule import Point, schedule
from job.commands import main as cli
from job.errors import UserError

FAILING = Point(2, 1, 0, 1)


class Backend:
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
    execute.execute(benchmark, points, Backend(tmp_path, FAILING), tmp_path, 60, lines.append)
    assert [run.point for run in benchmark.measured()] == [Point(1, 1, 0, 1)]
    assert [failure.point for failure in benchmark.failures] == [FAILING]
    assert [line.split("]")[0] for line in lines] == ["[1/3", "[2/3", "[3/3"]
    assert any("2 executors, repeat 1: failed: " in line and "folder" in line for line in lines)
    assert "left" in lines[0]
    assert "left" not in lines[-1]
    with pytest.raises(UserError, match=r"1 of the runs failed.*--resume") as error:
        report.finish(benchmark, tmp_path, INSTANCES["m5.xlarge"])
    assert error.value.exit_code == 1
    assert "extract_descriptors" in capsys.readouterr().out
    assert (tmp_path / "benchmark.html").exists()


def test_resuming_makes_what_is_missing_and_what_failed(tmp_path):
    points = schedule([1, 2], 1, [], 1, 123)
    execute.execute(empty(grid((1, 2), repeats=1)), points, Backend(tmp_path, FAILING), tmp_path, 60, lambda _: None)
    again = Backend(tmp_path)
    benchmark = record.read(tmp_path)
    execute.execute(benchmark, points, again, tmp_path, 60, lambda _: None)
    assert again.made == [FAILING]
    assert {run.point for run in record.read(tmp_path).runs} == set(points)
    assert record.read(tmp_path).failures == []


def test_an_interrupted_benchmark_has_kept_what_was_done(tmp_path):
    class Interrupted(Backend):
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
    execute.execute(benchmark, [FAILING], Backend(tmp_path), tmp_path, 0.001, lambda _: None)
    assert "--run-timeout" in benchmark.failures[0].sentence


def test_where_no_run_was_made_there_is_no_table(tmp_path):
    benchmark = empty(grid((1, 2), repeats=1))
    benchmark.failures = [record.Failure(FAILING, "Java is missing.")]
    with pytest.raises(UserError, match="No run of the benchmark ended well: Java is missing"):
        report.finish(benchmark, tmp_path, INSTANCES["m5.xlarge"])


# ---- the command


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
