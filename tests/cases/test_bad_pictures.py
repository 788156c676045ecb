"""Pictures as users of such software have had them, by the whole command."""

import os
import shutil
import unicodedata
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


def test_files_found_are_pictures_used_pictures_rejected_and_files_of_no_picture_kind(
    shared, pictures: Path, tmp_path: Path
):
    """Doubtful: what is no picture was not counted, and nobody learned of it."""
    category = next(folder for folder in sorted((pictures / "Training").iterdir()))
    (category / "empty.jpg").write_bytes(b"")
    (category / "drawing.psd").write_bytes(b"8BPS")
    (category / "more.PSD").write_bytes(b"8BPS")
    (category / "Thumbs.db").write_bytes(b"x")
    (category / "README").write_text("x")
    (category / ".DS_Store").write_bytes(b"x")
    (category / ".ipynb_checkpoints").mkdir()
    (category / ".ipynb_checkpoints" / "1-checkpoint.jpg").write_bytes(b"x")
    answer = shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST)
    assert answer.code == 0, answer.err
    assert 'of_no_picture_kind="2 .psd, 2 hidden, 1 .db, 1 no suffix"' in answer.events("step")[0]
    found = results(tmp_path / "out")
    train = found.manifest["dataset"]["train"]
    others = train["passed_over"]
    assert others == {".psd": 2, "hidden": 2, ".db": 1, "no suffix": 1}
    assert (train["described"], train["rejected"]) == (60, 1)
    # a hidden folder counts as one, and is not looked into
    files = sum(not path.is_dir() for path in (pictures / "Training").rglob("*"))
    assert files == train["described"] + train["rejected"] + train["without_descriptors"] + sum(others.values())
    assert found.manifest["dataset"]["test"]["passed_over"] == {}
    assert "2 .psd" in (found.folder / "report.html").read_text(encoding="utf-8")


def test_a_data_set_with_pictures_to_validate_with_is_run_and_they_are_left_alone(
    shared, pictures: Path, tmp_path: Path
):
    """As fruits-360-original-size unpacks: one folder deeper, and with Validation."""
    archive = tmp_path / "archive" / "fruits-360-original-size"
    shutil.copytree(pictures, archive)
    shutil.copytree(pictures / "Test", archive / "Validation")
    (archive / "Meta").mkdir()
    answer = shared("run", "--data", tmp_path / "archive", "--out", tmp_path / "out", *FAST)
    assert answer.code == 0, answer.err
    train, test = (line for line in answer.events("step") if "read_images" in line)
    assert 'left_alone="Meta/, Validation/"' in train
    assert "left_alone" not in test
    found = results(tmp_path / "out").manifest["dataset"]
    assert (found["train"]["images"], found["test"]["images"]) == (60, 30)


def test_folders_of_the_same_name_in_two_places_are_one_category(shared, pictures: Path, tmp_path: Path):
    """Doubtful, and right as it is, which the README says: the category is the folder that a picture lies in."""
    first, second, _ = sorted((pictures / "Training").iterdir())
    for category in (first, second):
        (category / "ripe").mkdir()
        for picture in list(category.glob("*.jpg"))[:5]:
            picture.rename(category / "ripe" / f"{category.name} {picture.name}")
    for picture in list((pictures / "Test" / first.name).glob("*.jpg"))[:2]:
        (pictures / "Test" / "ripe").mkdir(exist_ok=True)
        picture.rename(pictures / "Test" / "ripe" / picture.name)
    assert shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST).code == 0
    assert results(tmp_path / "out").manifest["dataset"]["train"]["categories"]["ripe"] == 10


def test_a_picture_that_is_damaged_inside_is_used_as_it_decodes(shared, pictures: Path, tmp_path: Path):
    """Doubtful, and right as it is, which the README says: it can be decoded to its end."""
    picture = next((pictures / "Training").rglob("*.jpg"))
    content = bytearray(picture.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 40] = bytes(range(40))
    picture.write_bytes(content)
    answer = shared("run", "--data", pictures, "--out", tmp_path / "out", *FAST)
    assert answer.code == 0, answer.err
    assert results(tmp_path / "out").manifest["dataset"]["train"]["described"] == 60


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_the_two_forms_of_an_accent_are_the_same_category(
    forms: tuple[str, str], shared, pictures: Path, tmp_path: Path
):
    """Doubtful: `The category 'Pêche' is not in ...: it has Corn, Pêche`; one form each in Training and Test."""
    first, *_ = sorted(folder.name for folder in (pictures / "Training").iterdir())
    for split, form in zip(("Training", "Test"), forms, strict=True):
        (pictures / split / first).rename(pictures / split / unicodedata.normalize(form, "Pêche"))
    others = [folder.name for folder in (pictures / "Test").iterdir() if folder.name.isascii()]
    named = ",".join([unicodedata.normalize(forms[1], "Pêche"), *others])
    answer = shared("run", "--data", pictures, "--out", tmp_path / "out", "--categories", named, *FAST)
    assert answer.code == 0, answer.err
    assert unicodedata.normalize("NFC", "Pêche") in results(tmp_path / "out").manifest["dataset"]["test"]["categories"]


def test_results_within_the_folder_of_the_pictures_and_links_in_circles_are_no_pictures(
    shared, sample: Path, tmp_path: Path
):
    pictures = tmp_path / "all"
    shutil.copytree(sample / "Training", pictures)
    for name, target in (("loop", "."), ("up", "../all"), ("a", "b"), ("b", "a")):
        (pictures / name).symlink_to(target)
    common = ("--data", pictures, "--test-fraction", "0.2", "--out", pictures / "out", "--cache", pictures / "cache")
    listed = []
    for name in ("first", "second"):
        answer = shared("run", *common, "--run-name", name, "--export-intermediate", *FAST)
        assert answer.code == 0, answer.err
        splits = Results(pictures / "out" / name).manifest["dataset"]
        listed.append([(splits[split]["images"], splits[split]["rejected"]) for split in ("train", "test")])
    assert listed[0] == listed[1]
    assert sum(images for images, _ in listed[0]) == 60


def test_pictures_of_another_time_than_the_clock_s_are_used_and_known_again(shared, pictures: Path, tmp_path: Path):
    """The clock was wrong, or an archive was unpacked on a machine whose clock was."""
    for number, picture in enumerate(sorted(pictures.rglob("*.jpg"))):
        moment = (4_102_444_800, 0, -2_177_452_800)[number % 3]  # 2100, 1970, 1901
        os.utime(picture, (moment, moment))
    common = ("run", "--data", pictures, "--out", tmp_path / "out", "--cache", tmp_path / "cache", *FAST)
    assert shared(*common, "--run-name", "a").code == 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    again = shared(*common, "--run-name", "b")
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == kept, "all was found again"


def test_a_path_of_three_thousand_characters_is_one_like_others(shared, sample: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(13):  # the system takes 4,096, and 255 of a name
        Path("x" * 240).mkdir()
        monkeypatch.chdir("x" * 240)
    Path("pictures").symlink_to(sample)
    answer = shared("run", "--data", "pictures", "--out", "out", "--export-intermediate", *FAST)
    assert answer.code == 0, answer.err
    assert results(Path("out")).manifest["accuracy"] >= 0.9


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
