"""Whole runs of the default preset: blocks of colours, texture and patches, with changed copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from running import Results, Shared, results

from job.experiment import fit

BLOCKS = ["soft-hsv:fourth-root", "lbp:root", "patches:patches:64"]
# 64 words in three rings, in place of 512: the tests are about how it works, not how well.
PATCHES = 3 * 64
Runner = Callable[..., Results]


@pytest.fixture(scope="module")
def run(shared: Shared, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    def work(*arguments: object, **more: int) -> Results:
        out = tmp_path_factory.mktemp("accurate") / "out"
        answer = shared("run", "--data", sample, "--out", out, "--words", 64, *arguments, **more)
        assert answer.code == 0, answer.err
        assert answer.err == ""
        return results(out)

    return work


@pytest.fixture(scope="module")
def whole(run: Runner) -> Results:
    return run("--export-intermediate", "--min-partitions", 3, cores=1)


def same_predictions(one: Results, other: Results) -> None:
    first, second = one.rows("predictions.csv"), other.rows("predictions.csv")
    for column in ("ima", "prediction"):
        assert [row[column] for row in first] == [row[column] for row in second]
    chances = [[float(row["probability"]) for row in rows] for rows in (first, second)]
    np.testing.assert_allclose(*chances, rtol=0, atol=1e-6)


def test_the_manifest_says_what_was_used(whole: Results):
    found = whole.manifest
    assert found["recipe"]["blocks"] == BLOCKS
    assert (found["recipe"]["copies"], found["recipe"]["classifier"]) == (["mild", "strong", "strong"], "rda")
    settings = found["settings"]
    assert (settings["preset"], settings["features"], settings["augment"]) == (
        "accurate",
        "soft-hsv+lbp+patches",
        "mild+strong+strong",
    )
    assert (settings["words"], found["vocabulary"]["words"], settings["descriptor"]) == (64, 64, None)
    width = found["dimensions"]["features"][1] - 1
    assert found["dimensions"] == {"bag_of_words": [60, 2 + width], "features": [60, 1 + width]}
    assert width > 512 + PATCHES
    assert found["accuracy"] >= 0.95
    assert found["dataset"]["train"]["images"] == found["dataset"]["train"]["described"] == 60


def test_the_fruits_are_told_apart_by_the_preset_as_it_is(shared: Shared, sample: Path, tmp_path: Path):
    answer = shared("run", "--data", sample, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    found = results(tmp_path / "out")
    assert found.manifest["accuracy"] >= 0.95
    assert found.manifest["vocabulary"]["words"] == 512


def test_intermediate_tables_have_a_column_for_each_descriptor_and_no_copies(whole: Results):
    for split, count in (("train", 60), ("test", 30)):
        table = pd.read_parquet(whole.folder / "intermediate" / f"descriptors_{split}")
        assert len(table) == table["ima"].nunique() == count
        assert {"descriptors_soft-hsv", "descriptors_lbp", "descriptors_patches"} <= set(table.columns)


def test_the_report_shows_each_block_as_what_it_is(whole: Results):
    page = (whole.folder / "report.html").read_text(encoding="utf-8")
    for title in ("Colours of soft-hsv", "Values of lbp", "Visual words of patches"):
        assert f"<h3>{title}</h3>" in page
    assert page.count('title="word ') == 64
    assert "Map of the pictures" in page


def test_partitions_change_nothing(whole: Results, run: Runner):
    seventeen = run("--min-partitions", 17, cores=1)
    for name in ("bag_of_words_test.csv", "df_lab_features_train.csv"):
        np.testing.assert_allclose(whole.matrix(name), seventeen.matrix(name), rtol=0, atol=1e-6)
    same_predictions(whole, seventeen)


def test_what_is_too_large_for_the_driver_is_learned_from_sums_of_the_executors(
    whole: Results, run: Runner, monkeypatch
):
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    large = run("--min-partitions", 3, cores=1)
    same_predictions(whole, large)
    table = pd.read_parquet(large.folder / "df_lab_features_test").sort_values("ima")
    np.testing.assert_allclose(np.stack(table["features"]), whole.matrix("df_lab_features_test.csv"), rtol=0, atol=1e-6)


def test_without_a_classifier_features_are_the_same(whole: Results, run: Runner):
    found = run("--no-classify")
    assert "accuracy" not in found.manifest
    for split in ("train", "test"):
        name = f"df_lab_features_{split}.csv"
        np.testing.assert_allclose(found.matrix(name), whole.matrix(name), rtol=0, atol=1e-6)


def test_components_are_taken_of_all_blocks_together(run: Runner):
    found = run("--components", 20)
    assert found.manifest["dimensions"]["features"] == [60, 21]
    assert found.manifest["accuracy"] >= 0.9


def test_the_cache_keeps_copies_too_and_pictures_without_theirs_are_described_again(
    whole: Results, run: Runner, tmp_path: Path
):
    run("--augment-images", 5, "--cache", tmp_path)
    few = set(tmp_path.rglob("*.parquet"))
    first = run("--cache", tmp_path)
    kept = set(tmp_path.rglob("*.parquet"))
    assert kept > few
    again = run("--cache", tmp_path)
    assert set(tmp_path.rglob("*.parquet")) == kept
    same_predictions(first, again)
    same_predictions(whole, again)


def test_a_classifier_that_can_not_weigh_copies_runs_without_them(run: Runner):
    found = run("--classifier", "linear-svm")
    assert found.manifest["recipe"]["copies"] == []
    assert found.manifest["settings"]["augment"] == "off"
    assert found.manifest["accuracy"] >= 0.9


def test_the_fast_preset_is_a_histogram(shared: Shared, sample: Path, tmp_path: Path):
    answer = shared("run", "--data", sample, "--out", tmp_path / "out", "--preset", "fast")
    assert answer.code == 0, answer.err
    found = results(tmp_path / "out").manifest
    assert found["recipe"]["blocks"] == ["hsv:root"]
    assert found["vocabulary"] == {"words": 0}
    assert found["dimensions"]["features"] == [60, 513]
    assert found["accuracy"] >= 0.95
