"""`fruits runs`, `fruits show`, `fruits compare`: what runs have left, told."""

import json
from pathlib import Path

import pytest
from running import Results


@pytest.fixture(scope="module")
def out(shared, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the generated sample, of which the second is the newer one."""
    folder = tmp_path_factory.mktemp("past") / "out"
    for name, words in (("first", 10), ("second", 20)):
        given = ("--preset", "sift", "--words", words, "--run-name", name)
        assert shared("run", "--data", sample, "--out", folder, *given).code == 0
    return folder


def test_a_line_a_run_the_newest_first(answer, out: Path):
    found = answer("runs", "--out", out)
    heading, *lines = found.out.splitlines()
    assert heading.split() == ["run", "finished", "(UTC)", "pictures", "accuracy", "time"]
    assert [line.split()[0] for line in lines] == ["second", "first"]
    assert all(line.split()[3] == "90" and line.endswith(" s") for line in lines)


def test_runs_as_json_are_one_object_a_line(answer, out: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRUITS_OUT", str(out))
    rows = [json.loads(line) for line in answer("runs", "--json").out.splitlines()]
    manifest = Results(out / "first").manifest
    assert rows[1] == {
        "name": "first",
        "address": str(out / "first"),
        "when": rows[1]["when"],
        "pictures": 90,
        "accuracy": manifest["accuracy"],
        "seconds": manifest["seconds"]["total"],
    }


def test_without_a_run_the_list_is_empty(answer, tmp_path: Path):
    found = answer("runs", "--out", tmp_path)
    assert (found.code, found.out) == (0, "")
    assert found.sentence() == f"There is no whole run in '{tmp_path}'."


def test_the_main_figures_of_a_run_are_shown(answer, out: Path):
    told = answer("show", "first", "--out", out).out
    lines = dict(line.split(None, 1) for line in told.splitlines())
    assert lines["run"] == str(out / "first")
    assert lines["train"] == "60 pictures of 3 categories"
    assert lines["words"] == "10"
    assert lines["report"] == str(out / "first" / "report.html")
    steps = [line.split()[0] for line in told.splitlines() if line.startswith("  ")]
    assert len(steps) == 6
    assert set(steps) < set(Results(out / "first").manifest["seconds"])


def test_the_newest_run_is_shown_where_none_is_named(answer, out: Path):
    assert f"{out}/second" in answer("show", "--out", out).out


def test_a_whole_manifest_can_be_had(answer, out: Path):
    assert json.loads(answer("show", "first", "--out", out, "--json").out) == Results(out / "first").manifest


def test_the_report_is_opened_in_the_browser(answer, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{tmp_path}/opened'\n")
    browser.chmod(0o755)
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    assert answer("show", "first", "--out", out, "--open").code == 0
    assert (tmp_path / "opened").read_text() == (out / "first" / "report.html").as_uri() + "\n"


def test_two_runs_are_set_beside_each_other(answer, out: Path):
    lines = answer("compare", "first", "second", "--out", out).out.splitlines()
    assert lines[0].split() == ["first", "second"]
    settings = {line.split()[0]: line.split()[1:] for line in lines[1:] if line}
    assert settings["words"] == ["10", "20"]
    assert "preset" not in settings, "they are alike in it"
    assert any(line.startswith("total time ") for line in lines)
    assert any(line.startswith("Difference over 3 categories: ") for line in lines)


def test_a_comparison_as_json(answer, out: Path):
    found = json.loads(answer("compare", "first", "latest", "--out", out, "--json").out)
    assert found["runs"] == ["first", "second"]
    assert found["settings"]["words"] == [10, 20]
    assert found["same_pictures"] is True
    assert set(found["difference"]) == {"mean", "low", "high"}


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("show", "frist"), 1, "(did you mean 'first'?)"),
        (("compare", "first", "third"), 1, "no whole run 'third'"),
        (("compare", "first", "first"), 2, "Both runs are 'first'"),
        (("compare", "first"), 2, "fruits compare --help"),
    ],
)
def test_a_run_that_is_not_there_is_told_in_a_sentence(arguments, code: int, part: str, answer, out: Path):
    found = answer(*arguments, "--out", out)
    assert found.code == code
    assert part in found.sentence()
