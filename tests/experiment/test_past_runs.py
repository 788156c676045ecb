"""Runs that are over: found, read, set beside each other."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from job.errors import UsageError, UserError
from job.experiment.past_runs import compare, past_run, past_runs


def past(out: Path, name: str, at: int, recalls: dict[str, float] | None = None, **more: Any) -> Path:
    """The folder of a run that was finished `at` seconds after 1970."""
    folder = out / name
    folder.mkdir(parents=True)
    splits = {split: {"images": 10, "listing_sha256": more.pop("pictures", "a"), "categories": {"A": 10}} for split in ("train", "test")}  # fmt: skip  # noqa: E501
    manifest = {"run_name": name, "dataset": splits, "files": [], **more}
    if recalls is not None:
        lines = [f"{cat},1,{recall},1,5" for cat, recall in recalls.items()]
        (folder / "categories.csv").write_text("\n".join(["cat,precision,recall,f1,support", *lines, ""]))
        manifest["files"].append({"path": "categories.csv", "bytes": 1, "sha256": ""})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    os.utime(folder / "manifest.json", (at, at))
    return folder


def test_whole_runs_are_listed_the_newest_first_and_others_are_not(tmp_path: Path):
    past(tmp_path, "a", 100, accuracy=0.5, seconds={"read_images": {"train": 1.0, "test": 2.0}, "total": 9.0})
    past(tmp_path, "b", 200, dataset={"root": "x", "images": 7, "described": 7})
    (tmp_path / "half").mkdir()
    (tmp_path / ".hidden").mkdir()
    newest, oldest = past_runs(str(tmp_path))
    assert (newest.name, newest.pictures, newest.accuracy, newest.when) == ("b", 7, None, "1970-01-01T00:03:20Z")
    assert (oldest.name, oldest.pictures, oldest.accuracy) == ("a", 20, 0.5)
    assert oldest.seconds == {"read_images": 3.0, "total": 9.0}


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path):
    assert past_runs(str(tmp_path / "none")) == []


@pytest.mark.parametrize("content", ["", "[]", "{", "\xff"])
def test_a_manifest_that_is_none_is_told_and_left_out(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    past(tmp_path, "a", 100)
    past(tmp_path, "b", 200)
    (tmp_path / "b" / "manifest.json").write_text(content, encoding="latin-1")
    assert [run.name for run in past_runs(str(tmp_path))] == ["a"]
    assert f"'{tmp_path}/b/manifest.json' is no manifest of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "odd",
    [
        {"dataset": "imagenet"},
        {"dataset": None},
        {"dataset": {"train": {"images": "many"}}},
        {"dataset": {"images": None}},
        {"dataset": {"train": {"images": 1, "rejected": "few"}}},
        {"dataset": {"train": {"images": 1, "categories": 3}}},
        {"seconds": 3},
        {"seconds": {"total": "long"}},
        {"seconds": {"total": float("inf")}},
        {"seconds": {"read_images": {"train": None}}},
        {"accuracy": "high"},
        {"accuracy": float("nan")},
        {"cores": "all"},
        {"settings": ["words"]},
        {"files": {"path": "report.html"}},
        {"files": ["report.html"]},
    ],
)
def test_a_manifest_with_values_of_another_kind_is_told_and_left_out(
    odd: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    past(tmp_path, "a", 100)
    past(tmp_path, "b", 200)
    place = tmp_path / "b" / "manifest.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **odd}))
    assert past_run("latest", str(tmp_path)).name == "a"
    assert f"'{place}' is no manifest of a run: it is left out." in capsys.readouterr().err
    with pytest.raises(UserError, match="There is no whole run 'b'"):
        past_run("b", str(tmp_path))


def test_what_a_manifest_lacks_is_not_missed(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "manifest.json").write_text('{"accuracy": null}')
    run = past_run("a", str(tmp_path))
    assert (run.pictures, run.accuracy, run.seconds, run.settings, run.mean_recall()) == (0, None, {}, {}, None)


def test_a_run_is_named_by_its_name_its_folder_or_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    past(tmp_path / "out", "a", 100)
    past(tmp_path / "out", "b", 200)
    past(tmp_path / "other", "c", 50)
    monkeypatch.chdir(tmp_path)
    assert past_run("a", "out").name == "a"
    assert past_run("latest", "out").name == "b"
    assert past_run("other/c", "out").address == str(tmp_path / "other" / "c")
    assert past_run(str(tmp_path / "other" / "c"), "out").name == "c"


def test_a_run_that_is_not_there_is_told_with_the_one_that_may_be_meant(tmp_path: Path):
    past(tmp_path, "monday", 100)
    with pytest.raises(UserError, match=r"no whole run 'mondey' in '.*' \(did you mean 'monday'\?\): `fruits runs`"):
        past_run("mondey", str(tmp_path))
    for named in ("latest", "a"):
        with pytest.raises(UserError, match=r"no whole run in .*: make one with `fruits run`, or give --out"):
            past_run(named, str(tmp_path / "none"))


def test_two_runs_differ_in_settings_seconds_and_accuracy_over_the_categories_that_both_have(tmp_path: Path):
    settings = {"words": 10, "seed": 1, "out": "x", "run_name": "a"}
    past(tmp_path, "a", 1, {"A": 1.0, "B": 0.8, "C": 0.1}, settings=settings, seconds={"total": 3.0})
    others = {"words": 20, "seed": 1, "out": "y", "run_name": "b"}
    past(tmp_path, "b", 2, {"A": 0.9, "B": 0.7, "D": 1.0}, settings=others, seconds={"total": 4.0, "evaluate": 1.0})
    found = compare(past_run("a", str(tmp_path)), past_run("b", str(tmp_path)))
    assert found.settings == {"words": (10, 20)}
    assert found.seconds == {"total": (3.0, 4.0), "evaluate": (None, 1.0)}
    assert found.categories == 2
    assert found.accuracy == pytest.approx((0.1, 0.1, 0.1))
    assert found.same_pictures


def test_runs_of_other_pictures_and_without_classifier_are_known(tmp_path: Path):
    past(tmp_path, "a", 1, {"A": 1.0})
    past(tmp_path, "b", 2, pictures="b")
    found = compare(past_run("a", str(tmp_path)), past_run("b", str(tmp_path)))
    assert (found.accuracy, found.categories, found.same_pictures) == (None, 0, False)


def test_a_run_is_not_compared_with_itself(tmp_path: Path):
    past(tmp_path, "a", 1)
    with pytest.raises(UsageError, match="Both runs are 'a': name two"):
        compare(past_run("a", str(tmp_path)), past_run("latest", str(tmp_path)))
