"""What the product uses of Spark, one thing after the other, on a local session: run inside the image, it proves that
nothing that was left out is missed. Prints `ok NAME` for each; a fault is a traceback and exit code 1.

With `--only-s3 http://host:port BUCKET`: S3A alone.
"""

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml import classification as cl
from pyspark.ml import clustering as cu
from pyspark.ml import feature as ft
from pyspark.ml import regression as rg
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import PCA, IndexToString, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.fpm import FPGrowth, PrefixSpan
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.ml.recommendation import ALS
from pyspark.ml.stat import ChiSquareTest, Correlation, Summarizer
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

FOLDER = Path(tempfile.mkdtemp())
FEATURES: list[Callable[[SparkSession], None]] = []


def feature(function: Callable[[SparkSession], None]) -> Callable[[SparkSession], None]:
    FEATURES.append(function)
    return function


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read().decode()


def numbers(spark: SparkSession) -> DataFrame:
    return spark.range(200).selectExpr(
        "id",
        "CAST(id % 3 AS STRING) AS cat",
        "CAST(id % 7 AS DOUBLE) AS a",
        "CAST(id % 5 AS DOUBLE) AS b",
        "rand(1) AS c",
    )


@feature
def sql(spark: SparkSession) -> None:
    window = Window.partitionBy("cat").orderBy("id")
    frame = numbers(spark).withColumn("rank", f.row_number().over(window))
    frame.createOrReplaceTempView("numbers")
    rows = spark.sql(
        "SELECT cat, count(*) AS n, percentile_approx(a, 0.5) FROM numbers WHERE rank > 1 "
        "GROUP BY cat ORDER BY cat COLLATE UTF8_LCASE"
    ).collect()
    assert [row.n for row in rows] == [66, 66, 65], rows
    joined = frame.join(f.broadcast(frame.select("id", f.upper("cat").alias("u"))), "id")
    assert joined.agg(f.approx_count_distinct("u"), f.to_json(f.first(f.struct("a", "b")))).count() == 1
    assert frame.repartitionByRange(5, "c").sortWithinPartitions("c").rdd.getNumPartitions() == 5
    assert (
        spark.sql("SELECT regexp_replace('Apple Red 1', ' ', '_') AS v, date_format(now(), 'yyyy') AS y").count() == 1
    )


@feature
def arrow_and_pandas(spark: SparkSession) -> None:
    def double(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([pa.compute.multiply(batch.column("id"), 2)], names=["id"])

    @f.pandas_udf("double")
    def half(values: pd.Series) -> pd.Series:
        return values / 2

    assert numbers(spark).select("id").mapInArrow(double, "id long").agg(f.sum("id")).first()[0] == 2 * 199 * 100
    assert numbers(spark).select(half("a").alias("h")).toPandas()["h"].max() == 3.0
    grouped = numbers(spark).groupBy("cat").applyInPandas(lambda g: g[["id"]].sum().to_frame().T, "id long")
    assert grouped.agg(f.sum("id")).first()[0] == 199 * 100
    table = spark.createDataFrame(pa.table({"x": pa.array([b"1", b"22"], pa.binary())})).toArrow()
    assert table.num_rows == 2


@feature
def python_workers(spark: SparkSession) -> None:
    context = spark.sparkContext
    seen, shared = context.accumulator(0), context.broadcast({"k": 5})
    total = context.parallelize(range(20), 4).map(lambda v: (v % 2, v * shared.value["k"])).reduceByKey(int.__add__)
    total.foreach(lambda _: seen.add(1))
    assert (seen.value, dict(total.collect())) == (2, {0: 450, 1: 500})


FORMS = (
    ("parquet", "snappy"),
    ("parquet", "zstd"),
    ("parquet", "gzip"),
    ("parquet", "lz4_raw"),
    ("csv", "none"),
    ("json", "gzip"),
    ("orc", "snappy"),
)


def table_formats(spark: SparkSession, root: str, forms: tuple[tuple[str, str], ...] = FORMS) -> None:
    frame = numbers(spark)
    for form, codec in forms:
        path = f"{root}/{form}-{codec}"
        columns = frame.select("id", "cat", "a")
        columns.write.format(form).option("compression", codec).option("header", True).mode("overwrite").save(path)
        back = spark.read.format(form).schema(columns.schema).option("header", True).load(path)
        assert back.where("cat = '1'").count() == 67, (form, codec)
    frame.write.partitionBy("cat").parquet(f"{root}/parts")
    assert spark.read.parquet(f"{root}/parts").where("cat = 2").count() == 66


@feature
def tables(spark: SparkSession) -> None:
    table_formats(spark, str(FOLDER / "tables"))
    bytes_ = (
        spark.read.format("binaryFile").option("pathGlobFilter", "*.json.gz").load(str(FOLDER / "tables/json-gzip"))
    )
    assert bytes_.select(f.length("content")).count() >= 1
    assert spark.read.text(str(FOLDER / "tables/json-gzip")).count() == 200


def same_when_loaded(model: PipelineModel, frame: DataFrame) -> None:
    """It is stored and loaded, and predicts the same."""
    path = str(FOLDER / type(model.stages[-1]).__name__ / model.uid)
    model.write().overwrite().save(path)
    again, found = (
        each.transform(frame.where("cat < 2")).select("prediction") for each in (PipelineModel.load(path), model)
    )
    assert again.collect() == found.collect()


@feature
def machine_learning(spark: SparkSession) -> None:
    # how queries are compiled and cut into jobs is tried above
    for key, value in {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
    }.items():
        spark.conf.set(key, value)
    frame = numbers(spark).coalesce(1).persist()
    steps = [
        StringIndexer(inputCol="cat", outputCol="label", stringOrderType="alphabetAsc"),
        VectorAssembler(inputCols=["a", "b", "c"], outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="scaled"),
        PCA(k=2, inputCol="scaled", outputCol="features"),
    ]
    learners = [
        cl.MultilayerPerceptronClassifier(layers=[2, 4, 3], maxIter=5, seed=1),
        cl.LogisticRegression(maxIter=5),
        cl.RandomForestClassifier(numTrees=3, seed=1),
        cl.LinearSVC(maxIter=2),
        cl.GBTClassifier(maxIter=2),
        cl.DecisionTreeClassifier(),
        cl.NaiveBayes(featuresCol="raw"),
    ]
    names = IndexToString(inputCol="prediction", outputCol="name", labels=["0", "1", "2"])
    first = Pipeline(stages=[*steps, learners[0], names])
    same_when_loaded(first.fit(frame), frame)
    ready = Pipeline(stages=steps).fit(frame).transform(frame).persist()
    # of two categories, and without the note that they are of three
    pair = ready.where("cat < 2").withColumn("label", f.col("label").alias("label", metadata={}))
    for learner in learners[1:]:
        two = isinstance(learner, cl.LinearSVC | cl.GBTClassifier)
        pipeline = Pipeline(stages=[learner] if two else [learner, names])
        same_when_loaded(pipeline.fit(pair if two else ready), ready)
    folds = CrossValidator(
        estimator=Pipeline(stages=[learners[1]]),
        estimatorParamMaps=ParamGridBuilder().addGrid(learners[1].regParam, [0.0, 0.1]).build(),
        numFolds=2,
        seed=1,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
    ).fit(ready)
    assert len(folds.avgMetrics) == 2
    vectors = spark.createDataFrame([(Vectors.dense([float(v), v % 2]),) for v in range(40)], ["features"])
    assert KMeans(k=3, seed=1).fit(vectors).summary.trainingCost >= 0
    assert vectors.select(vector_to_array("features").alias("v"), f.lit(1)).count() == 40
    assert vectors.select(Summarizer.mean(vectors.features)).first()[0][0] == 19.5


@feature
def algorithms(spark: SparkSession) -> None:
    """Those of MLlib that the pipeline doesn't use, for a notebook: each is fitted, and applied where it can be."""
    frame = (
        numbers(spark)
        .coalesce(1)
        .where("id < 60")
        .withColumn("label", f.col("id") % 2 * 1.0)
        .withColumn("w", f.lit(1.0))
    )
    frame = VectorAssembler(inputCols=["a", "b", "c"], outputCol="features").transform(frame).persist()
    words = frame.select(f.array("cat", f.col("a").cast("string")).alias("words"))
    counted = ft.CountVectorizer(inputCol="words", outputCol="features").fit(words).transform(words).persist()
    ratings = frame.selectExpr("CAST(id AS INT) AS user", "CAST(a AS INT) AS item", "CAST(b AS FLOAT) AS rating")
    fits = [
        (rg.GeneralizedLinearRegression(maxIter=2), frame),
        (rg.LinearRegression(solver="l-bfgs", maxIter=2), frame),
        (rg.LinearRegression(solver="normal"), frame),
        (rg.AFTSurvivalRegression(maxIter=2, censorCol="w"), frame.withColumn("label", f.lit(1.0))),
        (rg.IsotonicRegression(), frame),
        (rg.FMRegressor(maxIter=2), frame),
        (rg.GBTRegressor(maxIter=1), frame),
        (cl.FMClassifier(maxIter=2), frame),
        (cl.OneVsRest(classifier=cl.LogisticRegression(maxIter=1)), frame),
        (cu.GaussianMixture(k=2, maxIter=2), frame),
        (cu.BisectingKMeans(k=2, maxIter=2), frame),
        (cu.LDA(k=2, maxIter=2), counted),
        (cu.LDA(k=2, maxIter=2, optimizer="em"), counted),
        (ALS(rank=2, maxIter=2, numUserBlocks=2, numItemBlocks=2), ratings),
        (FPGrowth(itemsCol="words", minSupport=0.2), words.dropDuplicates()),
        (ft.Word2Vec(vectorSize=2, minCount=0, inputCol="words"), words),
        (ft.IDF(inputCol="features"), counted),
        (ft.MinHashLSH(inputCol="features", outputCol="hash"), counted),
        (ft.RFormula(formula="label ~ a + b"), frame.select("label", "a", "b")),
        (ft.QuantileDiscretizer(numBuckets=3, inputCol="c"), frame),
        (ft.RobustScaler(inputCol="features"), frame),
        (ft.VectorIndexer(inputCol="features"), frame),
    ]
    for estimator, data in fits:
        model = estimator.fit(data)
        model.transform(data).count()
        model.write().overwrite().save(str(FOLDER / "algorithm"))
    assert ft.DCT(inputCol="features", outputCol="dct").transform(frame).count() == 60
    assert PrefixSpan().findFrequentSequentialPatterns(words.select(f.array("words").alias("sequence"))).count()
    assert Correlation.corr(frame, "features", "spearman").first()
    assert ChiSquareTest.test(frame, "features", "label").first()


@feature
def streaming(spark: SparkSession) -> None:
    source, sink = FOLDER / "arrivals", FOLDER / "departures"
    source.mkdir()
    (source / "1.json").write_text('{"k": "a"}\n{"k": "b"}\n')
    stream = spark.readStream.schema("k string").json(str(source))
    written = (
        stream.writeStream.format("parquet")
        .option("path", str(sink))
        .trigger(availableNow=True)
        .option("checkpointLocation", str(FOLDER / "checkpoint"))
        .start()
    )
    counted = (
        stream.groupBy("k")
        .count()
        .writeStream.format("memory")
        .queryName("counted")
        .outputMode("complete")
        .trigger(availableNow=True)
        .start()
    )
    each: list[int] = []
    batches = (
        stream.writeStream.foreachBatch(lambda batch, _: each.append(batch.count())).trigger(availableNow=True).start()
    )
    for query in (written, counted, batches):
        assert query.awaitTermination(60), query.status
    assert (spark.read.parquet(str(sink)).count(), spark.table("counted").count(), sum(each)) == (2, 2, 2)


@feature
def user_interface(spark: SparkSession) -> None:
    base = spark.sparkContext.uiWebUrl
    pages = ("jobs/", "stages/", "storage/", "environment/", "executors/", "SQL/", "StreamingQuery/")
    for page in pages:
        assert "</html>" in fetch(f"{base}/{page}"), page
    application = json.loads(fetch(f"{base}/api/v1/applications"))[0]["id"]
    assert json.loads(fetch(f"{base}/api/v1/applications/{application}/stages"))
    assert "metrics_" in fetch(f"{base}/metrics/prometheus/")
    assert "spark_info" in fetch(f"{base}/metrics/executors/prometheus/")


@feature
def second_session_settings(spark: SparkSession) -> None:
    again = spark.newSession()
    again.conf.set("spark.sql.adaptive.enabled", "true")
    assert again.range(1000).groupBy((f.col("id") % 10).alias("k")).count().count() == 10


def s3a(spark: SparkSession, bucket: str) -> None:
    table_formats(spark, f"s3a://{bucket}/features")
    table_formats(spark, f"s3://{bucket}/mapped", FORMS[:1])  # the other scheme is the same client


def main() -> None:
    endpoint, bucket = sys.argv[2:] or ("", "")
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.prometheus.enabled", "true")
        .config("spark.metrics.conf.*.sink.prometheusServlet.class", "org.apache.spark.metrics.sink.PrometheusServlet")
        .config("spark.metrics.conf.*.sink.prometheusServlet.path", "/metrics/prometheus")
        .config("spark.sql.warehouse.dir", str(FOLDER / "warehouse"))
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.eventLog.enabled", "true")
        .config("spark.eventLog.dir", FOLDER.as_uri())
        .config("spark.authenticate", "true")
        .config("spark.network.crypto.enabled", "true")
        .config("spark.io.encryption.enabled", "true")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
    )
    if endpoint:
        for key, value in {
            "fs.s3a.endpoint": endpoint,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.input.stream.type": "classic",
            "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            "fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials"
            ".EnvironmentVariableCredentialsProvider",
        }.items():
            builder = builder.config(f"spark.hadoop.{key}", value)
    spark = builder.getOrCreate()
    if endpoint:
        s3a(spark, bucket)
        print("ok s3a", flush=True)
        return
    for function in FEATURES:
        begun = time.monotonic()
        function(spark)
        print("ok", function.__name__, round(time.monotonic() - begun, 1), flush=True)
    spark.stop()
    assert any(
        path.name.endswith(".zstd") or "events" in path.name or "local-" in path.name for path in FOLDER.iterdir()
    )
    print("ok all", flush=True)


if __name__ == "__main__":
    main()
