"""`fruits tune` that does not come to its end at once: interrupted, out of time, with candidates that fail."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark import cloudpickle
from running import QUICK, Answer, Results, Shared, clean_environment

from job.experiment.tuning import contest, results, search
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Classifier, Trained
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Encoding
from job.presets import PRESETS

CANDIDATES = ("--candidates", "fast,hsv+lbp/lda/off,soft-hsv/lda/mild", "--folds", 2)


@pytest.fixture(scope="module", autouse=True)
def few_words() -> Iterator[None]:
    """The default, which is always compared, has 64 words: how it is compared is tested, not how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS.get("accurate").values, "words", 64)
        yield


def record(found: Results) -> dict:
    return json.loads((found.folder / "tune.json").read_text(encoding="utf-8"))


@pytest.fixture
def tune(shared: Shared, sample: Path, tmp_path: Path) -> Callable[..., tuple[Answer, Results]]:
    def work(*arguments: object, name: str = "one", code: int = 0) -> tuple[Answer, Results]:
        answer = shared("tune", "--data", sample, "--out", tmp_path, "--run-name", name, *arguments)
        assert answer.code == code, answer.err
        return answer, Results(tmp_path / name)

    return work


def by_fold(found: Results) -> dict[str, list[float]]:
    return {row["candidate"]: row["by_fold"] for row in record(found)["candidates"]}


# ---- interrupted


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the candidates that went to a worker, as they go."""
    names: list[str] = []
    by_worker = contest.by_worker

    def counted(spark, trial, sent, contents, name) -> str:
        names.append(name)
        return by_worker(spark, trial, sent, contents, name)

    monkeypatch.setattr(contest, "by_worker", counted)
    return names


def interrupted_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = results.keep
    done = []

    def stop(*arguments: object) -> None:
        if len(done) == count:
            raise KeyboardInterrupt
        keep(*arguments)
        done.append(1)

    monkeypatch.setattr(results, "keep", stop)


def test_it_goes_on_where_it_was_and_computes_nothing_twice(tune, worked: list[str], monkeypatch: pytest.MonkeyPatch):
    _, whole = tune(*CANDIDATES, name="whole")
    worked.clear()
    with monkeypatch.context() as patch:
        interrupted_after(2, patch)
        answer, found = tune(*CANDIDATES, code=130)
    assert "Results so far are kept: go on with --run-name one --resume." in answer.out
    assert len(found.files() - {"_progress.json", "folds.csv", "rejected.csv"}) == 2 * 2
    before = {path: path.stat().st_mtime_ns for path in (found.folder / "results").iterdir()}
    answer, _ = tune(*CANDIDATES, code=2)
    assert "go on with it by --resume" in answer.sentence()
    worked.clear()
    answer, found = tune(*CANDIDATES, "--resume")
    assert "2 candidates were fitted by an earlier attempt" in answer.out
    assert len(worked) == 4 - 2
    for path, changed in before.items():
        assert path.stat().st_mtime_ns == changed
    assert by_fold(found) == by_fold(whole)
    assert "_progress.json" not in found.files()


def test_a_half_written_result_is_computed_again(tune, worked: list[str], monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        interrupted_after(3, patch)
        _, found = tune(*CANDIDATES, code=130)
    half = min((found.folder / "results").iterdir())
    half.write_text('{"candidate": "fa', encoding="utf-8")
    worked.clear()
    tune(*CANDIDATES, "--resume")
    assert len(worked) == 2


def test_when_all_is_there_nothing_is_described_again_but_for_the_winner(tune, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search._Search, "_rescore", stop)
        tune(*CANDIDATES, code=130)
    _, found = tune(*CANDIDATES, "--resume")
    assert record(found)["extractions"] == []
    assert record(found)["winner"]["test"][0]["pictures"] == 30


def test_other_work_is_not_gone_on_with(tune, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        interrupted_after(1, patch)
        tune(*CANDIDATES, code=130)
    for more in (("--candidates", "fast"), ("--folds", 3), ("--seed", 5), ("--train-images", 30)):
        answer, found = tune(*CANDIDATES, *more, "--resume", code=2)
        assert "was begun with other pictures, candidates, folds or settings" in answer.sentence()
    assert (found.folder / "_progress.json").exists()


def test_resume_without_anything_to_go_on_with_begins(tune):
    answer, found = tune("--candidates", "fast", "--folds", 2, "--resume")
    assert "There is no beginning of a run 'one' in " in answer.out
    assert record(found)["winner"]["candidate"] in ("fast", "accurate")


def test_what_failed_before_it_had_a_result_leaves_nothing(tune, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        interrupted_after(0, patch)
        _, found = tune(*CANDIDATES, code=130)
    assert not found.folder.exists()


@pytest.mark.slow
def test_a_process_that_was_killed_is_gone_on_with(shared: Shared, sample: Path, tmp_path: Path):
    given = ["tune", "--data", sample, "--out", tmp_path, "--run-name", "one", *CANDIDATES, "--master", "local[1]"]
    given += ["--conf", f"spark.driver.extraJavaOptions={QUICK}"]
    # as many words as the session has that goes on with it
    begin = "import sys; from job.presets import PRESETS; PRESETS.get('accurate').values['words'] = 64; "
    begin += "from job.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", begin, *map(str, given)]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=output, stderr=output, start_new_session=True
        )
    place, deadline = tmp_path / "one" / "results", time.monotonic() + 200
    try:
        while len(list(place.glob("*.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait(100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert not (tmp_path / "one" / "manifest.json").exists()
    answer = shared(*given, "--resume")
    assert answer.code == 0, answer.err
    assert "fitted by an earlier attempt" in answer.out
    assert len(record(Results(tmp_path / "one"))["candidates"]) == 4


# ---- out of time


def test_a_budget_that_is_over_says_which_candidates_were_not_finished(tune, monkeypatch: pytest.MonkeyPatch):
    begun = []
    by_worker = contest.by_worker

    def counted(*arguments: object) -> str:
        begun.append(1)
        return by_worker(*arguments)

    monkeypatch.setattr(contest, "by_worker", counted)
    monkeypatch.setattr(search._Search, "_over", lambda _: len(begun) >= 2)
    answer, found = tune(*CANDIDATES, "--budget", "1h")
    content = record(found)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    unfinished = [name for name, row in rows.items() if row["status"] == "unfinished"]
    assert len(unfinished) == 2
    assert content["unfinished"] == unfinished
    for name in unfinished:
        assert rows[name]["accuracy"] == ""
        assert rows[name]["said"] == "The budget was over before it was fitted on 60 pictures."
        assert name in answer.out
    assert rows[content["winner"]["candidate"]]["status"] == "done"
    assert content["winner"]["test"][0]["pictures"] == 30
    assert "The budget was over before 2 of the candidates" in (found.folder / "tune.html").read_text(encoding="utf-8")


def test_default_and_histogram_come_first_so_that_others_can_be_compared_with_them(tune, worked: list[str]):
    tune("--candidates", "hsv+lbp/lda/off,accurate,soft-hsv/lda/mild,fast", "--folds", 2)
    assert set(worked[:2]) == {"candidate 1", "candidate 3"}


def test_a_budget_too_short_for_any_candidate_is_told(tune):
    answer, found = tune(*CANDIDATES, "--budget", "0.001s", code=1)
    assert answer.sentence() == "The budget of 0.001 s was over before one candidate was fitted: raise --budget."
    assert not found.folder.exists()


# ---- candidates that fail


def _fail(features, labels, categories, *, seed, max_iterations, threads) -> Trained:
    raise ValueError("The toy\nis broken.")


def _die(features, labels, categories, *, seed, max_iterations, threads) -> Trained:
    os._exit(3)


def _chances(features, trained) -> np.ndarray:
    raise AssertionError


def _apply(rows, pictures, count, codebook) -> np.ndarray:
    raise ValueError("The encoding is not made for such rows.")


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, learn in (("broken", _fail), ("deadly", _die)):
        CLASSIFIERS.add(name, Classifier(name=name, learn=learn, chances=_chances))
    entry = Encoding(name="broken", dtype=np.dtype(np.float32), apply=_apply, size=lambda _, d: d)
    ENCODINGS.add("broken", entry)
    yield
    ENCODINGS.remove("broken")
    for name in ("broken", "deadly"):
        CLASSIFIERS.remove(name)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_candidate_that_fails_is_told_and_the_others_go_on(tune):
    answer, found = tune("--candidates", "hsv/broken,fast,hsv/deadly,rootsift:counts:9000/logistic", "--folds", 2)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "hsv/broken": "failed",
        "hsv/deadly": "failed",
        "rootsift:counts:9000/logistic": "failed",
        "fast": "done",
        "accurate": "done",
    }
    assert rows["hsv/broken"]["said"] == "is broken."
    assert "worker that worked on it ended unexpectedly: it crashed" in rows["hsv/deadly"]["said"]
    assert "--words 9000 is more than the" in rows["rootsift:counts:9000/logistic"]["said"]
    assert "The candidate hsv/broken failed: is broken." in answer.out
    assert set(record(found)["failed"]) == {"hsv/broken", "hsv/deadly", "rootsift:counts:9000/logistic"}
    page = (found.folder / "tune.html").read_text(encoding="utf-8").replace("<wbr>", "")
    assert "hsv/broken failed: is broken." in page


def test_a_block_that_can_not_be_encoded_fails_its_candidates_alone(tune):
    _, found = tune("--candidates", "hsv+lbp:broken/lda/off,fast,lbp:broken/lda/off", "--folds", 2)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    for name in ("hsv+lbp:broken/lda/off", "lbp:broken/lda/off"):
        assert rows[name]["status"] == "failed"
        assert rows[name]["said"] == "The encoding is not made for such rows."
    assert rows["fast"]["status"] == rows["accurate"]["status"] == "done"


def test_settings_that_do_not_go_together_fail_in_a_grid_as_a_candidate_does(tune, tmp_path: Path):
    grid = tmp_path / "grid.toml"
    grid.write_text('features = "hsv"\nclassifier = ["lda", "logistic"]\naugment = ["off", "mild"]\n')
    _, found = tune("--grid", grid, "--folds", 2)
    rows = {row["candidate"]: row for row in found.rows("tune.csv")}
    assert rows["hsv/logistic/mild"]["status"] == "failed"
    assert "needs a classifier that weighs pictures" in rows["hsv/logistic/mild"]["said"]
    assert {rows[name]["status"] for name in rows if name != "hsv/logistic/mild"} == {"done"}
    assert len(rows) == 4 + 1


# ---- candidates that are sought


SPACE = """
features = ["hsv", "soft-hsv", "hsv+lbp", "orb:counts"]
classifier = ["lda", "ridge", "logistic"]
augment = ["off", "mild"]
words = [10, 20]
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    pytest.importorskip("optuna", reason="the extra `tune` is not installed")
    path = tmp_path / "space.toml"
    path.write_text(SPACE, encoding="utf-8")
    return path


def test_candidates_are_sought_in_a_space_and_pictures_described_once(tune, space: Path):
    _, found = tune("--grid", space, "--trials", 10, "--folds", 2)
    content = record(found)
    names = [row["candidate"] for row in content["candidates"]]
    assert 4 < len(names) <= 12
    assert len(set(names)) == len(names)
    assert {"accurate", "hsv:root/logistic"} <= {content["default"], content["hsv"], *names}
    (only,) = content["extractions"]
    assert sorted(only["descriptors"]) == ["hsv", "lbp", "orb", "patches", "soft-hsv"]
    for row in content["candidates"]:
        assert row["status"] == "done" or "needs a classifier that weighs" in row["said"]
    assert content["arguments"]["trials"] == 10


def test_the_same_candidates_are_sought_again_and_not_computed_twice(
    tune, space: Path, worked: list[str], monkeypatch: pytest.MonkeyPatch
):
    given = ("--grid", space, "--trials", 8, "--folds", 2)
    _, whole = tune(*given, name="whole")
    count = len(worked)
    worked.clear()
    with monkeypatch.context() as patch:
        interrupted_after(3, patch)
        tune(*given, code=130)
    worked.clear()
    _, found = tune(*given, "--resume")
    assert by_fold(found) == by_fold(whole)
    assert len(worked) == count - 3


def test_without_optuna_the_way_out_is_told(tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from job.experiment.tuning import sampling

    monkeypatch.setattr(sampling, "find_spec", lambda _: None)
    grid = tmp_path / "grid.toml"
    grid.write_text('features = ["hsv", "lbp"]\n', encoding="utf-8")
    answer, found = tune("--grid", grid, "--trials", 3, code=2)
    assert answer.sentence() == "--trials needs Optuna, which is not installed: pip install 'fruits-job[tune]'."
    assert not found.folder.exists()
