"""What a run's Spark does with an object store, in a process of its own: `python spark_program.py BUCKET`.

Reads and writes through `s3a://` and `s3://`, and prints what it saw as JSON.
"""

import json
import sys
from pathlib import Path

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StringIndexer
from pyspark.sql import SparkSession

from job import storage
from job.engine.configuration import Configuration
from job.engine.session import session as spark_session
from job.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1]))
from running import QUICK


def main(bucket: str) -> None:
    place = f"s3://{bucket}"
    storage.make_folder(f"{place}/logs")
    conf = (f"spark.driver.extraJavaOptions={QUICK}", "spark.eventLog.compress=false")
    settings = Settings(data=f"{place}/data", event_log=f"{place}/logs", master="local[2]", conf=conf)
    configuration = Configuration.of(settings)
    with spark_session(configuration) as session:
        print(json.dumps(use(session, bucket)))


def use(session: SparkSession, bucket: str) -> dict[str, object]:
    seen: dict[str, object] = {}
    for scheme in ("s3a", "s3"):
        root = f"{scheme}://{bucket}/out é {scheme}"
        session.range(1_000).selectExpr("id", "id % 7 AS k").repartition(3).write.parquet(f"{root}/table")
        pictures = (
            session.read.format("binaryFile").option("recursiveFileLookup", "true").load(f"{scheme}://{bucket}/data")
        )
        labels = session.createDataFrame([("Lemon",), ("Orange",)], ["cat"])
        model = Pipeline(stages=[StringIndexer(inputCol="cat", outputCol="label")]).fit(labels)
        model.write().save(f"{root}/model")
        seen[scheme] = {
            "rows": session.read.parquet(f"{root}/table").where("k = 3").count(),
            "pictures": sorted((row.path.rsplit("/", 1)[-1], len(row.content)) for row in pictures.collect()),
            "labels": [row.label for row in PipelineModel.load(f"{root}/model").transform(labels).collect()],
        }
    try:
        failing = session.range(100).repartition(4).selectExpr("IF(id = 50, raise_error('stop'), id) AS id")
        failing.write.parquet(f"s3a://{bucket}/failed")
    except Exception as error:  # noqa: BLE001 - whatever Spark makes of it
        seen["failed"] = type(error).__name__
    return seen


if __name__ == "__main__":
    main(sys.argv[1])
