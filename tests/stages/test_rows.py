"""Networks that learn from rows which stay on the executors: what they learn in the driver, they learn there."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.errors import PythonException
from pyspark.ml.functions import array_to_vector

from job.columns import lists, rows_of
from job.learn import network
from job.stages import CategoryClassifier, classifier
from job.stages.rows import kept_rows

WIDTH, CATEGORIES = 6, 3


def maker():
    """A function that tests and tasks call alike: workers can't import this module."""

    def made(numbers: NDArray[np.int64], width: int = WIDTH) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Rows of these numbers, far from 0, of unequal spreads; and their labels."""
        labels, places = numbers % CATEGORIES, np.arange(width)
        rows = np.sin(numbers[:, None] * (1.3 + places)) * (1 + places % 7)
        return rows + 50 + (places % CATEGORIES == labels[:, None]), labels

    return made


made = maker()


@pytest.fixture(scope="module")
def rows():
    return made(np.arange(900))


@pytest.fixture(scope="module")
def table(rows) -> pa.Table:
    features, labels = rows
    return pa.table({"ima": [f"{number:04d}" for number in range(900)], "features": lists(features), "label": labels})


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_IN_DRIVER", 0)


@pytest.mark.parametrize(("kind", "most"), [("logistic", 30), ("mlp", 10)])
@pytest.mark.parametrize("partitions", [3, 17])
@pytest.mark.usefixtures("spread")
def test_networks_learn_the_same_on_the_executors_and_in_the_driver(kind, most, partitions, spark, table, rows):
    frame = spark.createDataFrame(table).repartition(partitions)
    frame = frame.withColumn("features", array_to_vector("features")) if partitions == 3 else frame
    estimator = CategoryClassifier(kind=kind, maxIter=most)
    found = estimator.fit(frame)
    alone = estimator.fit_arrays(*rows)
    np.testing.assert_allclose(found.transform_arrays(rows[0]), alone.transform_arrays(rows[0]), atol=1e-6)
    assert {name: array.shape for name, array in found.arrays().items()} == {
        name: array.shape for name, array in alone.arrays().items()
    }
    assert not list(spark.sparkContext._jsc.getPersistentRDDs())


def test_sums_are_those_of_all_rows(spark, table, rows):
    features, labels = rows
    layers, flat = [WIDTH, 4, CATEGORIES], np.random.default_rng(1).normal(size=4 * (WIDTH + 1) + CATEGORIES * 5)
    frame, features_of = spark.createDataFrame(table).repartition(5), lambda batch: rows_of(batch["features"], WIDTH)
    with kept_rows(frame, ["features"], features_of, "label", WIDTH, CATEGORIES) as found:
        mean, spread = found.spread()
        scaled = found.scaled(mean, np.full(WIDTH, spread))
        loss, gradient = scaled.loss_and_gradient(flat, layers, 0.1)
    assert (found.count, found.width) == (900, WIDTH)
    own = network.ArrayRows(features, labels)
    np.testing.assert_allclose(mean, own.spread()[0], rtol=1e-12)
    assert spread == pytest.approx(own.spread()[1], rel=1e-9)
    expected = own.scaled(mean, np.full(WIDTH, spread)).loss_and_gradient(flat, layers, 0.1)
    assert loss == pytest.approx(expected[0], rel=1e-9)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-9)


@pytest.mark.usefixtures("spread")
@pytest.mark.parametrize(
    ("label", "said"), [("cast(null as bigint)", "A row has no label"), ("label + 7", "from 0 to 2")]
)
def test_labels_that_can_not_be_are_told(label, said, spark, table):
    frame = spark.createDataFrame(table).selectExpr("ima", "features", f"{label} as label")
    with pytest.raises(PythonException, match=said):
        CategoryClassifier(kind="logistic", categories=list("abc")).fit(frame)


@pytest.mark.usefixtures("spread")
def test_no_rows_are_told(spark, table):
    with pytest.raises(ValueError, match="There are no pictures to learn categories from"):
        CategoryClassifier(kind="logistic", categories=list("abc")).fit(spark.createDataFrame(table).limit(0))


def test_more_values_than_the_driver_takes_stay_on_the_executors(spark, monkeypatch: pytest.MonkeyPatch):
    count, width = 90_000, 400
    assert count * width > classifier._IN_DRIVER
    made = maker()

    def work(batches):
        for batch in batches:
            features, labels = made(batch["id"].to_numpy(), width)
            for start in range(0, len(labels), 1000):
                part = slice(start, start + 1000)
                yield pa.RecordBatch.from_arrays([lists(features[part]), pa.array(labels[part])], ["features", "label"])

    frame = spark.range(0, count, 1, 4).mapInArrow(work, "features array<double>, label bigint")
    estimator = CategoryClassifier(kind="logistic", maxIter=3)
    gathered = []
    monkeypatch.setattr(CategoryClassifier, "fit_arrays", lambda *_, **__: gathered.append(1))
    found = estimator.fit(frame)
    assert not gathered
    monkeypatch.undo()
    few = made(np.arange(count - 50, count), width)[0]
    expected = estimator.fit_arrays(*made(np.arange(count), width)).transform_arrays(few)
    np.testing.assert_allclose(found.transform_arrays(few), expected, atol=1e-6)
