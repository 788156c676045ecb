"""The model that a run leaves answers the same without Spark as in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import stored as kept
from pyspark.ml import PipelineModel
from running import Results, Shared, results

from job import Model, load_model
from job.vision.sample import sample_picture

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECIPES = {
    "sift": ("--preset", "reference", "--words", 30),
    "two blocks": ("--features", "rootsift:counts:20+orb:counts:20", "--components", 10),
    "blocks with places": ("--features", "rootsift:pyramid:20+orb:rings:10"),
    "blocks as they are": ("--features", "sift:counts:20+hsv"),
    "histograms and patches": ("--features", "soft-hsv+lbp+patches:patches:64", "--classifier", "rda"),
}
BAD = {"bad/empty.jpg": b"", "bad/text.jpg": b"no picture", "bad/cut.jpg": sample_picture(0, 7)[:2000]}


@pytest.fixture(scope="module", params=sorted(RECIPES))
def run(request: pytest.FixtureRequest, shared: Shared, sample: Path, tmp_path_factory) -> Results:
    out = tmp_path_factory.mktemp("run") / "out"
    answer = shared("run", "--data", sample, "--out", out, *RECIPES[request.param])
    assert answer.code == 0, answer.err
    return results(out)


@pytest.fixture(scope="module")
def model(run: Results) -> Model:
    return load_model(run.folder)


@pytest.fixture(scope="module")
def pictures(run: Results, sample: Path) -> dict[str, bytes]:
    """Good pictures that were scored, and bad ones among them."""
    names = [row["ima"] for row in run.rows("predictions.csv")]
    return dict(sorted({**{name: (sample / name).read_bytes() for name in names}, **BAD}.items()))


@pytest.fixture
def frame(spark: "SparkSession") -> Callable[[dict[str, bytes]], "DataFrame"]:
    def of(pictures: dict[str, bytes]) -> "DataFrame":
        rows = [(name, bytearray(data)) for name, data in pictures.items()]
        return spark.createDataFrame(rows, "ima string, content binary")

    return of


def test_the_same_answers_as_the_pipeline_of_spark(run: Results, model: Model, pictures: dict[str, bytes], frame):
    found = PipelineModel.load(str(run.folder / "model")).transform(frame(pictures)).orderBy("ima").collect()
    assert [row["ima"] for row in found] == list(pictures)
    predictions = model.predict(list(pictures.values()))
    assert [row["reason"] or "ok" for row in found] == [each.status for each in predictions]
    assert [row["predicted_cat"] for row in found] == [each.category for each in predictions]
    assert [row["prediction"] for row in found] == [each.label for each in predictions]
    good = [place for place, row in enumerate(found) if row["reason"] is None]
    assert len(good) == len(pictures) - len(BAD)
    for column, ask in (("features", model.features), ("probability", model.probabilities)):
        expected = [found[place][column].toArray() for place in good]
        np.testing.assert_allclose(ask(list(pictures.values()))[good], expected, rtol=0, atol=1e-6)


def test_the_same_answers_as_the_tables_of_the_run(run: Results, model: Model, sample: Path):
    rows = run.rows("predictions.csv")
    predictions = model.predict([sample / row["ima"] for row in rows], top_k=1)
    assert [row["predicted_cat"] for row in rows] == [each.category for each in predictions]
    np.testing.assert_allclose(
        [each.probability for each in predictions], [float(row["probability"]) for row in rows], rtol=0, atol=1e-6
    )
    names = [row["ima"] for row in run.rows("df_lab_features_test.csv")]
    np.testing.assert_allclose(
        model.features([sample / name for name in names]), run.matrix("df_lab_features_test.csv"), rtol=0, atol=1e-6
    )
    assert model.facts == {"run_name": run.folder.name, "accuracy": run.manifest["accuracy"]}


def test_the_description_is_written_after_all_other_files_of_the_model(run: Results):
    content = run.folder / "model" / "model.json"
    written = [(content.parent / path).stat().st_mtime_ns for path in json.loads(content.read_text())["files"]]
    assert max(written) <= content.stat().st_mtime_ns
    described = json.loads((run.folder / "model" / "model.json").read_bytes())
    beside = {"model.json", "README.md", "eval_results.yaml", "MLmodel", "input_example.json", "requirements.txt"}
    assert set(described["files"]) == set(kept.files(run.folder / "model")) - beside


@pytest.mark.parametrize("folder", sorted(path.name for path in kept.DATA.iterdir()))
def test_spark_reads_the_stored_models_too(folder: str, frame):
    stored = kept.DATA / folder
    expected = json.loads((stored / "expected.json").read_bytes())
    pictures = {answer["picture"]: (stored / answer["picture"]).read_bytes() for answer in expected}
    found = PipelineModel.load(str(stored / "model")).transform(frame(pictures)).orderBy("ima").collect()
    np.testing.assert_allclose(
        [row["probability"].toArray() for row in found],
        [answer["probabilities"] for answer in expected],
        rtol=0,
        atol=1e-6,
    )
