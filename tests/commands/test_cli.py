import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from running import Answer, clean_environment, fruits

from job import __version__
from job.commands import main as cli
from job.settings import Settings, flag_name

(_COMMANDS,) = (action.choices for action in cli.parser()._actions if action.dest == "command")
COMMANDS = list(_COMMANDS or ())


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The command in this process, for what ends before any Spark is started."""
    for name in [name for name in os.environ if name.startswith("FRUITS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("job.engine.jvm.Jvm", lambda *_, **__: pytest.fail("a JVM was started"))

    def run(*arguments: object) -> Answer:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's way out of --help and --version
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


# ---- help


def test_the_installed_command_the_module_and_the_package_say_the_same_version():
    installed = str(Path(sys.executable).with_name("fruits"))
    expected = Answer(0, f"fruits {__version__}\n", "")
    assert fruits("--version", command=(installed,)) == fruits("--version") == expected


def test_help_lists_every_command(answer):
    found = answer("--help")
    assert found.code == 0
    assert {"run", "sample"} <= set(COMMANDS)
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", found.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_is_readable(command, answer, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = answer(command, "--help")
    assert found.code == 0
    assert found.err == ""
    assert f"usage: fruits {command}" in found.out
    lines = found.out.splitlines()
    assert max(map(len, lines)) <= 80
    # each option has a line that says what it is for
    options = [place for place, line in enumerate(lines) if line.startswith("  -")]
    assert options
    for place in options:
        text = lines[place].split("  ", 2)[-1].strip()
        assert "  " in lines[place].strip() or lines[place + 1].startswith(" " * 20), text
    assert "None" not in found.out
    assert "%(" not in found.out


def test_help_of_run_has_every_setting_and_its_choices(answer):
    found = answer("run", "--help").out
    for name in Settings.__dataclass_fields__:
        assert flag_name(name) in found
    assert "reference,accurate,fast" in found
    assert "FRUITS_WORDS=50" in found


# ---- wrong usage: exit code 2, one sentence, nothing done


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ["fruits --help"]),
        (("fly",), ["fly", "run", "fruits --help"]),
        (("run", "--wordz", "3"), ["'--wordz'", "fruits run --help"]),
        (("run", "--word", "3"), ["'--word'", "fruits run --help"]),
        (("sample", "x", "--words", "3"), ["'--words'", "fruits sample --help"]),
        (("run", "--words"), ["--words", "fruits run --help"]),
        (("run", "--words", "-5"), ["--words", "'-5'", "2 or more"]),
        (("run", "--train-images=-1"), ["--train-images", "'-1'", "1 or more"]),
        (("run", "--words", "3.5"), ["--words", "'3.5'"]),
        (("run", "--preset", "best"), ["--preset", "'best'", "reference, accurate, fast"]),
        (("run", "--descriptor", "akaze"), ["--descriptor", "'akaze'", "orb"]),
        (("run", "--words", "30", "--components", "31"), ["--components 31", "--words 30"]),
        (("run", "--data", "a", "--train", "b"), ["--data", "--train"]),
        (("run", "--config", "none.toml"), ["none.toml"]),
        (("run", "--conf", "novalue"), ["--conf", "'novalue'", "KEY=VALUE"]),
        (("run", "--out", "gs://bucket/x", "--data", "."), ["gs://bucket/x"]),
        (("run", "extra"), ["extra"]),
        (("sample",), ["folder", "fruits sample --help"]),
        (("sample", "x", "--categories", "0"), ["--categories", "'0'", "1 or more"]),
        (("sample", "x", "--categories", "--5"), ["--categories"]),
        (("sample", "x", "--seed", "²"), ["--seed", "'²'", "0 or more"]),
        (("sample", "x", "--train-images", "2", "--categories", "3"), ["2 training pictures", "3 categories"]),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments, parts, answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = answer(*arguments)
    assert found.code == 2
    assert found.out == ""
    for part in parts:
        assert part in found.sentence()
    assert nothing_left(tmp_path)


def test_a_bad_variable_of_the_environment_is_named(answer, monkeypatch):
    monkeypatch.setenv("FRUITS_WORDS", "many")
    found = answer("run")
    assert found.code == 2
    assert "FRUITS_WORDS is 'many'" in found.sentence()


def test_the_traceback_is_shown_with_debug_only(answer, tmp_path):
    plain, debug = (answer("run", "--data", tmp_path / "none", "--dry-run", *more) for more in ((), ("--debug",)))
    assert "none" in plain.sentence()
    assert "Traceback" in debug.err
    assert debug.err.splitlines()[-1] == plain.err.strip()
    assert debug.code == plain.code


def test_wrong_usage_ends_the_process_with_2(tmp_path: Path):
    found = fruits("run", "--preset", "best", "--out", "out", folder=tmp_path)
    assert found.code == 2
    assert "'best'" in found.sentence()
    assert nothing_left(tmp_path)


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


@pytest.fixture
def without_java(tmp_path: Path) -> dict[str, str]:
    """An environment in which no Java is found."""
    (tmp_path / "bin").mkdir()
    environment = clean_environment(PATH=str(tmp_path / "bin"))
    environment.pop("JAVA_HOME", None)
    assert shutil.which("java", path=environment["PATH"]) is None
    return environment


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
    found = fruits("run", "--data", sample, "--out", tmp_path / "out", "--master", "nonsense", environment=environment)
    assert found.code == 1
    assert "Could not parse Master URL: 'nonsense'" in found.sentence()
    assert nothing_left(tmp_path / "out")
    # a run that ended early has loaded few classes: no archive is made of them
    assert not list((tmp_path / "cache").rglob("*.jsa"))


SAID = {
    "what a worker said to the user": (
        """An exception was thrown from the Python worker. Please see the stack trace.
Traceback (most recent call last):
  File "x.py", line 1
job.errors.UserError: 's3://b/x' can't be read: check the address.

    at org.apache.spark.X(X.scala:1)
""",
        "'s3://b/x' can't be read: check the address.",
    ),
    "an error of Python in a worker": (
        """An exception was thrown from the Python worker. Please see the stack trace.
Traceback (most recent call last):
  File "x.py", line 1
ValueError: bad
    at org.apache.spark.X(X.scala:1)
""",
        "The work failed: ValueError: bad (--debug shows where).",
    ),
    "an error of Java and its cause": (
        """An error occurred while calling o1.x.
: org.apache.spark.SparkException: Job aborted
    at a.B.c(B.java:1)
Caused by: java.io.IOException: No space left on device
    at a.B.c(B.java:2)
""",
        "The work failed: java.io.IOException: No space left on device (--debug shows where).",
    ),
    "one line": ("It is Tuesday.", "The work failed: It is Tuesday (--debug shows where)."),
    "nothing": ("", "The work failed: RuntimeError (--debug shows where)."),
}


@pytest.mark.parametrize("case", sorted(SAID))
def test_an_error_from_below_becomes_one_sentence(case):
    text, sentence = SAID[case]
    assert cli._sentence(RuntimeError(text)) == sentence


# ---- a dry run


def test_a_dry_run_prints_settings_and_plan_and_needs_no_java(without_java, sample: Path, tmp_path: Path):
    found = fruits(
        "run",
        "--data",
        sample,
        "--out",
        tmp_path / "out",
        "--cache",
        tmp_path / "cache",
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


# ---- the sample


def test_the_sample_says_how_many_pictures_it_wrote_and_where(answer, tmp_path):
    folder = tmp_path / "fruits"
    first, again = (
        answer("sample", folder, "--categories", 2, "--train-images", 5, "--test-images", 4) for _ in range(2)
    )
    assert first.code == again.code == 0
    assert first.out == f"9 pictures written to {folder}.\n"
    assert again.out == f"All 9 pictures are in {folder} already.\n"
    assert len(list(folder.rglob("*.jpg"))) == 9


def test_a_sample_folder_that_can_not_be_written_is_named(answer, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = answer("sample", tmp_path / "file" / "x", "--train-images", 3, "--test-images", 3)
    assert found.code == 1
    assert str(tmp_path / "file") in found.sentence()
