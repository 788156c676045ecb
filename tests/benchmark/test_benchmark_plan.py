"""Plans from a benchmark: what they promise, what they refuse, and the values that the chart takes."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml
from made_up import benchmark_of, grid, seconds_of

from job.benchmark import law, plan, prices
from job.errors import UserError

M5 = prices.INSTANCES["m5.xlarge"]
CHART = Path(__file__).resolve().parents[2] / "helm" / "fruits"


def choose(benchmark, pictures, **wanted):
    return plan.choose(law.fit(benchmark), benchmark, M5, pictures, **wanted)


def test_a_deadline_is_kept_by_the_cheapest_cluster(benchmark):
    found = choose(benchmark, 100_000, deadline=180.0)
    assert found.high <= 180.0
    others = [plan.make(law.fit(benchmark), benchmark, M5, 100_000, count) for count in range(1, 64)]
    assert found.cost == min(other.cost for other in others if other.high <= 180.0)


def test_a_budget_buys_the_quickest_run(benchmark):
    cheapest = min(
        (plan.make(law.fit(benchmark), benchmark, M5, 100_000, count) for count in (1, 2, 3, 4, 8)),
        key=lambda made: made.cost,
    )
    found = choose(benchmark, 100_000, budget=3 * cheapest.cost)
    assert found.cost <= 3 * cheapest.cost
    assert found.seconds < cheapest.seconds


def test_without_wishes_executors_are_added_as_long_as_they_are_worth_it(benchmark):
    small, large = (choose(benchmark, pictures) for pictures in (2000, 1_000_000))
    assert 1 <= small.executors < large.executors <= 1000


def test_what_no_cluster_can_do_is_told_with_the_nearest(benchmark):
    with pytest.raises(UserError, match=r"can't be done within 5\.00 s .*the quickest is .*the cheapest"):
        choose(benchmark, 100_000, deadline=5.0)
    with pytest.raises(UserError, match=r"within 3 min 00 s|for \$1e-06|for \$0\.000001"):
        choose(benchmark, 100_000, budget=1e-6)


@pytest.mark.parametrize("pictures", [1, 1000, 10**6, 10**9])
def test_a_plan_reaches_from_one_picture_to_a_billion(pictures, benchmark):
    found = choose(benchmark, pictures)
    assert 0 < found.low <= found.seconds <= found.high
    assert found.cost > 0
    assert found.partitions >= 1
    assert found.driver_heap >= 1024
    assert found.heap >= 1024


def test_the_time_is_that_of_the_law(benchmark):
    found = choose(benchmark, 20_000, executors=4)
    assert found.seconds == pytest.approx(sum(seconds_of(20_000, 4).values()) + 0.5, rel=0.05)
    assert found.executors == 4


def test_other_numbers_of_pictures_need_a_benchmark_of_several():
    one = benchmark_of(grid((1, 2), (1000,)))
    plan.check(one, 1000)
    with pytest.raises(UserError, match=r"1,000 pictures only.*--sizes"):
        plan.check(one, 2000)


def test_a_benchmark_without_runs_tells_nothing(benchmark):
    benchmark.runs = []
    with pytest.raises(UserError, match="no run that ended well"):
        plan.check(benchmark, 10)


def test_the_driver_has_room_for_the_matrix_that_a_classifier_is_trained_on(benchmark):
    benchmark.settings |= {"classifier": "logistic", "components": 350}
    matrix = 8 * 750_000 * 350 / 2**20
    found = choose(benchmark, 1_000_000, executors=4)
    benchmark.settings["classifier"] = "lda"
    without = choose(benchmark, 1_000_000, executors=4)
    assert found.driver_overhead - without.driver_overhead >= 2.9 * matrix
    assert found.driver_heap - without.driver_heap >= 0.9 * matrix
    benchmark.settings |= {"classifier": "logistic", "no_classify": True}
    assert choose(benchmark, 1_000_000, executors=4).driver_overhead == without.driver_overhead


# ---- the chart


def properties(schema: dict, *path: str) -> dict:
    for name in path:
        schema = schema["properties"][name]
    return schema


def test_the_values_are_such_as_the_charts_schema_has(benchmark):
    schema = json.loads((CHART / "values.schema.json").read_text())
    for role, found in plan.values(choose(benchmark, 10**6)).items():
        known = properties(schema, role)["properties"]
        assert set(found) <= set(known)
        for key, value in found.items():
            reference = known[key].get("$ref", "").rpartition("/")[2]
            if reference:
                wanted = schema["definitions"][reference]
                patterns = [part["pattern"] for part in (wanted, *wanted.get("anyOf", ())) if "pattern" in part]
                assert any(re.search(pattern, str(value)) for pattern in patterns), (key, value)
            else:
                assert isinstance(value, int)


def test_helm_takes_the_values(benchmark, tmp_path):
    spec = importlib.util.spec_from_file_location("chart_render_of_plans", CHART.parent / "render.py")
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    if not render.find_tool("helm"):
        pytest.skip("helm is not installed")
    found = choose(benchmark, 10**6, executors=7)
    file = tmp_path / "values.yaml"
    file.write_text(plan.values_text(found))
    documents = [document for document in yaml.safe_load_all(render.helm_template("-f", str(file))) if document]
    (job,) = (document["spec"] for document in documents if document["kind"] == "SparkApplication")
    assert job["executor"]["instances"] == 7
    assert job["executor"]["memory"] == plan.values(found)["executor"]["memory"]
    assert job["driver"]["memoryOverhead"] == plan.values(found)["driver"]["memoryOverhead"]
