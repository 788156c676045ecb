"""`fruits tune` as a whole: what it compares, what it leaves, and that its folds are scored as runs would be."""

import csv
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from running import Answer, Results, Shared, results

from job.experiment.recipe import Recipe
from job.experiment.tuning import best, plan, ranking
from job.experiment.tuning.results import ROWS
from job.presets import PRESETS
from job.settings import Settings, resolve

CANDIDATES = "fast,hsv+lbp/lda/off,soft-hsv/lda/mild"
FILES = {
    *("best.toml", "folds.csv", "manifest.json", "rejected.csv", "timings.csv"),
    *("tune.csv", "tune.html", "tune.json"),
}


@pytest.fixture(scope="module", autouse=True)
def few_words() -> Iterator[None]:
    """The default, which is always compared, has 64 words: how it is compared is tested, not how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS.get("accurate").values, "words", 64)
        yield


def record(found: Results) -> dict:
    return json.loads((found.folder / "tune.json").read_text(encoding="utf-8"))


def kept(found: Results) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((found.folder / "results").iterdir())]


@pytest.fixture(scope="module")
def tune(shared: Shared, sample: Path, tmp_path_factory) -> Callable[..., tuple[Answer, Results]]:
    def work(*arguments: object, data: Path = sample, out: Path | None = None, code: int = 0) -> tuple[Answer, Results]:
        out = out or tmp_path_factory.mktemp("tune") / "out"
        answer = shared("tune", "--data", data, "--out", out, "--run-name", "one", *arguments)
        assert answer.code == code, answer.err
        return answer, Results(out / "one")

    return work


@pytest.fixture(scope="module")
def found(tune) -> Results:
    answer, done = tune("--candidates", CANDIDATES, "--folds", 3)
    assert answer.err == ""
    return done


@pytest.fixture(scope="module")
def other(sample: Path, tmp_path_factory) -> Path:
    """The sample under names that say nothing, with each fifth training picture there twice."""
    folder = tmp_path_factory.mktemp("other")
    for path in sorted(sample.rglob("*.jpg")):
        place = folder / path.relative_to(sample).parent
        place.mkdir(parents=True, exist_ok=True)
        number = int(path.name.split("_")[0])
        shutil.copy(path, place / f"s{number % 7}-{number:03d}.jpg")
        if number % 5 == 0 and "Training" in path.parts:
            shutil.copy(path, place / f"twice-{number:03d}.jpg")
    return folder


# ---- what it leaves


def test_the_folder_has_tables_the_page_the_settings_and_a_result_for_each_candidate_and_fold(found: Results):
    content = record(found)
    assert {name for name in found.files() if "/" not in name} == FILES
    assert len([name for name in found.files() if name.startswith("results/")]) == 4 * 3
    assert found.manifest["kind"] == "tune"
    assert {file["path"] for file in found.manifest["files"]} == found.files() - {"manifest.json"}
    assert found.columns("tune.csv") == ROWS.names
    names = [row["candidate"] for row in found.rows("tune.csv")]
    assert sorted(names) == sorted(["fast", "hsv+lbp/lda/off", "soft-hsv/lda/mild", "accurate"])
    assert names == [row["candidate"] for row in content["candidates"]]
    assert (content["default"], content["hsv"]) == ("accurate", "fast")
    assert [row["winner"] for row in found.rows("tune.csv")].count("true") == 1


def test_pictures_are_described_once_for_all_candidates(found: Results):
    (only,) = record(found)["extractions"]
    assert only["pictures"] == 60
    assert sorted(only["descriptors"]) == ["hsv", "lbp", "patches", "soft-hsv"]
    assert only["copies"] == ["mild", "strong", "strong"]
    assert sorted(only["descriptors_of_copies"]) == ["lbp", "patches", "soft-hsv"]


def test_every_figure_has_its_interval_and_differences_are_those_of_accuracies(found: Results):
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    for name, row in rows.items():
        assert row["status"] == "done"
        assert 0 <= float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) <= 1
        assert float(row["fit_seconds"]) > 0
        assert float(row["ms_per_picture"]) > 0
        assert int(row["model_bytes"]) > 1000
        for other, column in (("accurate", "minus_default"), ("fast", "minus_hsv")):
            if name == other:
                assert row[column] == ""
            else:
                less = float(row["accuracy"]) - float(rows[other]["accuracy"])
                assert float(row[column]) == pytest.approx(less, abs=1e-9)
                assert float(row[f"{column}_low"]) <= float(row[column]) <= float(row[f"{column}_high"])
    assert int(rows["accurate"]["model_bytes"]) > int(rows["soft-hsv/lda/mild"]["model_bytes"])


def test_folds_cut_turns_into_arcs_and_every_category_is_in_each(found: Results):
    rows = found.rows("folds.csv")
    assert len(rows) == 60
    assert record(found)["folds"]["grouped_by"] == "frames"
    by_group: dict[str, set[str]] = {}
    for row in rows:
        by_group.setdefault(row["group"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in by_group.values())
    for cat in {row["cat"] for row in rows}:
        turn = sorted((int(row["ima"].split("/")[-1].split("_")[0]), row["fold"]) for row in rows if row["cat"] == cat)
        changes = sum(one[1] != other[1] for one, other in pairwise(turn))
        assert changes == 2
        assert {fold for _, fold in turn} == {"1", "2", "3"}


def test_a_fold_is_scored_as_a_run_on_the_same_pictures_scores_it(found: Results, shared, sample: Path, tmp_path: Path):
    rows = found.rows("folds.csv")
    for row in rows:
        place = tmp_path / ("test" if row["fold"] == "2" else "train") / row["cat"]
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(row["ima"]).name).symlink_to(sample / row["ima"])
    given = ("--features", "hsv+lbp", "--classifier", "lda", "--augment", "off", "--out", tmp_path / "out")
    answer = shared("run", "--train", tmp_path / "train", "--test", tmp_path / "test", *given)
    assert answer.code == 0, answer.err
    predicted = results(tmp_path / "out").rows("predictions.csv")
    (own,) = (one for one in kept(found) if (one["candidate"], one["fold"]) == ("hsv+lbp/lda/off", 2))
    (split,) = own["folds"][0]["splits"]
    for cat, right, pictures in zip(record(found)["categories"], split["right"], split["pictures"], strict=True):
        of_cat = [row for row in predicted if row["cat"] == cat]
        assert (sum(row["cat"] == row["predicted_cat"] for row in of_cat), len(of_cat)) == (right, pictures)


def test_the_winner_is_the_cheapest_within_a_standard_error_of_the_best(found: Results):
    rows = found.rows("tune.csv")
    best = max(rows, key=lambda row: float(row["accuracy"]))
    near = [row for row in rows if float(row["accuracy"]) >= float(best["accuracy"]) - float(best["standard_error"])]
    (winner,) = (row for row in rows if row["winner"] == "true")
    assert float(winner["ms_per_picture"]) == min(float(row["ms_per_picture"]) for row in near)
    assert record(found)["winner"]["candidate"] == winner["candidate"]


def test_the_command_repeats_the_winner_and_its_score_on_test_pictures(found: Results, shared: Shared, tmp_path: Path):
    winner = record(found)["winner"]
    command = shlex.split(winner["command"])
    assert command[:4] == ["fruits", "run", "--config", str(found.folder / "best.toml")]
    answer = shared(*command[1:], "--out", tmp_path)
    assert answer.code == 0, answer.err
    again = results(tmp_path)
    (test,) = winner["test"]
    assert again.manifest["accuracy"] == test["right"]
    recalls = [float(row["recall"]) for row in again.rows("categories.csv")]
    assert test["accuracy"] == pytest.approx(np.mean(recalls))
    assert again.manifest["calibration_error"] == pytest.approx(test["calibration_error"], abs=1e-9)
    settings = again.manifest["settings"]
    assert {key: settings[key] for key in winner["settings"]} == winner["settings"]


def test_a_winner_with_words_is_scored_as_its_own_run_scores_it(tune, shared, tmp_path: Path, monkeypatch):
    for name in ("hsv+patches:patches:8/lda/mild+strong", "rootsift:counts:20/logistic"):
        with monkeypatch.context() as patch:
            patch.setattr(ranking, "winner", lambda _: 0)
            _, found = tune("--candidates", name, "--folds", 2)
        winner = record(found)["winner"]
        assert winner["candidate"] == name
        answer = shared(*shlex.split(winner["command"])[1:], "--out", tmp_path / winner["classifier"])
        assert answer.code == 0, answer.err
        again = results(tmp_path / winner["classifier"])
        assert again.manifest["accuracy"] == winner["test"][0]["right"]
        assert again.manifest["calibration_error"] == pytest.approx(winner["test"][0]["calibration_error"], abs=1e-9)


def test_the_page_names_all_candidates_and_loads_nothing(found: Results):
    source = (found.folder / "tune.html").read_text(encoding="utf-8")
    for row in found.rows("tune.csv"):
        assert row["candidate"] in source
    assert "<script" not in source
    assert "src=" not in source


def test_pictures_that_can_not_be_used_are_listed_and_left_out(tune, sample: Path, tmp_path: Path):
    shutil.copytree(sample, tmp_path / "data")
    for name, data in (("900_100.jpg", b""), ("901_100.jpg", b"no picture")):
        (tmp_path / "data" / "Training" / "Corn" / name).write_bytes(data)
    _, found = tune("--candidates", "fast", "--folds", 2, data=tmp_path / "data")
    assert {row["path"]: row["reason"] for row in found.rows("rejected.csv")} == {
        "Training/Corn/900_100.jpg": "empty",
        "Training/Corn/901_100.jpg": "not_an_image",
    }
    assert len(found.rows("folds.csv")) == 60
    train = found.manifest["dataset"]["train"]
    assert (train["images"], train["described"], train["rejected"]) == (62, 60, 2)


def test_too_many_of_them_end_it(tune, sample: Path, tmp_path: Path):
    shutil.copytree(sample, tmp_path / "data")
    (tmp_path / "data" / "Training" / "Corn" / "900_100.jpg").write_bytes(b"")
    answer, found = tune("--candidates", "fast", "--max-bad-fraction", "0.01", data=tmp_path / "data", code=1)
    assert "more than --max-bad-fraction 0.01" in answer.sentence()
    assert not found.folder.exists()


# ---- what it depends on


def test_results_do_not_depend_on_partitions(found: Results, tune):
    _, again = tune("--candidates", CANDIDATES, "--folds", 3, "--partitions", 7)
    for one, other in zip(kept(found), kept(again), strict=True):
        assert (one["candidate"], one["fold"]) == (other["candidate"], other["fold"])
        assert [part["splits"] for part in one["folds"]] == [part["splits"] for part in other["folds"]]


def test_recipes_of_every_kind_are_candidates(tune):
    given = "sift,rootsift:vlad:4+hsv/ridge/off,patches:patches:8/lda/strong+mild,orb:counts:20/linear-svm"
    _, found = tune("--candidates", given, "--folds", 2)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    assert {*given.split(","), "accurate", "hsv:root/logistic"} == set(rows)
    failed = {name: row["said"] for name, row in rows.items() if row["status"] == "failed"}
    assert set(failed) <= {"sift"}
    assert record(found)["extractions"][0]["copies"] == ["mild", "strong", "strong"]


# ---- rungs


@pytest.fixture
def rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LEAST", 5)
    monkeypatch.setattr(plan, "_MANY", 6)


def test_the_hopeless_are_dropped_on_few_pictures(tune, rungs):
    given = "accurate,fast,lbp/lda/off,orb:counts:2/logistic,orb:counts:3/logistic,hsv/lda/off"
    _, found = tune("--candidates", given, "--folds", 2)
    content = record(found)
    assert [rung["pictures"] for rung in content["rungs"]] == [15, 30, 60]
    assert content["rungs"][0]["candidates"] == 6
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    assert rows["accurate"]["status"] == rows["fast"]["status"] == "done"
    dropped = [name for rung in content["rungs"] for name in rung["dropped"]]
    assert dropped
    for name in dropped:
        assert rows[name]["status"] == "dropped"
        assert rows[name]["said"].startswith("Dropped after ")
        assert rows[name]["minus_hsv"] != ""
    assert {effect["setting"] for effect in content["effects"]} >= {"features", "classifier"}
    folds = found.rows("folds.csv")
    assert [sum(row["rung"] == number for row in folds) for number in ("1", "2", "3")] == [15, 15, 30]
    assert len(content["extractions"]) == 1


# ---- groups


def test_other_names_are_grouped_by_near_duplicates(tune, other: Path):
    _, found = tune("--candidates", "fast,hsv/lda/off", "--folds", 3, data=other)
    assert record(found)["folds"]["grouped_by"] == "duplicates"
    by_name = {(row["cat"], Path(row["ima"]).stem): row for row in found.rows("folds.csv")}
    assert sum(name.startswith("twice-") for _, name in by_name) == 12
    for (cat, name), row in by_name.items():
        if name.startswith("twice-"):
            number = int(name.removeprefix("twice-"))
            original = by_name[cat, f"s{number % 7}-{number:03d}"]
            assert (original["group"], original["fold"]) == (row["group"], row["fold"])


def test_a_pattern_keeps_together_in_whose_names_it_finds_the_same(tune, other: Path):
    _, found = tune("--candidates", "fast", "--folds", 3, "--group-by", r"(s\d)-", data=other)
    assert record(found)["folds"]["grouped_by"] == "pattern"
    folds: dict[str, set[str]] = {}
    for row in found.rows("folds.csv"):
        stem = Path(row["ima"]).stem
        if stem[0] == "s":
            folds.setdefault(stem[:2], set()).add(row["fold"])
    assert len(folds) == 7
    assert all(len(own) == 1 for own in folds.values())


def test_a_pattern_that_finds_nothing_is_told(tune, other: Path):
    answer, _ = tune("--candidates", "fast", "--group-by", "session", data=other, code=2)
    assert "--group-by groups nothing: the pattern 'session' is in none of the" in answer.sentence()


# ---- protocols


@pytest.fixture(scope="module")
def axes(sample: Path, tmp_path_factory) -> Path:
    """The sample with every second picture named as one of another axis."""
    folder = tmp_path_factory.mktemp("axes")
    for path in sorted(sample.rglob("*.jpg")):
        place = folder / path.relative_to(sample).parent
        place.mkdir(parents=True, exist_ok=True)
        number = int(path.name.split("_")[0])
        shutil.copy(path, place / (path.name if number % 2 else f"r_{path.name}"))
    return folder


def test_the_protocol_is_kept_within_each_fold_and_on_the_test_pictures(tune, axes: Path):
    _, found = tune("--candidates", "fast,hsv/lda/off", "--folds", 2, "--protocol", "rotation", data=axes)
    for one in kept(found):
        assert [part["round"] for part in one["folds"]] == ["plain to r", "r to plain"]
        for part in one["folds"]:
            # half of the pictures are in the other folds, and half of these are of the other axis
            assert 0 < part["trained_on"] <= 24
            assert 0 < sum(part["splits"][0]["pictures"]) <= 24
    winner = record(found)["winner"]
    assert [row["round"] for row in winner["test"]] == ["plain to r", "r to plain"]
    assert "--protocol rotation" in winner["command"]


def test_disturbed_pictures_are_described_as_they_are_scored(tune):
    _, found = tune("--candidates", "fast,soft-hsv/lda/off", "--folds", 2, "--protocol", "robustness")
    extractions = record(found)["extractions"]
    assert extractions[0]["disturbance"] is None
    kinds = [one["disturbance"] for one in extractions[1:]]
    assert len(kinds) == len(set(kinds)) == 16
    assert all(one["pictures"] <= 60 for one in extractions[1:])
    splits = [split["split"] for split in kept(found)[0]["folds"][0]["splits"]]
    assert splits == ["undisturbed", *kinds]


def test_a_protocol_that_these_pictures_can_not_have_is_told(tune):
    answer, found = tune("--candidates", "fast", "--protocol", "rotation", code=1)
    assert "'rotation' needs pictures of both axes" in answer.sentence()
    assert not found.folder.exists()


# ---- the winner's settings


@pytest.mark.parametrize("name", ["accurate", "sift", "reference", "fast", "hsv+lbp:root/ridge/strong"])
def test_settings_of_a_winner_are_the_same_recipe_again(name: str, tmp_path: Path):
    from job.experiment.choices import choices
    from job.experiment.tuning import best, candidates

    base = resolve({"seed": "9"}, {}, choices=choices())
    (one,) = candidates.named(name, base)
    path = tmp_path / "best.toml"
    path.write_text(best.toml(one, "fruits run"), encoding="utf-8")
    assert Recipe.of(resolve({"config": str(path)}, {}, choices=choices())) == one.recipe


def test_the_table_of_folds_is_read_back_as_it_was(found: Results):
    with (found.folder / "folds.csv").open(newline="") as file:
        header = next(csv.reader(file))
    from job.experiment.tuning import outputs

    table = outputs.from_csv((found.folder / "folds.csv").read_bytes())
    own = plan.Pictures.of(table, "frames")
    assert header == ["ima", "cat", "group", "fold", "rung"]
    assert own.table().equals(table)
    assert own.rungs == (60,)


# ---- vectors that are too many


def test_vectors_too_many_for_one_place_stay_with_the_executors_and_give_the_same(tune, monkeypatch):
    from job.experiment.tuning import contest

    given = ("--candidates", "fast,soft-hsv/lda/mild,orb:counts:10/linear-svm", "--folds", 2)
    _, one = tune(*given)
    monkeypatch.setattr(contest, "MOST_BYTES", 0)
    _, other = tune(*given)
    assert (record(one)["route"], record(other)["route"]) == ("tasks", "executors")
    for first, second in zip(kept(one), kept(other), strict=True):
        assert (first["candidate"], first["fold"]) == (second["candidate"], second["fold"])
        assert [part["splits"] for part in first["folds"]] == [part["splits"] for part in second["folds"]]
        assert first["bytes"] == pytest.approx(second["bytes"], abs=64)
    assert "fitted one after another" in (other.folder / "tune.html").read_text(encoding="utf-8")


def test_the_command_for_a_winner_in_a_store_names_the_copy_of_its_file() -> None:
    settings = Settings(
        data="s3://fruits/pictures", words=2, components=1, vocabulary_sample="default", classifier="lda"
    )
    command = best.command("s3://fruits/out/one/best.toml", settings, None)
    assert command == "fruits run --config best.toml --data s3://fruits/pictures"
