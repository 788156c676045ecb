"""The tables of a benchmark, and the prototype's figures beside them."""

from made_up import benchmark_of, grid

from job.benchmark import prices, summary, tables

M5 = prices.INSTANCES["m5.xlarge"]


def test_the_table_has_the_prototype_beside_where_the_work_is_the_same():
    benchmark = benchmark_of(grid((1, 2), (1168,)))
    (size,) = summary.sizes(benchmark, M5)
    names, rows = tables.header(size, benchmark), tables.rows(size, benchmark)
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
        assert "laptop" not in tables.header(size, benchmark)


def test_blocks_of_features_are_other_work_than_the_prototypes_and_are_named_in_the_title():
    benchmark = benchmark_of(grid((1, 2), (1168,)))
    benchmark.settings["features"] = "soft-hsv+lbp+patches"
    (size,) = summary.sizes(benchmark, M5)
    assert "laptop" not in tables.header(size, benchmark)
    assert "pictures, soft-hsv+lbp+patches, executors" in tables.title(size, benchmark)
