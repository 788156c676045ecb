"""`fruits run`: data that it can't use, and what it plans without doing it."""

import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from running import clean_environment, fruits


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


# ---- data that can't be used: exit code 1 or 2, one sentence, nothing half-written


def tree(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xff\xd8\xff")
    return folder


BOTH = ("Training/A/1.jpg", "Training/B/1.jpg", "Test/A/1.jpg", "Test/B/1.jpg")
UNUSABLE = {
    "a folder that does not exist": (None, (), ["data", "check the address"]),
    "an empty folder": ((), (), ["data", "'Training/'"]),
    "no Training/": (("Test/A/1.jpg",), (), ["data", "'Training/'", "--train"]),
    "no Test/": (("Training/A/1.jpg", "Training/B/1.jpg"), (), ["data", "'Test/'", "--test"]),
    "no pictures": (("Training/A/1.txt", "Test/A/1.txt"), (), ["data/Training", ".jpg"]),
    "one category only": (("Training/A/1.jpg", "Test/A/1.jpg"), (), ["'A'", "--no-classify"]),
    "a category that is not there": (BOTH, ("--categories", "A,Z"), ["'Z'", "A, B"]),
    "fewer pictures than categories": (BOTH, ("--train-images", "1"), ["--train-images 1", "2 categories"]),
}


@pytest.mark.parametrize("case", sorted(UNUSABLE))
def test_data_that_can_not_be_used_is_told_in_a_sentence(case, answer, tmp_path):
    names, more, parts = UNUSABLE[case]
    if names is not None:
        tree(tmp_path / "data", *names)
    found = answer("run", "--dry-run", "--data", tmp_path / "data", "--out", tmp_path / "out", *more)
    assert found.code in (1, 2)
    for part in parts:
        assert part in found.sentence()
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize("case", ["a folder that does not exist", "one category only"])
def test_a_run_of_data_that_can_not_be_used_ends_with_nothing_half_written(case, tmp_path):
    names, more, parts = UNUSABLE[case]
    if names is not None:
        tree(tmp_path / "data", *names)
    found = fruits("run", "--data", tmp_path / "data", "--out", tmp_path / "out", *more)
    assert found.code in (1, 2)
    for part in parts:
        assert part in found.sentence()
    assert nothing_left(tmp_path / "out")


def test_an_output_folder_that_can_not_be_written_is_named(sample: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    out = tmp_path / "file" / "out"
    found = fruits("run", "--data", sample, "--out", out)
    assert found.code in (1, 2)
    assert f"'{out}" in found.sentence()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_run_that_is_there_already_is_left_alone(sample: Path, tmp_path: Path):
    folder = tmp_path / "out" / "first"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    found = fruits("run", "--data", sample, "--out", tmp_path / "out", "--run-name", "first")
    assert found.code == 2
    assert "'first'" in found.sentence()
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_without_java_the_way_to_install_it_is_told(without_java, sample: Path, tmp_path: Path):
    found = fruits("run", "--data", sample, "--out", tmp_path / "out", environment=without_java)
    assert found.code in (1, 2)
    for part in ("Java", "17", "apt-get install", "brew install", "JAVA_HOME"):
        assert part in found.sentence()
    assert nothing_left(tmp_path / "out")


def test_a_java_that_can_not_start_spark_is_told(tmp_path: Path, sample: Path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'Error: no memory' >&2\nexit 1\n", encoding="utf-8")
    java.chmod(0o755)
    environment = clean_environment(JAVA_HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    found = fruits("run", "--data", sample, "--out", tmp_path / "out", environment=environment)
    assert found.code == 1
    assert "Error: no memory" in found.sentence()
    assert nothing_left(tmp_path / "out")


def test_what_spark_says_of_a_failure_is_told_in_a_sentence(sample: Path, tmp_path: Path):
    environment = clean_environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    conf = ("--conf", "spark.serializer=org.nowhere.None")
    found = fruits("run", "--data", sample, "--out", tmp_path / "out", *conf, environment=environment)
    assert found.code == 1
    assert "java.lang.ClassNotFoundException: org.nowhere.None" in found.sentence()
    assert nothing_left(tmp_path / "out")
    # a run that ended early has loaded few classes: no archive is made of them
    assert not list((tmp_path / "cache").rglob("*.jsa"))


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--categories", "Nope"), "The category 'Nope' is not in "),
        (("--wait-for-data", "1"), "--wait-for-data 1 is given without --data: there is nothing to wait for."),
        (("--labels", "nope.csv", "--test-fraction", "0.2"), "The file of labels 'nope.csv' is not there"),
        (("--master", "foo"), "--master is 'foo': it must be local, "),
        (
            ("--conf", "spark.task.cpus=99", "--master", "local[2]"),
            "--conf spark.task.cpus is '99', and an executor has 2",
        ),
    ],
)
def test_wrong_usage_is_found_with_and_without_a_dry_run(more, said, dry, sample: Path, answer, tmp_path, monkeypatch):
    never = nullcontext(nullcontext())  # a session that is never waited for
    monkeypatch.setattr("job.engine.command_session.command_session", lambda *_, **__: never)
    data = () if "--wait-for-data" in more else ("--data", sample / "Training" if "--labels" in more else sample)
    found = answer("run", *data, "--out", tmp_path / "out", *more, *dry)
    assert found.code == 2
    assert said in found.sentence()
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_classifier_whose_library_is_not_there_is_refused_before_any_work(sample: Path, tmp_path: Path, dry):
    (tmp_path / "without" / "sklearn").mkdir(parents=True)
    (tmp_path / "without" / "sklearn" / "__init__.py").write_text("raise ImportError('it is left out here')")
    environment = clean_environment(PYTHONPATH=str(tmp_path / "without"), FRUITS_CLASSIFIER="linear-svm")
    given = ("run", "--data", sample, "--out", tmp_path / "out", *dry)
    found = fruits(*given, environment=environment)
    assert found.code == 2
    assert found.sentence() == (
        "FRUITS_CLASSIFIER=linear-svm needs scikit-learn, which can't be imported: pip install 'fruits-job[svm]'."
    )
    assert nothing_left(tmp_path / "out")
    assert "start_spark" not in found.out
    assert "list" not in found.out
    assert fruits(*given, "--no-classify", "--dry-run", environment=environment).code == 0


# ---- a dry run


def test_more_pictures_than_there_are_are_told(sample: Path, answer):
    found = answer("run", "--data", sample, "--preset", "fast", "--dry-run", "--train-images", 99, "--test-images", 30)
    assert found.code == 0
    assert found.events("warning") == [
        'event=warning message="--train-images 99 is more than the 60 training pictures there are: all are used."'
    ]
    few = answer("run", "--data", sample, "--preset", "fast", "--dry-run", "--test-images", 31)
    assert "--test-images 31 is more than the 30 test pictures there are" in few.events("warning")[0]


def test_a_dry_run_prints_settings_and_plan_and_needs_no_java(without_java, sample: Path, tmp_path: Path):
    found = fruits(
        "run",
        "--data",
        sample,
        "--out",
        tmp_path / "out",
        "--cache",
        tmp_path / "cache",
        "--preset",
        "sift",
        "--words",
        30,
        "--min-partitions",
        18,
        "--master",
        "local[4]",
        "--dry-run",
        environment=without_java,
    )
    assert found.code == 0
    assert found.err == ""
    start = found.events("start")[0]
    assert "words=30" in start
    assert "components=21" in start
    train, test, whole = found.events("step")
    assert "split=train pictures=60 categories=3" in train
    assert "split=test pictures=30" in test
    assert "partitions=20" in train
    assert "DescriptorExtractor > VisualVocabulary > PrincipalComponents > CategoryIndexer > " in whole
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_plans_for_the_cores_of_the_master_that_is_named(sample, answer, tmp_path):
    for master, expected in (("local[3]", 3), ("local", 1), ("local-cluster[2,5,1024]", 10)):
        found = answer("run", "--data", sample, "--out", tmp_path / "out", "--dry-run", "--master", master)
        assert f"partitions={expected} " in found.events("step")[0], master


def test_a_dry_run_without_classifier_plans_none(sample, answer, tmp_path):
    found = answer("run", "--data", sample, "--out", tmp_path / "out", "--dry-run", "--no-classify")
    assert "CategoryClassifier" not in found.out


def test_modules_that_are_loaded_ahead_may_be_half_loaded_by_an_interrupted_import(tmp_path: Path, monkeypatch):
    from job.experiment import run

    (tmp_path / "half_loaded.py").write_text("from job import what_comes_later")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(run, "_LATER", ("half_loaded",))
    failed: list[object] = []
    monkeypatch.setattr("threading.excepthook", failed.append)
    thread = threading.Thread(target=run.load_ahead)
    thread.start()
    thread.join()
    assert not failed
