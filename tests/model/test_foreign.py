"""Without `model.json`, a half-written model of this program is told apart from models of other software."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stored as kept
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StandardScaler, Tokenizer
from pyspark.ml.linalg import Vectors

from job import load_model
from job.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def refusal(uri: Path) -> str:
    with pytest.raises(UserError) as error:
        load_model(uri)
    return error.value.message


def by_spark_ml(folder: Path) -> str:
    return (
        f"The model '{folder}' was saved by Spark ML and has no model.json: load it with Spark ML, or give the folder "
        "of a run of fruits."
    )


# ---- half-written


def test_after_each_file_that_a_run_writes_the_model_is_half_there(tmp_path: Path):
    parts = kept.files()
    names = ["metadata/part-00000", *sorted(name for name in parts if name.startswith("stages/"))]
    assert {*names, "model.json"} == set(parts)
    for count in range(1, len(names) + 1):
        kept.write(tmp_path / "model", {name: parts[name] for name in names[:count]})
        for address in (tmp_path / "model", tmp_path):
            assert f"'{tmp_path / 'model'}' is only half there" in refusal(address)
    kept.write(tmp_path / "model", parts)
    load_model(tmp_path)


def test_a_copy_that_has_its_stages_alone_is_half_there(tmp_path: Path):
    kept.write(tmp_path, {name: data for name, data in kept.files().items() if name.startswith("stages/")})
    assert "is only half there" in refusal(tmp_path)


def test_a_half_written_model_with_a_file_of_mlflow_beside_it_is_ours(tmp_path: Path):
    parts = {name: data for name, data in kept.files().items() if name != "model.json"}
    kept.write(tmp_path, {**parts, "MLmodel": b"flavors: {}\n"})
    assert "is only half there" in refusal(tmp_path)


# ---- other software


def test_a_pipeline_that_spark_ml_has_saved_is_named_as_such(tmp_path: Path, spark: "SparkSession"):
    texts = spark.createDataFrame([("red apple",)], ["text"])
    model = Pipeline(stages=[Tokenizer(inputCol="text", outputCol="words")]).fit(texts)
    model.save(str(tmp_path / "saved"))
    assert refusal(tmp_path / "saved") == by_spark_ml(tmp_path / "saved")
    # A copy that left out what Spark marks as whole is no model of this program either.
    (tmp_path / "saved" / "metadata" / "_SUCCESS").unlink()
    assert refusal(tmp_path / "saved") == by_spark_ml(tmp_path / "saved")


def test_a_stage_that_spark_ml_has_saved_is_named_as_such(tmp_path: Path, spark: "SparkSession"):
    vectors = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),), (Vectors.dense([2.0, 5.0]),)], ["vector"])
    StandardScaler(inputCol="vector", outputCol="scaled").fit(vectors).save(str(tmp_path / "saved"))
    assert refusal(tmp_path / "saved") == by_spark_ml(tmp_path / "saved")


def test_a_pipeline_of_ours_that_spark_ml_has_saved_is_no_run_to_wait_for(tmp_path: Path, spark: "SparkSession"):
    PipelineModel.load(str(kept.V1 / "model")).save(str(tmp_path / "saved"))
    assert refusal(tmp_path / "saved") == by_spark_ml(tmp_path / "saved")


def test_a_model_of_mlflow_is_named_as_such(tmp_path: Path):
    kept.write(tmp_path / "mine", {"MLmodel": b"flavors:\n  sklearn: {}\n", "model.pkl": b"\x80\x04N."})
    message = refusal(tmp_path / "mine")
    assert f"The model '{tmp_path / 'mine'}' was saved by MLflow and has no model.json" in message


# ---- a description made up to break its reader


def test_lists_in_lists_are_refused_at_any_depth(tmp_path: Path):
    text = (kept.V1 / "model" / "model.json").read_text(encoding="utf-8")
    folder = kept.write(tmp_path, kept.files())
    for depth in range(900, 1001):
        deep = text.replace('"facts": {', f'"facts": {{"deep": {"[" * depth}{"]" * depth}, ', 1)
        (folder / "model.json").write_text(deep, encoding="utf-8")
        assert "is damaged" in refusal(folder)
