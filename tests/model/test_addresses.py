"""What a user names: the newest model, pictures, and folders of them."""

import os
from pathlib import Path

import pytest
import stored as kept

from job import storage
from job.errors import UserError
from job.model import addresses
from job.storage.pack import pack


def run_folder(out: Path, name: str, at: float, *left_out: str) -> Path:
    """A run whose manifest was written at that time, without some of its files."""
    folder = out / name
    for path in ("model/model.json", "manifest.json"):
        if path not in left_out:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("{}", encoding="utf-8")
            os.utime(folder / path, (at, at))
    return folder


# ---- the newest model


def test_the_newest_run_is_that_whose_manifest_was_written_last_whatever_its_name(tmp_path: Path):
    run_folder(tmp_path, "z", 1000)
    run_folder(tmp_path, "a", 3000)
    run_folder(tmp_path, "m", 2000)
    assert addresses.newest(str(tmp_path)) == f"{tmp_path}/a/model"


def test_half_written_runs_and_runs_without_a_model_are_passed_over(tmp_path: Path):
    run_folder(tmp_path, "whole", 1000)
    run_folder(tmp_path, "half", 2000, "manifest.json")
    run_folder(tmp_path, "predictions", 3000, "model/model.json")
    (tmp_path / "a file").write_text("", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    assert addresses.newest(str(tmp_path)) == f"{tmp_path}/whole/model"


@pytest.mark.parametrize("case", ["nothing", "an empty folder", "half a run"])
def test_without_a_whole_run_the_way_out_is_told(case: str, tmp_path: Path):
    out = tmp_path / "out"
    if case == "an empty folder":
        out.mkdir()
    if case == "half a run":
        run_folder(out, "half", 1000, "manifest.json")
    with pytest.raises(UserError, match=rf"There is no whole run with a model in '{out}'.*--model\."):
        addresses.newest(str(out))


# ---- pictures


def shown(*arguments: object) -> list[str]:
    return [found.shown for found in addresses.pictures(map(str, arguments))]


def test_files_stay_as_they_were_given_and_folders_are_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.jpg", "b/deep/er/1.PNG", "b/notes.txt", "b/.hidden/3.jpg", "a.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())
    assert shown("a.jpg", "b/", "nowhere.jpg") == ["a.jpg", "b/2.jpg", "b/deep/er/1.PNG", "nowhere.jpg"]
    assert shown(tmp_path / "b") == [f"{tmp_path}/b/2.jpg", f"{tmp_path}/b/deep/er/1.PNG"]
    found = dict(addresses.contents(addresses.pictures(["a.jpg", "b", "nowhere.jpg"]), 100))
    assert found == {
        "a.jpg": b"a.jpg",
        "b/2.jpg": b"b/2.jpg",
        "b/deep/er/1.PNG": b"b/deep/er/1.PNG",
        "nowhere.jpg": storage.Fault("unreadable"),
    }


def test_pictures_of_a_packed_folder_are_read_from_their_blocks(tmp_path: Path):
    (tmp_path / "plain" / "Corn").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "plain" / "Corn" / f"{number}.jpg").write_bytes((kept.V1 / f"{number}.jpg").read_bytes())
    pack(str(tmp_path / "plain"), str(tmp_path / "packed"))
    found = list(addresses.contents(addresses.pictures([str(tmp_path / "packed")]), 1 << 20))
    assert found == [
        (f"{tmp_path}/packed/Corn/{number}.jpg", (kept.V1 / f"{number}.jpg").read_bytes()) for number in range(3)
    ]


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "x.txt").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=rf"There are no pictures \(.jpg, .jpeg, .png\) in '{tmp_path}'"):
        shown(tmp_path)


def test_files_larger_than_allowed_are_not_read(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"12345")
    ((_, found),) = addresses.contents(addresses.pictures([str(tmp_path)]), 4)
    assert found == storage.Fault("too_large")
