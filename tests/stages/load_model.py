"""Loads a stored model as any user of Spark would, in a process that knows nothing of the run, and predicts.

Arguments: the model, the folder of the pictures, the file for the predictions (JSON). Pictures are read by Spark.
"""

import json
import os
import sys

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

model, folder, output = sys.argv[1:]
os.environ["PYSPARK_PYTHON"] = sys.executable
quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.extraJavaOptions", quick)
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
pictures = (
    spark.read.format("binaryFile")
    .option("recursiveFileLookup", "true")
    .option("pathGlobFilter", "*.jpg")
    .load(folder)
    .select(F.col("path").alias("ima"), "content")
)
found = PipelineModel.load(model).transform(pictures).select("ima", "prediction", "predicted_cat", "probability")
with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123  (one line, no path to join)
    # the probability of the category that was predicted
    json.dump([{**row.asDict(), "probability": float(max(row["probability"]))} for row in found.collect()], file)
spark.stop()
