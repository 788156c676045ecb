"""The page of a benchmark."""

import json

from job.benchmark import page, prices, record, summary
from job.benchmark.schedule import Point

M5 = prices.INSTANCES["m5.xlarge"]


def test_the_page_stands_alone_and_escapes_what_comes_from_outside(benchmark, tmp_path):
    benchmark.failures = [record.Failure(Point(1, 1, 0, 1), "<script>alert(1)</script>")]
    found = page.page(benchmark, summary.sizes(benchmark, M5), tmp_path, M5)
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
