"""What the runs say together: medians, speed-up, efficiency, cost, and whether they agree."""

import dataclasses

import pytest
from made_up import benchmark_of, grid

from job.benchmark import prices, summary, tables
from job.errors import UsageError

M5 = prices.INSTANCES["m5.xlarge"]


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
    assert ("are the same" in tables.sameness(size, tmp_path)) is same
