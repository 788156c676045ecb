"""A toy of each exchangeable kind, added from outside, runs through `run`, the report, `tune` and the saved model."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pyspark import cloudpickle
from running import Results, Shared, results

from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook, Encoding
from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Protocol, Round, Scored
from job.presets import PRESETS, Preset
from job.vision.descriptors import DESCRIPTORS
from job.vision.descriptors.base import Descriptor


def _means(picture) -> np.ndarray:
    """Mean and deviation of each colour: one row of six floats."""
    mean, deviation = cv2.meanStdDev(picture.colour)
    return np.concatenate([mean, deviation]).astype(np.float32).reshape(1, 6)


def _doubled(rows, pictures, count, codebook) -> np.ndarray:
    found = np.zeros((count, 2 * rows.shape[1]), np.float32)
    found[pictures] = np.hstack([rows, rows * codebook.arrays["factor"]])
    return found


def _learn_factor(sample, k, *, quantum, seed, start, tolerance, max_iterations, threads) -> Codebook:
    return Codebook({"factor": np.array([float(k)], np.float32)}, {"rows": len(sample)})


def _learn_means(features, labels, categories, *, seed, max_iterations, threads) -> Trained:
    return Trained({"means": np.array([features[labels == label].mean(axis=0) for label in range(categories)])})


def _nearest_mean(features, trained) -> np.ndarray:
    distances = np.square(features[:, None] - trained.arrays["means"][None]).sum(axis=2)
    chances = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / 100)
    return chances / chances.sum(axis=1, keepdims=True)


def _half(train, test, seed) -> tuple[Round, ...]:
    rows = np.arange(0, len(train.names), 2)
    return (Round("half", Scored("train", "train", rows), (Scored("test"),)),)


TOYS = {
    DESCRIPTORS: Descriptor(
        name="toy",
        values=6,
        width=6,
        rows=_means,
        dtype=np.dtype(np.float32),
        pixels="colour",
        local=False,
        encoding="toy",
    ),
    ENCODINGS: Encoding(
        name="toy",
        dtype=np.dtype(np.float32),
        apply=_doubled,
        size=lambda _, d: 2 * d,
        learn=_learn_factor,
        wanted=lambda *_: 40,
    ),
    CLASSIFIERS: Classifier(name="toy", learn=_learn_means, chances=_nearest_mean),
    PROTOCOLS: Protocol("toy", _half),
    PRESETS: Preset(
        "a toy",
        {"features": "toy", "words": 3, "vocabulary_sample": "default", "classifier": "toy", "descriptor": "sift"},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    # functions of this module travel to the workers by value, as those of a notebook would
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for registry, entry in TOYS.items():
        registry.add("toy", entry)
    yield
    for registry in TOYS:
        registry.remove("toy")
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def toy_run(shared: Shared, sample: Path, tmp_path_factory) -> Results:
    out = tmp_path_factory.mktemp("toys") / "out"
    answer = shared("run", "--data", sample, "--out", out, "--preset", "toy", "--protocol", "toy", "--seed", 7)
    assert answer.code == 0, answer.err
    return results(out)


def test_the_run_uses_the_toy_of_each_kind(toy_run: Results):
    recipe = toy_run.manifest["recipe"]
    assert (recipe["blocks"], recipe["classifier"], recipe["protocol"]) == (["toy:toy:3"], "toy", "toy")
    assert toy_run.manifest["dataset"]["train"]["images"] == 30
    assert toy_run.manifest["accuracy"] >= 0.8


def test_features_are_what_the_toys_make_of_the_pictures(toy_run: Results, sample: Path):
    (row, *_) = toy_run.rows("bag_of_words_test.csv")
    colour = cv2.imread(str(sample / row["ima"]))
    values = np.concatenate(cv2.meanStdDev(colour)).ravel()
    np.testing.assert_allclose([float(row[str(place)]) for place in range(12)], [*values, *(3 * values)], rtol=1e-5)


def test_the_report_is_written(toy_run: Results):
    assert "toy" in (toy_run.folder / "report.html").read_text(encoding="utf-8")


def test_the_saved_model_answers_as_the_run_did(toy_run: Results, sample: Path):
    from job import load_model

    model = load_model(str(toy_run.folder / "model"))
    for row in toy_run.rows("predictions.csv"):
        found = model.predict((sample / row["ima"]).read_bytes())
        assert found.category == row["predicted_cat"]
        assert found.probability == pytest.approx(float(row["probability"]), abs=1e-6)


def test_toys_are_candidates_of_a_comparison_under_a_toys_protocol(shared: Shared, sample: Path, tmp_path: Path):
    given = "toy,toy+hsv/toy,toy:toy:9/lda/mild,rootsift:toy:4/logistic"
    answer = shared(
        "tune",
        "--data",
        sample,
        "--out",
        tmp_path,
        "--candidates",
        given,
        "--protocol",
        "toy",
        "--folds",
        2,
        "--seed",
        7,
    )
    assert answer.code == 0, answer.err
    found = results(tmp_path)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    assert {rows[name]["status"] for name in given.split(",")} == {"done"}
    assert float(rows["toy"]["accuracy"]) >= 0.8
    assert rows["toy"]["features"] == "toy:toy:3"
    (kept, *_) = (found.folder / "results").glob("*-rung1-fold1.json")
    assert [part["round"] for part in json.loads(kept.read_text())["folds"]] == ["half"]
    for name in given.split(","):
        assert name in (found.folder / "tune.html").read_text(encoding="utf-8")


def test_several_toys_side_by_side_make_one_feature_vector(shared: Shared, sample: Path, tmp_path: Path):
    answer = shared(
        "run",
        "--data",
        sample,
        "--out",
        tmp_path,
        "--features",
        "toy+rootsift:counts:20+toy:toy:9",
        "--classifier",
        "toy",
    )
    assert answer.code == 0, answer.err
    found = results(tmp_path)
    assert found.manifest["dimensions"] == {"bag_of_words": [60, 2 + 44], "features": [60, 1 + 44]}
    assert found.manifest["accuracy"] >= 0.8
