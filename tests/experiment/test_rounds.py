"""A protocol's rounds in a run, and augmented copies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import functions
from running import Results, Shared, results

from job.experiment import fit, rounds
from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Protocol, Round, Scored
from job.stages import CategoryClassifier

COLUMNS = [
    "round",
    "split",
    "model",
    "pictures",
    "accuracy",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "calibration_error",
]
COLOUR = ("--features", "hsv+lbp", "--classifier", "lda")


def _plan(train, test, seed) -> tuple[Round, ...]:
    half = np.arange(0, len(test.names), 2)
    some = np.arange(0, len(train.names), 2)
    dark = Scored("dark", "test", half, "dark")
    return (
        Round("all", Scored("train", "train"), (Scored("plain", "test", half), dark)),
        Round("half", Scored("train", "train", some), (Scored("plain", "test", half),)),
    )


@pytest.fixture(scope="module", autouse=True)
def protocol() -> Iterator[None]:
    PROTOCOLS.add("two-rounds", Protocol("two-rounds", _plan))
    yield
    PROTOCOLS.remove("two-rounds")


@pytest.fixture(scope="module")
def run(shared: Shared, sample: Path, tmp_path_factory):
    def work(*arguments: object) -> Results:
        out = tmp_path_factory.mktemp("rounds") / "out"
        answer = shared("run", "--data", sample, "--out", out, *arguments)
        assert answer.code == 0, answer.err
        work.said = answer
        return results(out)

    return work


@pytest.fixture(scope="module")
def found(run) -> Results:
    return run(*COLOUR, "--protocol", "two-rounds")


def test_each_round_and_split_is_scored_beside_a_histogram_of_colours_and_the_prototype(found: Results):
    assert found.columns("protocols.csv") == COLUMNS
    rows = found.rows("protocols.csv")
    assert [(row["round"], row["split"], row["model"]) for row in rows] == [
        (name, split, model)
        for name, split in (("all", "plain"), ("all", "dark"), ("half", "plain"))
        for model in ("recipe", "hsv", "reference")
    ]
    assert found.manifest["protocol"] == [
        {**row, **{key: float(row[key]) if row[key] else None for key in COLUMNS[4:]}, "pictures": int(row["pictures"])}
        for row in rows
    ]
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) <= 1
        assert (row["difference"] == "") == (row["model"] == "recipe")
        assert row["pictures"] == "15"


def test_differences_are_those_of_the_two_accuracies(found: Results):
    rows = {(row["round"], row["split"], row["model"]): row for row in found.rows("protocols.csv")}
    for (name, split, model), row in rows.items():
        if model != "recipe":
            less = float(rows[name, split, "recipe"]["accuracy"]) - float(row["accuracy"])
            assert float(row["difference"]) == pytest.approx(less)


def test_the_run_itself_is_the_first_round(found: Results):
    assert found.manifest["dataset"]["train"]["images"] == 60
    assert found.manifest["dataset"]["test"]["images"] == 15
    first = found.rows("protocols.csv")[0]
    recalls = [float(row["recall"]) for row in found.rows("categories.csv")]
    assert float(first["accuracy"]) == pytest.approx(np.mean(recalls))
    assert "calibration_error" in found.manifest


def test_a_disturbance_reaches_the_pictures(found: Results):
    rows = {(row["round"], row["split"], row["model"]): float(row["accuracy"]) for row in found.rows("protocols.csv")}
    assert rows["all", "dark", "hsv"] <= rows["all", "plain", "hsv"]


def test_a_protocol_that_these_pictures_can_not_have_is_refused_in_a_sentence(shared, sample: Path, tmp_path: Path):
    answer = shared("run", "--data", sample, "--out", tmp_path, *COLOUR, "--protocol", "rotation")
    assert answer.code == 1
    assert "rotation" in answer.sentence()


# ---- augmented copies


@pytest.fixture(scope="module")
def augmented(run) -> Results:
    return run(*COLOUR, "--augment", "mild+strong")


def test_copies_are_learned_from_and_not_listed(augmented: Results):
    assert augmented.manifest["recipe"]["copies"] == ["mild", "strong"]
    assert augmented.manifest["dataset"]["train"]["described"] == 60
    assert len(augmented.rows("bag_of_words_train.csv")) == len(augmented.rows("df_lab_features_train.csv")) == 60
    assert "copy" not in augmented.columns("bag_of_words_train.csv")
    assert augmented.manifest["accuracy"] >= 0.9


@pytest.mark.parametrize("most", [5, 200])
def test_sums_of_the_executors_learn_what_rows_in_the_driver_do(run, monkeypatch, most: int):
    told = (*COLOUR, "--augment", "mild+strong", "--augment-images", most)
    augmented = run(*told)
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    # the command's own sessions go without the functions of MLlib, which this one has
    monkeypatch.setattr(functions, "vector_to_array", lambda *_: pytest.fail("a function of MLlib was asked for"))
    apart = run(*told, "--min-partitions", 3)
    one, other = (
        [(row["ima"], row["prediction"], float(row["probability"])) for row in found.rows("predictions.csv")]
        for found in (augmented, apart)
    )
    assert [row[:2] for row in one] == [row[:2] for row in other]
    np.testing.assert_allclose([row[2] for row in one], [row[2] for row in other], rtol=0, atol=1e-6)
    table = pd.read_parquet(apart.folder / "bag_of_words_train")
    assert len(table) == 60
    assert "copy" not in table.columns


def test_copies_are_made_of_so_many_pictures_of_a_category_at_most_and_weigh_as_much_as_all(run, monkeypatch):
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    whole = CategoryClassifier.fit_arrays

    def spied(self, features, labels, *, weights, **more):
        seen.append((np.asarray(labels), weights))
        return whole(self, features, labels, weights=weights, **more)

    monkeypatch.setattr(CategoryClassifier, "fit_arrays", spied)
    found = run(*COLOUR, "--augment", "mild+strong", "--augment-images", 5)
    assert found.manifest["recipe"]["copied"] == 5
    ((labels, weights),) = seen
    originals = weights == 1.0
    for label in np.unique(labels):
        own = labels == label
        assert (own & ~originals).sum() == 2 * 5
        assert weights[own & ~originals].sum() == pytest.approx((own & originals).sum())


def test_a_classifier_that_can_not_weigh_copies_is_refused(shared: Shared, sample: Path, tmp_path: Path):
    answer = shared("run", "--data", sample, "--out", tmp_path, "--preset", "sift", "--augment", "mild")
    assert answer.code == 2
    assert "--classifier lda" in answer.sentence()


def test_the_simple_recipes_are_what_they_are_called():
    assert str(rounds.BESIDE["hsv"].blocks[0]).startswith("hsv:root")
    assert (rounds.BESIDE["reference"].classifier, rounds.BESIDE["reference"].components) == ("mlp", 35)
