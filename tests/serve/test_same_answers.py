"""One model answers the same wherever it is asked: Python, shell, batch, watch, HTTP, MLflow, the pipeline of Spark."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from running import Shared, fruits, results
from serving import start, stop

from job import load_model

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Answers = dict[str, tuple[str | None, float]]
COUNT = 12
SHARE = 0.5
"""The share of known pictures that everybody is asked to lose, so that some answers are `unknown`."""


@pytest.fixture(scope="module")
def whole(shared: Shared, sample: Path, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    answer = shared("run", "--data", sample, "--out", out, "--classifier", "lda", "--words", 32)
    assert answer.code == 0, answer.err
    return results(out)


@pytest.fixture(scope="module")
def pictures(whole, sample: Path) -> dict[str, bytes]:
    names = sorted(row["ima"] for row in whole.rows("predictions.csv"))[:COUNT]
    return {name: (sample / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def expected(whole, pictures) -> Answers:
    found = load_model(whole.folder).predict(list(pictures.values()), reject_unknown=SHARE)
    assert {each.status for each in found} == {"ok", "unknown"}
    return {name: (each.category, each.probability) for name, each in zip(pictures, found, strict=True)}


@pytest.fixture(scope="module")
def every(whole, pictures) -> Answers:
    """What is answered where nothing is rejected."""
    found = load_model(whole.folder).predict(list(pictures.values()))
    return {name: (each.category, each.probability) for name, each in zip(pictures, found, strict=True)}


def same(found: Answers, expected: Answers) -> None:
    assert found.keys() == expected.keys()
    for name, (category, probability) in expected.items():
        assert found[name] == (category, pytest.approx(probability, abs=1e-6)), name


def of_frame(names, frame: pd.DataFrame) -> Answers:
    # MLflow's function for Spark makes a text of a category that there is none of: the status says so
    categories = frame["category"].where(frame["status"] == "ok", None)
    return dict(zip(names, zip(categories, frame["probability"], strict=True), strict=True))


def test_the_shell(whole, sample, pictures, expected) -> None:
    answer = fruits("predict", "--model", whole.folder, "--json", "--reject-unknown", SHARE, *pictures, folder=sample)
    rows = map(json.loads, answer.out.splitlines())
    same({row["picture"]: (row["category"], row["probability"]) for row in rows}, expected)


@pytest.fixture
def folder(pictures, tmp_path) -> Path:
    """The pictures in a folder of their own."""
    for name, data in pictures.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "in"


def test_a_watch(whole, folder, expected, tmp_path) -> None:
    answer = fruits(
        "predict", "--model", whole.folder, "--data", folder, "--out", tmp_path / "out", "--run-name", "live",
        "--watch", "--once", "--reject-unknown", SHARE,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    found = pd.read_parquet(tmp_path / "out" / "live" / "batches")
    same(dict(zip(found["ima"], zip(found["predicted_cat"], found["probability"], strict=True), strict=True)), expected)


def test_a_batch(whole, shared, folder, expected, tmp_path) -> None:
    answer = shared(
        "predict", "--model", whole.folder, "--data", folder, "--out", tmp_path / "out", "--reject-unknown", SHARE
    )
    assert answer.code == 0, answer.err
    rows = results(tmp_path / "out").rows("predictions.csv")
    same({row["ima"]: (row["predicted_cat"] or None, float(row["probability"])) for row in rows}, expected)


def test_the_run_itself(whole, pictures, every) -> None:
    rows = {row["ima"]: row for row in whole.rows("predictions.csv")}
    same({name: (rows[name]["predicted_cat"], float(rows[name]["probability"])) for name in pictures}, every)


def test_http(whole, pictures, expected) -> None:
    server = start("--model", whole.folder)
    try:
        found = {name: server.predict(data, f"?reject_unknown={SHARE}").json for name, data in pictures.items()}
    finally:
        stop(server)
    same({name: (each["category"], each["probability"]) for name, each in found.items()}, expected)


def test_the_pipeline_of_spark(whole, pictures, every, spark: "SparkSession") -> None:
    from pyspark.ml import PipelineModel

    frame = spark.createDataFrame(
        [(name, bytearray(data)) for name, data in pictures.items()], "ima string, content binary"
    )
    rows = PipelineModel.load(str(whole.folder / "model")).transform(frame).collect()
    same({row["ima"]: (row["predicted_cat"], float(row["probability"].toArray().max())) for row in rows}, every)


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow(whole, pictures, expected, every) -> None:
    from mlflow import pyfunc

    loaded = pyfunc.load_model(str(whole.folder / "model"))
    found = loaded.predict(pd.DataFrame({"picture": list(pictures.values())}), params={"reject_unknown": SHARE})
    same(of_frame(pictures, found), expected)
    assert json.loads(found["top"][0])[0]["category"] == every[next(iter(pictures))][0]
    unknown = loaded.predict(pd.DataFrame({"picture": list(pictures.values())[:1]}), params={"reject_below": 1.0})
    assert (unknown["category"][0], unknown["status"][0]) == (None, "unknown")


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_on_spark(whole, pictures, expected, spark: "SparkSession") -> None:
    from mlflow import pyfunc

    udf = pyfunc.spark_udf(
        spark,
        str(whole.folder / "model"),
        result_type="category string, probability double, status string, top string",
        env_manager="local",
        params={"reject_unknown": SHARE},
    )
    frame = spark.createDataFrame(
        [(name, bytearray(data)) for name, data in pictures.items()], "ima string, picture binary"
    )
    found = frame.select("ima", udf("picture").alias("answer")).select("ima", "answer.*").toPandas()
    same(of_frame(found["ima"], found), expected)


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_knows_signature_and_example_and_stores_no_pickle(whole) -> None:
    from mlflow.models import Model

    found = Model.load(str(whole.folder / "model"))
    assert found.signature.inputs.input_names() == ["picture"]
    assert "category" in found.signature.outputs.input_names()
    example = json.loads((whole.folder / "model" / "input_example.json").read_text())
    assert example["columns"] == ["picture"]
    assert not [path for path in (whole.folder / "model").rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_the_card_lies_beside_the_model_and_may_be_changed(whole) -> None:
    card = whole.folder / "model" / "README.md"
    assert "## How good it is" in card.read_text()
    card.write_text(card.read_text() + "\nMore.\n")
    assert load_model(whole.folder).categories
