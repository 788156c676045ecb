"""benchmark.json and benchmark.csv."""

import csv

import pytest
from made_up import benchmark_of, grid

from job.benchmark import record
from job.benchmark.schedule import Point
from job.errors import UsageError


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
