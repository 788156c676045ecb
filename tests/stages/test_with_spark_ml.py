"""Our stages beside Spark ML's own, in pipelines that are not ours."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as F

from job.stages import (
    CategoryClassifier,
    CategoryIndexer,
    DescriptorExtractor,
    PrincipalComponents,
    VisualVocabulary,
)
from job.stages.scaler import BlockScaler
from job.vision.sample import sample_picture

NAMES = ["Corn", "Orange", "Raspberry"]


@pytest.fixture(scope="module")
def pictures(spark):
    """`ima, cat, content` of 24 pictures."""
    names = [f"{NAMES[number % 3]}/{number:02}.jpg" for number in range(24)]
    contents = [sample_picture(number % 3, number) for number in range(24)]
    table = pa.table(
        {"ima": names, "cat": [name.split("/")[0] for name in names], "content": pa.array(contents, pa.binary())}
    )
    return spark.createDataFrame(table).repartition(2).persist()


@pytest.fixture(scope="module")
def described(pictures):
    return DescriptorExtractor().transform(pictures).persist()


@pytest.fixture(scope="module")
def featured(described):
    """`ima, cat, label, bag, features`."""
    model = Pipeline(stages=[VisualVocabulary(k=10), PrincipalComponents(k=6), CategoryIndexer(categories=NAMES)]).fit(
        described
    )
    return model.transform(described).select("ima", "cat", "label", "bag", "features").persist()


def test_sparks_logistic_regression_learns_from_our_features(featured):
    model = LogisticRegression().fit(featured)
    accuracy = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(model.transform(featured))
    assert accuracy >= 0.9


def test_our_classifier_learns_from_sparks_features_and_is_scored_by_its_evaluators(featured):
    bags = featured.select("ima", "label", array_to_vector(F.col("bag").cast("array<double>")).alias("bag"))
    scaled = StandardScaler(inputCol="bag", outputCol="scaled", withMean=True).fit(bags).transform(bags)
    reduced = PCA(k=5, inputCol="scaled", outputCol="features").fit(scaled).transform(scaled)
    found = CategoryClassifier(kind="logistic").fit(reduced).transform(reduced)
    for metric in ("accuracy", "logLoss"):
        value = MulticlassClassificationEvaluator(metricName=metric).evaluate(found)
        assert value >= 0.8 if metric == "accuracy" else value < 1.0
    assert {row["predicted_cat"] for row in found.collect()} <= {"0.0", "1.0", "2.0", "0", "1", "2"}


def test_sparse_vectors_are_taken_as_dense_ones(spark):
    rows = [
        ("a", 0.0, [1.0, 0.0, 2.0]),
        ("b", 1.0, [0.0, 3.0, 0.0]),
        ("c", 0.0, [1.0, 0.0, 1.0]),
        ("d", 1.0, [0.0, 2.0, 1.0]),
    ]
    dense = spark.createDataFrame([(name, label, Vectors.dense(v)) for name, label, v in rows], ["ima", "label", "bag"])
    sparse = spark.createDataFrame(
        [(name, label, Vectors.sparse(3, [(i, x) for i, x in enumerate(v) if x])) for name, label, v in rows],
        ["ima", "label", "bag"],
    )
    found = [PrincipalComponents(k=2).fit(frame).projection.axes for frame in (dense, sparse)]
    np.testing.assert_allclose(found[0], found[1])


def test_a_cross_validator_chooses_our_parameters(featured):
    classifier = CategoryClassifier(categories=NAMES)
    grid = ParamGridBuilder().addGrid(classifier.kind, ["logistic", "mlp"]).build()
    chosen = CrossValidator(
        estimator=classifier,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        seed=1,
    ).fit(featured)
    assert len(chosen.avgMetrics) == 2
    assert max(chosen.avgMetrics) > 0.6


def test_two_extractors_work_in_one_pipeline(pictures):
    first = DescriptorExtractor(descriptor="sift", outputCol="s", keypointsCol="ks", reasonCol="rs", keepContent=True)
    second = DescriptorExtractor(descriptor="orb", outputCol="o", keypointsCol="ko", reasonCol="ro")
    found = PipelineModel([first, second]).transform(pictures)
    assert found.columns == ["ima", "cat", "s", "ks", "rs", "o", "ko", "ro"]
    row = found.first()
    assert len(row["s"]) == 128 * row["ks"] > 0
    assert len(row["o"]) == 32 * row["ko"] > 0


def test_several_descriptors_are_computed_at_once_and_scaled_side_by_side(pictures):
    extractor = DescriptorExtractor(descriptors=["sift", "orb"], outputCols=["s", "o"])
    words = [
        VisualVocabulary(k=6, descriptor="sift", inputCol="s", outputCol="bs"),
        VisualVocabulary(k=4, descriptor="orb", inputCol="o", outputCol="bo"),
    ]
    found = Pipeline(stages=[extractor, *words, BlockScaler(inputCols=["bs", "bo"])]).fit(pictures).transform(pictures)
    matrix = np.array([row["features"].toArray() for row in found.select("features").collect()])
    assert matrix.shape == (24, 10)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-9)
    for block in (matrix[:, :6], matrix[:, 6:]):
        assert np.square(block).sum(axis=1).mean() == pytest.approx(1.0)


# ---- what can't be meant is refused before a job runs, in a sentence


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CategoryClassifier(kind="svn"), "no classifier 'svn': choose one of mlp, logistic"),
        (lambda: DescriptorExtractor(descriptor="akaze"), "no descriptor 'akaze': choose one of sift"),
        (lambda: VisualVocabulary(encoding="fissher"), "no encoding 'fissher'"),
        (lambda: VisualVocabulary(initMode="k-means++"), "no initMode 'k-means\\+\\+': choose one of k-means"),
        (lambda: PrincipalComponents(k=0), "must be 1 or more"),
        (lambda: VisualVocabulary().setK(-3), "must be 1 or more"),
    ],
)
def test_a_wrong_parameter_is_refused_when_it_is_set(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_parameters_have_getters_and_setters():
    stage = VisualVocabulary().setK(7).setInputCol("d").setDescriptor("orb")
    assert (stage.getK(), stage.getInputCol(), stage.getDescriptor(), stage.getSeed()) == (7, "d", "orb", 123)
    assert CategoryClassifier().setKind("logistic").getKind() == "logistic"


def test_descriptors_of_another_kind_are_refused(described):
    with pytest.raises(ValueError, match="holds descriptors of 'sift', not of 'orb'"):
        VisualVocabulary(descriptor="orb").fit(described)


@pytest.mark.parametrize(("descriptor", "encoding"), [("sift", "pyramid"), ("placed-sift", "counts")])
def test_an_encoding_of_places_and_a_descriptor_without_them_are_refused(described, descriptor, encoding):
    with pytest.raises(
        ValueError, match=f"'{encoding}' does not go with the descriptor '{descriptor}', whose rows say"
    ):
        VisualVocabulary(descriptor=descriptor, encoding=encoding).fit(described)


def test_more_components_than_values_are_refused(featured):
    with pytest.raises(ValueError, match="k is 35: there are at most 10 components of 10 values"):
        PrincipalComponents(k=35).fit(featured)


def test_an_empty_frame_is_refused_in_a_sentence(featured):
    with pytest.raises(ValueError, match="no pictures to learn categories from"):
        CategoryClassifier(categories=NAMES).fit(featured.limit(0))
    with pytest.raises(ValueError, match="no rows in 'bag'"):
        PrincipalComponents(k=2).fit(featured.limit(0))


def test_a_label_without_a_category_is_refused(featured):
    with pytest.raises(ValueError, match="label 2 has no category: labels go from 0 to 1"):
        CategoryClassifier(categories=NAMES[:2]).fit(featured)
    with pytest.raises(ValueError, match="A row has no label"):
        CategoryClassifier(categories=NAMES).fit(featured.withColumn("label", F.lit(None).cast("double")))


def test_nulls_are_answered_with_a_sentence(spark, pictures, described):
    nothing = pictures.limit(2).withColumn("content", F.lit(None).cast("binary"))
    assert {row["reason"] for row in DescriptorExtractor().transform(nothing).collect()} == {"unreadable"}
    model = VisualVocabulary(k=5).fit(described)
    with pytest.raises(PySparkException, match="has no descriptors \\(null\\)"):
        model.transform(described.withColumn("descriptors", F.lit(None).cast("binary"))).collect()


def test_columns_may_have_any_name(pictures):
    frame = (
        pictures.withColumnRenamed("ima", "path").withColumnRenamed("content", "bytes").withColumnRenamed("cat", "kind")
    )
    model = Pipeline(
        stages=[
            DescriptorExtractor(imageCol="path", contentCol="bytes", outputCol="d"),
            VisualVocabulary(k=8, imageCol="path", inputCol="d", outputCol="words"),
            PrincipalComponents(k=4, inputCol="words", outputCol="pc"),
            CategoryIndexer(categories=NAMES, inputCol="kind", outputCol="y"),
            CategoryClassifier(
                categories=NAMES, imageCol="path", featuresCol="pc", labelCol="y", predictionCol="guess"
            ),
        ]
    ).fit(frame)
    found = model.transform(frame)
    assert MulticlassClassificationEvaluator(labelCol="y", predictionCol="guess").evaluate(found) > 0.8


def test_names_that_several_pictures_share_give_the_same_words_for_any_partitions(described):
    shared = described.withColumn("ima", F.lit("same.jpg"))
    found = [VisualVocabulary(k=6, sampleSize=300).fit(frame).words for frame in (shared, shared.repartition(7))]
    assert found[0].tobytes() == found[1].tobytes()


# ---- stored anywhere that Hadoop knows


@pytest.mark.parametrize("form", ["file:{}/a folder é/m", "file://{}/n", "{}/p q/m"])
def test_a_pipeline_is_saved_whole_at_any_address(form, described, tmp_path: Path):
    model = Pipeline(stages=[VisualVocabulary(k=6), PrincipalComponents(k=3)]).fit(described)
    address = form.format(tmp_path)
    model.save(address)
    loaded = PipelineModel.load(address)
    assert loaded.stages[0].words.tobytes() == model.stages[0].words.tobytes()
    np.testing.assert_array_equal(loaded.stages[1].projection.axes, model.stages[1].projection.axes)


def test_a_scheme_of_hadoops_own_is_written_through_hadoop(spark, described, tmp_path: Path):
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    configuration.set("fs.other.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystem")
    configuration.set("fs.viewfs.mounttable.here.link./models", f"file://{tmp_path}/models")
    (tmp_path / "models").mkdir()
    model = VisualVocabulary(k=6).fit(described)
    model.save("viewfs://here/models/words")
    assert (tmp_path / "models" / "words" / "data" / "arrays.npz").is_file()
    loaded = type(model).load("viewfs://here/models/words")
    assert loaded.words.tobytes() == model.words.tobytes()
