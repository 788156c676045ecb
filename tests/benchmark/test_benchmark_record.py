"""benchmark.json and benchmark.csv, the order of the runs, and what the runs say together."""

import csv
import dataclasses
import json

import pytest
from made_up import benchmark_of, grid

from job.benchmark import prices, record, report, summary
from job.benchmark.schedule import Point, schedule
from job.errors import UsageError

M5 = prices.INSTANCES["m5.xlarge"]


# ---- order


def test_every_point_comes_once_before_any_comes_again_and_the_warm_up_first():
    points = schedule([1, 2, 4], 2, [100, 200], 3, seed=5)
    assert points[0] == Point(4, 2, 100, 0)
    for repeat in range(3):
        turn = points[1 + 6 * repeat : 7 + 6 * repeat]
        assert sorted(turn) == [Point(count, 2, size, repeat + 1) for count in (1, 2, 4) for size in (100, 200)]


def test_the_order_is_mixed_by_the_seed():
    once, again, other = (schedule([1, 2, 4, 8], 1, [], 3, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert once[1:] != sorted(once[1:])


@pytest.mark.parametrize(("pictures", "train", "test"), [(1168, 876, 292), (5000, 3750, 1250), (2, 1, 1)])
def test_a_quarter_of_the_pictures_is_for_the_test(pictures, train, test):
    assert Point(1, 1, pictures, 1).pictures_arguments() == ["--train-images", str(train), "--test-images", str(test)]


def test_without_sizes_the_settings_say_how_many_pictures():
    assert Point(1, 1, 0, 1).pictures_arguments() == []


# ---- files


def test_a_benchmark_reads_back_as_it_was_written(benchmark, tmp_path):
    benchmark.failures = [record.Failure(Point(1, 1, 0, 1), "It failed.")]
    record.write(benchmark, tmp_path)
    assert record.read(tmp_path) == record.read(tmp_path / "benchmark.json") == benchmark


def test_the_csv_has_a_row_for_each_operation_of_each_measured_run(tmp_path):
    record.write(benchmark_of([Point(1, 2, 0, 0), *grid((1, 2), cores=2)]), tmp_path)
    with (tmp_path / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["operation", "split", "executors", "cores", "repeat", "seconds", "pictures"]
    assert len(rows) == 6 * 7
    (row,) = (
        row
        for row in rows
        if (row["operation"], row["split"], row["executors"], row["repeat"])
        == ("extract_descriptors", "train", "2", "3")
    )
    assert float(row["seconds"]) == pytest.approx(0.4 + 4.0 * 0.75 / 4)
    assert row["cores"] == "2"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no JSON"),
        ("[]", "this version"),
        ('{"schema_version": 9}', "this version"),
        ('{"schema_version": 1, "runs": [], "failures": []}', "no whole"),
    ],
)
def test_what_is_no_benchmark_is_told_in_a_sentence(content, said, tmp_path):
    (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(UsageError, match=said):
        record.read(tmp_path)


def test_a_benchmark_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="fruits benchmark --results"):
        record.read(tmp_path / "none")


# ---- medians, speed-up, efficiency, cost


def test_speed_up_and_efficiency_are_against_the_fewest_executors(benchmark):
    small, large = summary.sizes(benchmark, M5)
    assert (small.pictures, large.pictures) == (1000, 4000)
    one, two, four = large.cells["extract_descriptors", "train"]
    assert (one.executors, two.executors, four.executors) == (1, 2, 4)
    assert one.seconds == pytest.approx(12.4)
    assert (one.shortest, one.longest) == pytest.approx((12.4 * 0.98, 12.4 * 1.02))
    assert four.speed_up == pytest.approx(12.4 / 3.4)
    assert four.efficiency == pytest.approx(12.4 / 3.4 / 4)
    assert (one.speed_up, one.efficiency) == (1.0, 1.0)


def test_cost_is_that_of_the_cores_asked_for(benchmark):
    (_, two, _) = summary.sizes(benchmark, M5)[0].cells["total", "all"]
    assert two.cost == pytest.approx(0.192 * 3 / 4 * two.seconds / 3600)
    assert prices.instance("m5.xlarge", 1.0).cost(4, 3600) == 1.0
    with pytest.raises(UsageError, match=r"'m1\.tiny'.*m5\.xlarge"):
        prices.instance("m1.tiny", None)


def test_the_table_has_the_prototype_beside_where_the_work_is_the_same():
    benchmark = benchmark_of(grid((1, 2), (1168,)))
    (size,) = summary.sizes(benchmark, M5)
    names, rows = report.header(size, benchmark), report.rows(size, benchmark)
    assert names == [
        "operation",
        "split",
        "1 ex. s",
        "±",
        "2 ex. s",
        "±",
        "x",
        "eff.",
        "EMR 8 cores",
        "EMR 16 cores",
        "laptop",
    ]
    extraction = dict(zip(names, next(row for row in rows if row[:2] == ["extract_descriptors", "train"]), strict=True))
    assert [extraction[name] for name in names[-3:]] == ["186.44", "187.22", "70.93"]
    assert {len(row) for row in rows} == {len(names)}


def test_the_prototype_is_left_out_where_the_work_is_another(benchmark):
    for size in summary.sizes(benchmark, M5):
        assert "laptop" not in report.header(size, benchmark)


# ---- sameness


def write_features(folder, name: str, value: float) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "df_lab_features_train.csv").write_text(f"ima,cat,label,0\na.jpg,A,0.0,{value!r}\n")


@pytest.mark.parametrize(("value", "same"), [(0.5, True), (0.5 + 1e-9, True), (0.5 + 1e-5, False)])
def test_results_that_differ_are_found(value, same, tmp_path):
    benchmark = benchmark_of(grid((1, 2), repeats=1))
    first, second = benchmark.runs
    benchmark.runs = [
        dataclasses.replace(first, files={"df_lab_features_train.csv": "aa"}),
        dataclasses.replace(second, files={"df_lab_features_train.csv": "bb"}),
    ]
    write_features(tmp_path, first.name, 0.5)
    write_features(tmp_path, second.name, value)
    (size,) = summary.sizes(benchmark, M5)
    assert (summary.disagreement(size, tmp_path) is None) is same
    assert ("are the same" in report.sameness(size, tmp_path)) is same


# ---- page


def test_the_page_stands_alone_and_escapes_what_comes_from_outside(benchmark, tmp_path):
    benchmark.failures = [record.Failure(Point(1, 1, 0, 1), "<script>alert(1)</script>")]
    found = report.page(benchmark, summary.sizes(benchmark, M5), tmp_path, M5)
    assert "<script" not in found
    assert "http" not in found.replace("http-equiv", "")
    assert "a &lt;CPU&gt;" in found
    for part in (
        "Seconds by operation",
        "Speed-up",
        "Efficiency",
        "Tasks on 4 executors",
        "What it costs",
        "What limits each operation",
    ):
        assert part in found
    assert found.count("<svg") == 2 * (3 + 3)
    json.dumps(found)
