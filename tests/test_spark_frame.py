"""The table of images as a Spark frame."""

from pathlib import Path

import pyarrow as pa
import pytest

from job import dataset
from job.dataset import Images


def images(count: int) -> Images:
    names = [f"Training/Cat {number % 7}/{number}, é.jpg" for number in range(count)]
    columns = {"ima": names, "cat": [name.split("/")[1] for name in names], "size": [5500] * count}
    return Images("train", "/data", pa.table(columns).sort_by("ima"))


@pytest.mark.parametrize(
    ("pictures", "cores", "least", "expected"), [(5, 2, 18, 5), (300, 2, 1, 2), (876, 1, 17, 17), (20_000, 2, 1, 64)]
)
def test_partitions_reach_spark_with_every_picture_once(pictures, cores, least, expected, spark):
    whole = images(pictures)
    count = dataset.planned_partitions(whole, cores, least=least)
    frame = dataset.frame(spark, whole, count, 123, cores)
    assert frame.columns == ["root", "ima", "cat"]
    assert frame.rdd.getNumPartitions() == expected
    rows = frame.toArrow()
    assert sorted(zip(rows["ima"].to_pylist(), rows["cat"].to_pylist(), strict=True)) == list(
        zip(whole.table["ima"].to_pylist(), whole.table["cat"].to_pylist(), strict=True)
    )
    assert set(rows["root"].to_pylist()) == {"/data"}


def test_partitions_have_about_as_many_pictures_each(spark):
    frame = dataset.frame(spark, images(876), 4, 123, 4)
    counts = frame.rdd.mapPartitions(lambda rows: [sum(1 for _ in rows)]).collect()
    assert len(counts) == 4
    assert max(counts) - min(counts) <= 1


def test_a_real_listing_becomes_a_frame(spark, sample: Path):
    found = dataset.listing("train", str(sample), "Training")
    frame = dataset.frame(spark, found, 2, 123, 2)
    assert frame.count() == 60
    assert {row["cat"] for row in frame.select("cat").distinct().collect()} == set(found.categories())
