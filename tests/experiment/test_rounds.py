"""A protocol's rounds in a run, and augmented copies."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from pyspark.ml import functions
from running import Results, Shared, results

from job.experiment import fit, rounds
from job.learn import intervals
from job.learn.protocols import PROTOCOLS
from job.learn.protocols.base import Protocol, Round, Scored
from job.report.tables import to_csv
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
    "in_copies",
]
FIGURES = COLUMNS[4:-1]
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
        {
            **row,
            **{key: float(row[key]) if row[key] else None for key in FIGURES},
            "pictures": int(row["pictures"]),
            "in_copies": row["model"] == "recipe" if row["split"] == "dark" else None,
        }
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
    assert "start_spark" not in answer.out
    answer = shared("run", "--data", sample, *COLOUR, "--protocol", "rotation", "--dry-run")
    assert answer.code == 1
    assert "needs pictures of both axes" in answer.sentence()


# ---- recipes beside the run's own that can't do a round

ONE_COLOUR = "one colour"


def _on_one_colour(train, test, seed) -> tuple[Round, ...]:
    flat = np.array([row for row, name in enumerate(train.names) if "flat" in name])
    return (
        Round("all", Scored("train", "train"), (Scored("test"),)),
        Round("flat", Scored("train", "train", flat), (Scored("test"),)),
    )


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> Path:
    """Two categories: textured training pictures and some of one colour, and test pictures of one colour."""
    root, random = tmp_path_factory.mktemp("flat"), np.random.default_rng(1)
    for channel, cat in enumerate(("A", "B")):
        for folder, kind, count in (("Training", "rough", 6), ("Training", "flat", 3), ("Test", "flat", 2)):
            (root / folder / cat).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture = np.zeros((64, 64, 3), np.uint8)
                picture[:, :, channel] = 100 + 10 * number
                if kind == "rough":
                    picture += cv2.resize(random.integers(0, 90, (16, 16, 1), np.uint8), (64, 64))[:, :, None]
                cv2.imwrite(str(root / folder / cat / f"{kind}_{number}.png"), picture)
    return root


@pytest.fixture(scope="module")
def without(shared: Shared, flat: Path, tmp_path_factory) -> Results:
    """A run whose test pictures, and whose second round's training pictures, have no SIFT."""
    out = tmp_path_factory.mktemp("without") / "out"
    PROTOCOLS.add(ONE_COLOUR, Protocol(ONE_COLOUR, _on_one_colour))
    try:
        answer = shared("run", "--data", flat, "--out", out, *COLOUR, "--keep-background", "--protocol", ONE_COLOUR)
    finally:
        PROTOCOLS.remove(ONE_COLOUR)
    assert answer.code == 0, answer.err
    (said,) = (line for line in answer.events("warning") if "left out" in line)
    assert "The recipe 'reference' is left out of the round 'flat' of the protocol: " in said
    assert "--words" not in said
    return results(out)


def test_a_recipe_that_describes_no_scored_picture_has_a_row_without_figures(without: Results):
    rows = {(row["round"], row["model"]): row for row in without.rows("protocols.csv")}
    assert rows["all", "reference"]["pictures"] == "0"
    assert [rows["all", "reference"][name] for name in FIGURES] == [""] * len(FIGURES)
    (row,) = [row for row in without.manifest["protocol"] if (row["round"], row["model"]) == ("all", "reference")]
    assert [row[name] for name in FIGURES] == [None] * len(FIGURES)
    assert "not measured" in (without.folder / "report.html").read_text()
    assert "not measured" in (without.folder / "model" / "README.md").read_text()


def test_a_recipe_that_can_not_be_learned_is_left_out_of_its_round(without: Results):
    models = [(row["round"], row["model"]) for row in without.rows("protocols.csv")]
    assert models == [(name, model) for name in ("all", "flat") for model in ("recipe", "hsv", "reference")][:5]
    assert [(row["round"], row["model"]) for row in without.manifest["protocol"]] == models


def test_the_table_of_a_recipe_that_is_alone_in_its_rounds_is_written_all_the_same():
    row = rounds.Row("r", "test", "recipe", 3, intervals.Interval(0.5, 0.4, 0.6), None, 0.1)
    assert to_csv(rounds.table((row,))).decode() == f"{','.join(COLUMNS)}\nr,test,recipe,3,0.5,0.4,0.6,,,,0.1,\n"


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
