"""Whole runs: what a run says of its data, and where."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from running import Results, Shared, results

from job.experiment import fit, issues
from job.learn.issues import KINDS
from job.settings import Settings
from job.vision.sample import write_sample

COLUMNS = ["kind", "split", "ima", "cat", "score", "suggested", "other"]
Runner = Callable[..., Results]


@pytest.fixture(scope="module")
def run(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    def work(data: Path, *arguments: object) -> Results:
        out = tmp_path_factory.mktemp("issues") / "out"
        answer = shared("run", "--data", data, "--out", out, "--words", 64, *arguments)
        assert answer.code == 0, answer.err
        assert answer.err == ""
        (out.parent / "said.txt").write_text(answer.out, encoding="utf-8")
        return results(out)

    return work


@pytest.fixture(scope="module")
def flawed(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with what is wrong on purpose: labels, copies within and between splits, and a small category."""
    folder = tmp_path_factory.mktemp("flawed") / "sample"
    shutil.copytree(sample, folder)
    train, test = folder / "Training", folder / "Test"
    (train / "Corn" / "3_100.jpg").rename(train / "Orange" / "wrong.jpg")
    (train / "Raspberry" / "5_100.jpg").rename(train / "Corn" / "also-wrong.jpg")
    shutil.copyfile(train / "Orange" / "1_100.jpg", train / "Orange" / "twin.jpg")
    shutil.copyfile(train / "Corn" / "2_100.jpg", test / "Corn" / "leak.jpg")
    mirrored = cv2.imread(str(train / "Raspberry" / "2_100.jpg"))[:, ::-1]
    cv2.imwrite(str(test / "Raspberry" / "mirrored.jpg"), mirrored, (cv2.IMWRITE_JPEG_QUALITY, 80))
    for number in range(4):
        (train / "Plum").mkdir(exist_ok=True)
        shade = np.full((100, 100, 3), (90 + number, 40, 110), np.uint8)
        cv2.imwrite(str(train / "Plum" / f"{number}.png"), shade)
    return folder


@pytest.fixture(scope="module")
def found(run: Runner, flawed: Path) -> Results:
    return run(flawed, "--learning-curve")


def of(found: Results, kind: str) -> list[dict[str, str]]:
    return [row for row in found.rows("data_issues.csv") if row["kind"] == kind]


def test_the_file_has_its_columns_and_known_kinds(found: Results):
    assert found.columns("data_issues.csv") == COLUMNS
    rows = found.rows("data_issues.csv")
    assert {row["kind"] for row in rows} <= set(KINDS.names)
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


def test_wrong_labels_are_listed_first_with_what_is_right(found: Results):
    first = {row["ima"]: row for row in of(found, "label")[:2]}
    assert first["Training/Orange/wrong.jpg"]["suggested"] == "Corn"
    assert first["Training/Corn/also-wrong.jpg"]["suggested"] == "Raspberry"


def test_leaks_come_before_other_copies_and_say_so_below_their_pictures(found: Results):
    splits = [row["split"] for row in of(found, "near_duplicate")]
    assert splits[:2] == ["test", "test"]
    assert set(splits[2:]) == {"train"}
    source = (found.folder / "report.html").read_text(encoding="utf-8")
    assert "Leak: Test/Corn/leak.jpg" in source
    assert "Leak: Training" not in source


def test_copies_are_listed_with_their_twins(found: Results):
    pairs = {(row["split"], row["ima"], row["other"]) for row in of(found, "near_duplicate")}
    plums = {pair for pair in pairs if "Plum" in pair[1]}
    assert pairs - plums == {
        ("train", "Training/Orange/1_100.jpg", "Training/Orange/twin.jpg"),
        ("test", "Test/Corn/leak.jpg", "Training/Corn/2_100.jpg"),
        ("test", "Test/Raspberry/mirrored.jpg", "Training/Raspberry/2_100.jpg"),
    }


def test_a_small_category_is_listed(found: Results):
    assert [(row["cat"], float(row["score"])) for row in of(found, "few")] == [("Plum", pytest.approx(0.6))]


def test_the_manifest_counts_issues_and_leaks_and_says_what_the_accuracy_is_without(found: Results):
    told = found.manifest["data_issues"]
    assert {kind: told[kind] for kind in KINDS} == {kind: len(of(found, kind)) for kind in KINDS}
    assert (told["leaks"], told["frames"], told["notes"]) == (2, 0, [])
    rows = [row for row in found.rows("predictions.csv") if not row["ima"].endswith(("leak.jpg", "mirrored.jpg"))]
    right = np.mean([row["cat"] == row["predicted_cat"] for row in rows])
    assert found.manifest["accuracy_without_leaks"] == pytest.approx(right)
    assert "find_issues" in found.manifest["seconds"]


def test_the_report_says_the_leak_at_its_top_and_shows_pictures(found: Results):
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    head = page[: page.index("<main>")]
    assert "2 of 32" in head
    assert "are copies of training pictures" in head
    part = page[page.index('<section id="issues">') :]
    assert part.count("data:image/jpeg", 0, part.index("</section>")) >= 2 + 2 * 3


def test_the_console_warns_of_leaks(found: Results):
    lines = (found.folder.parent.parent / "said.txt").read_text(encoding="utf-8").splitlines()
    (said,) = (line for line in lines if line.startswith("event=warning"))
    assert "2 of 32 test pictures are copies of training pictures" in said


def test_the_learning_curve_goes_up_to_all_pictures(found: Results):
    rows = found.rows("learning_curve.csv")
    assert found.columns("learning_curve.csv") == ["pictures_a_category", "pictures", "accuracy", "low", "high"]
    assert [int(row["pictures_a_category"]) for row in rows] == [1, 2, 5, 10, 20, 22]
    assert int(rows[-1]["pictures"]) == 65
    assert float(rows[-1]["accuracy"]) >= 0.95
    assert "Learning curve" in (found.folder / "report.html").read_text(encoding="utf-8")


def test_features_that_stay_with_the_executors_say_the_same(found: Results, run: Runner, flawed: Path, monkeypatch):
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    large = run(flawed)
    for kind in ("label", "near_duplicate", "few"):
        one, other = (
            [(row["ima"], row["suggested"], row["other"]) for row in of(each, kind)] for each in (found, large)
        )
        assert one[:2] == other[:2]
        assert set(one) == set(other)


def test_features_of_which_the_driver_has_a_part_are_compared_as_all_others(
    found: Results, run: Runner, flawed: Path, monkeypatch: pytest.MonkeyPatch
):
    described = {split: found.manifest["dataset"][split]["described"] for split in ("train", "test")}
    assert described["test"] < described["train"]
    monkeypatch.setattr(fit, "MOST_CELLS", described["test"] * (found.manifest["dimensions"]["features"][1] + 10))
    monkeypatch.setattr(issues, "MOST_WIDTH", 256)
    mixed = run(flawed, "--learning-curve")
    outliers = [{row["ima"] for row in of(each, "outlier")} for each in (found, mixed)]
    assert len(outliers[1] ^ outliers[0]) <= 1
    curve = mixed.rows("learning_curve.csv")
    assert float(curve[-1]["accuracy"]) >= 0.95


def test_of_too_many_pictures_in_the_driver_a_sample_is_compared(run: Runner, flawed: Path, monkeypatch):
    monkeypatch.setattr(issues, "MOST_ROWS", 30)
    notes = run(flawed).manifest["data_issues"]["notes"]
    assert [note.split(" pictures a sample")[0].split()[-1] for note in notes] == ["train", "test"]
    assert all("a sample of 30 was looked at for wrong labels and outliers" in note for note in notes)


def test_of_too_many_pictures_a_sample_is_looked_at_and_it_is_said(run: Runner, flawed: Path, monkeypatch):
    monkeypatch.setattr(fit, "MOST_CELLS", 0)
    monkeypatch.setattr(issues, "MOST_LOOKS", 40)
    monkeypatch.setattr(issues, "MOST_VALUES", 40 * 64)
    monkeypatch.setattr(issues, "MOST_WIDTH", 64)
    some = run(flawed)
    notes = some.manifest["data_issues"]["notes"]
    assert any("train pictures a sample of" in note for note in notes)
    again = run(flawed, "--min-partitions", 5)
    assert again.manifest["data_issues"]["notes"] == notes
    assert notes[0] in (some.folder / "report.html").read_text(encoding="utf-8")


def test_it_is_said_which_pictures_the_first_round_of_a_protocol_left_out(run: Runner, flawed: Path):
    few = run(flawed, "--protocol", "few-shot", "--preset", "fast")
    listed = int(few.manifest["dataset"]["train"]["images"])
    (note,) = (note for note in few.manifest["data_issues"]["notes"] if "round" in note)
    assert note == (
        f"The first round of the protocol learns from {listed} of {len(list(flawed.glob('Training/*/*')))} training "
        "pictures: the others were not looked at."
    )
    assert note in (few.folder / "report.html").read_text(encoding="utf-8")


def test_without_a_classifier_only_what_needs_none_is_said(run: Runner, flawed: Path):
    bare = run(flawed, "--no-classify")
    kinds = {row["kind"] for row in bare.rows("data_issues.csv")}
    assert {"near_duplicate", "few"} <= kinds
    assert not kinds & {"label", "overlap"}
    assert bare.manifest["data_issues"]["leaks"] == 2
    assert "are copies of training pictures" in (bare.folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("preset", ["sift", "fast", "reference"])
def test_other_presets_find_copies_too(preset, run: Runner, flawed: Path):
    rows = of(run(flawed, "--preset", preset), "near_duplicate")
    assert {"Test/Corn/leak.jpg", "Test/Raspberry/mirrored.jpg"} <= {row["ima"] for row in rows}


def test_the_generated_sample_gets_a_clean_bill(shared: Shared, tmp_path: Path):
    write_sample(tmp_path / "sample")
    answer = shared("run", "--data", tmp_path / "sample", "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    clean = results(tmp_path / "out")
    assert clean.rows("data_issues.csv") == []
    assert (clean.manifest["data_issues"]["leaks"], clean.manifest["data_issues"]["frames"]) == (0, 0)
    assert "event=warning" not in answer.out
    assert "accuracy_without_leaks" not in clean.manifest
    assert "are copies of" not in (clean.folder / "report.html").read_text(encoding="utf-8")


def test_the_manifest_says_where_each_setting_is_from(found: Results):
    told = found.manifest["settings_from"]
    assert set(told) == {spec.name for spec in dataclasses.fields(Settings)} == set(found.manifest["settings"])
    assert (told["words"], told["classifier"], told["seed"]) == ("flag", "preset", "default")
