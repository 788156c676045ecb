"""Descriptors of a split: extracted, or taken from the cache of an earlier run."""

import hashlib
import json
from typing import TYPE_CHECKING

from job import dataset, storage
from job.engine import spark as spark_session
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame, SparkSession

# Counts up when descriptors of the same name come to have other values.
_FORMAT = 1


def descriptors(
    spark: "SparkSession",
    images: dataset.Images,
    cores: int,
    settings: Settings,
    waited: "Accumulator[float] | None" = None,
) -> "DataFrame":
    """Frame `ima, cat, descriptors, keypoints, reason`, kept in memory and on disk by the executors.

    With `--cache`, written there as Parquet under a name made of the pictures' names and sizes and of the descriptor;
    what is there under that name is read, and nothing is extracted. `waited` adds up the seconds for which workers
    waited for pictures.
    """
    from job.stages import DescriptorExtractor

    place = _place(images, settings) if settings.cache else None
    if place is None or not storage.exists(storage.join(place, "_SUCCESS")):
        extractor = DescriptorExtractor(descriptor=settings.descriptor)
        extractor.waited = waited
        count = dataset.planned_partitions(images, cores, exactly=settings.partitions, least=settings.min_partitions)
        found = extractor.transform(dataset.frame(spark, images, count, settings.seed, cores))
        if place is None:
            return found.persist()
        found.write.mode("overwrite").parquet(spark_session.uri(place))
    return spark.read.parquet(spark_session.uri(place)).persist()


def _place(images: dataset.Images, settings: Settings) -> str:
    assert settings.cache is not None
    key = json.dumps([_FORMAT, settings.descriptor, images.digest()])
    return storage.join(settings.cache, f"{settings.descriptor}-{hashlib.sha256(key.encode()).hexdigest()[:24]}")
