"""Pictures as users of such software have had them, by the whole command."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from running import Results, results


@pytest.fixture
def pictures(sample: Path, tmp_path: Path) -> Path:
    """The generated sample, to be changed."""
    return Path(shutil.copytree(sample, tmp_path / "pictures"))


FAST = ("--preset", "fast")


def test_one_bad_test_picture_is_the_only_row_of_what_was_rejected(shared, pictures: Path, tmp_path: Path):
    """Case 1: `rejected.csv` began with 16,384 bytes of the process's memory."""
    category = next(folder for folder in sorted((pictures / "Test").iterdir()))
    (category / "0_100.jpg").write_text("<html>404")
    assert shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST).code == 0
    content = (results(tmp_path / "out").folder / "rejected.csv").read_bytes()
    assert content.startswith(b"path,reason\n")
    assert content.count(b"\n") == 2
    assert b"not_an_image" in content


def test_copies_that_notebooks_and_macos_keep_are_not_trained_on(shared, pictures: Path, tmp_path: Path):
    """Case 10: `.ipynb_checkpoints` became a category; `._x.jpg` beside each picture made half of them unusable."""
    category = next(folder for folder in sorted((pictures / "Training").iterdir()))
    first = next(iter(sorted(category.glob("*.jpg"))))
    (category / ".ipynb_checkpoints").mkdir()
    shutil.copy(first, category / ".ipynb_checkpoints" / "copy-checkpoint.jpg")
    for picture in list(pictures.rglob("*.jpg")):
        picture.with_name(f"._{picture.name}").write_bytes(b"\0\5\x16\7")
    assert shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST).code == 0
    found = results(tmp_path / "out").manifest["dataset"]["train"]
    assert found["images"] == found["described"] == 60
    assert ".ipynb_checkpoints" not in found["categories"]


def test_a_category_without_a_usable_training_picture_is_told(shared, pictures: Path, tmp_path: Path):
    """Doubtful: no warning when every picture of a training category is unusable."""
    category = next(folder for folder in sorted((pictures / "Training").iterdir()))
    for picture in category.iterdir():
        picture.write_bytes(b"")
    answer = shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST)
    assert answer.code == 0, answer.err
    (warning,) = answer.events("warning")
    assert f"No training picture of '{category.name}' could be used" in warning
    assert {row["reason"] for row in results(tmp_path / "out").rows("rejected.csv")} == {"empty"}


def test_a_name_that_is_no_utf8_and_one_of_any_characters_stop_no_run(shared, pictures: Path, tmp_path: Path):
    """Doubtful: one file name that is not UTF-8 stopped the whole run."""
    category = next(folder for folder in sorted((pictures / "Training").iterdir()))
    picture = next(iter(category.glob("*.jpg")))
    shutil.copy(picture, bytes(category) + b"/\xff.jpg")
    shutil.copy(picture, category / 'tab\tand, "quote".jpg')
    assert shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST).code == 0
    found = results(tmp_path / "out")
    (row,) = found.rows("rejected.csv")
    assert row["reason"] == "unreadable"
    assert found.manifest["dataset"]["train"]["described"] == 61


def test_one_folder_of_categories_is_enough_with_a_part_kept_back(shared, sample: Path, tmp_path: Path):
    """As people have pictures of their own: no Training and Test."""
    folder = shutil.copytree(sample / "Training", tmp_path / "mine")
    told = shared("run", "--data", folder, "--out", tmp_path / "out", *FAST).sentence()
    assert "--test-fraction 0.2 for one folder of categories" in told
    for name in ("a", "b"):
        given = ("--data", folder, "--test-fraction", "0.2", "--out", tmp_path / "out", "--run-name", name)
        assert shared("run", *given, *FAST).code == 0
    first, second = (
        {row["ima"] for row in Results(tmp_path / "out" / name).rows("predictions.csv")} for name in ("a", "b")
    )
    assert first == second
    assert len(first) == 12
    assert Results(tmp_path / "out" / "a").manifest["dataset"]["train"]["images"] == 48


def test_pictures_of_other_kinds_are_counted_and_a_category_of_them_is_told(shared, pictures: Path, tmp_path: Path):
    """Doubtful: a category of WebP only vanished without a word."""
    for suffix in (".webp", ".gif", ".bmp"):
        folder = pictures / "Training" / "Kiwi"
        folder.mkdir(exist_ok=True)
        encoded = cv2.imencode(suffix, np.zeros((100, 100, 3), np.uint8))[1]
        (folder / f"1{suffix}").write_bytes(encoded.tobytes())
    answer = shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST)
    assert answer.code == 0, answer.err
    assert "No training picture of 'Kiwi' could be used" in answer.events("warning")[0]
    rows = results(tmp_path / "out").rows("rejected.csv")
    assert {(Path(row["path"]).suffix, row["reason"]) for row in rows} == {
        (".webp", "not_supported"),
        (".gif", "not_supported"),
        (".bmp", "not_supported"),
    }


def test_categories_may_come_from_a_table(shared, sample: Path, tmp_path: Path):
    folder = tmp_path / "flat"
    folder.mkdir()
    lines = ["path,category"]
    for number, picture in enumerate(sorted((sample / "Training").rglob("*.jpg"))):
        shutil.copy(picture, folder / f"{number}.jpg")
        lines.append(f"{number}.jpg,{picture.parent.name}")
    lines.append(f"gone.jpg,{picture.parent.name}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    given = ("--data", folder, "--labels", tmp_path / "labels.csv", "--test-fraction", "0.2", "--out", tmp_path / "out")
    answer = shared("run", *given, *FAST)
    assert answer.code == 0, answer.err
    found = results(tmp_path / "out")
    assert [(row["path"], row["reason"]) for row in found.rows("rejected.csv")] == [("gone.jpg", "unreadable")]
    splits = found.manifest["dataset"]
    assert splits["train"]["images"] + splits["test"]["images"] == 61
    assert found.manifest["accuracy"] >= 0.9
