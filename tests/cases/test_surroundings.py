"""Runs in the surroundings that users of such software have met, by the whole command: places, names, limits, users."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pyspark
import pytest
from running import Answer, clean_environment, fruits, results

FRUITS = (str(Path(sys.executable).with_name("fruits")),)
FAST = ("--preset", "fast", "--master", "local[2]")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


def run(sample: Path, place: Path, *more: object, wrapped: tuple[str, ...] = (), **variables: str) -> Answer:
    """`fruits run` from within `place`, by way of other commands."""
    given = ("run", "--data", sample, "--out", "out", *FAST, *more)
    return fruits(*given, environment=clean_environment(**variables), folder=place, command=(*wrapped, *FRUITS))


def test_spark_s_tables_lie_in_the_run_s_folder_whatever_its_name(shared, sample: Path, tmp_path: Path, monkeypatch):
    """Case 2: they lay in a sibling with an escaped name, and the cache was never found again."""
    monkeypatch.chdir(tmp_path)
    out, cache = "My Projet é 100%/out", "my cache #1"
    common = ("run", "--data", sample, "--preset", "sift", "--words", 10, "--out", out, "--cache", cache)
    assert shared(*common, "--export-intermediate", "--run-name", "a").code == 0
    found = results(tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["My Projet é 100%", "my cache #1"]
    listed = {file["path"] for file in found.manifest["files"]}
    assert listed == found.files() - {"manifest.json"}
    tables = [name for name in listed if name.startswith("intermediate/") and name.endswith(".parquet")]
    assert sum(pq.read_metadata(found.folder / name).num_rows for name in tables) > 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / cache).rglob("*")}
    assert kept
    assert shared(*common, "--run-name", "b").code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / cache).rglob("*")} == kept, "it was found again"


@pytest.mark.parametrize("kind", ["a module", "a folder"])
def test_what_is_called_job_in_the_folder_of_the_user_is_left_alone(kind: str, sample: Path, place: Path):
    """Case 4: workers took it for this package, and the end was told as too little memory."""
    file = place / ("job.py" if kind == "a module" else "job/__init__.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"open({str(place / 'imported')!r}, 'w').close()\nprint('my own Spark job')\n")
    answer = run(sample, place)
    assert answer.code == 0, answer.err
    assert "my own" not in answer.out + answer.err
    assert not (place / "imported").exists()


def test_a_spark_home_of_another_spark_is_told_before_the_start(sample: Path, place: Path):
    """Case 6: `Constructor ...PythonAccumulatorV2(...) does not exist`."""
    (place / "spark" / "jars").mkdir(parents=True)
    (place / "spark" / "jars" / "spark-core_2.12-3.5.1.jar").touch()
    answer = run(sample, place, SPARK_HOME=str(place / "spark"))
    assert answer.code == 1
    assert f"pyspark is {pyspark.__version__}, but the jars in " in answer.sentence()
    assert not list((place / "out").rglob("*")) or not (place / "out").exists()


def test_another_pyspark_on_the_path_of_python_is_told(sample: Path, place: Path):
    """Doubtful: `Can not infer schema for type: ChunkedArray`."""
    other = place / "other" / "pyspark"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "version.py").write_text('__version__: str = "3.5.1"\n')
    path = os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")])
    answer = run(sample, place, PYTHONPATH=path)
    assert answer.code == 1
    assert answer.sentence() == (
        f"Python finds the pyspark 3.5.1 in '{other}', which is not the one that fruits was installed with: "
        "take it off PYTHONPATH."
    )


def test_a_java_that_spark_does_not_work_with_is_told_where_there_is_no_other(
    sample: Path, place: Path, without_java: dict[str, str]
):
    """Case 3: no end and no message."""
    java = place / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\nexec sleep 300\n")
    java.chmod(0o755)
    (place / "java" / "release").write_text('JAVA_VERSION="25.0.1"\n')
    environment = without_java | {"JAVA_HOME": str(place / "java")}
    answer = fruits("run", "--data", sample, "--out", place / "out", environment=environment)
    assert answer.code == 1
    assert "is Java 25, and Spark works with Java 17 to 21: install Java 17 or 21, or set" in answer.sentence()


def test_a_path_with_an_accent_works_without_a_locale(sample: Path, place: Path):
    """Case 12: `Could not find or load main class`, as from cron or ssh."""
    (place / "vénv").mkdir()
    (place / "vénv" / "spark").symlink_to(Path(pyspark.__file__).parent)
    shutil.copytree(sample, place / "früchte")
    answer = run(place / "früchte", place, SPARK_HOME=str(place / "vénv" / "spark"), LC_ALL="C", LANG="")
    assert answer.code == 0, answer.err
    assert results(place / "out").manifest["dataset"]["train"]["root"].endswith("früchte")


def unshared(*options: str) -> tuple[str, ...]:
    """A command that starts another one in namespaces of its own; skips where this user may not make them."""
    command = ("unshare", *options)
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this user can't make namespaces")
    return command


@pytest.mark.parametrize("home", [{}, {"HOME": "/nonexistent"}])
def test_a_user_without_a_name_can_run(home: dict[str, str], sample: Path, place: Path):
    """Case 14: `Could not determine home directory`; `LoginException ... invalid null input: name`."""
    wrapped = unshared("--user", "--map-user=54321", "--map-group=54321")
    for name in ("HOME", "USER", "LOGNAME"):
        wrapped = (*wrapped, "env", "-u", name)
    answer = run(sample, place, wrapped=(*wrapped, "env", *(f"{name}={value}" for name, value in home.items())))
    assert answer.code == 0, answer.err
    assert answer.err == ""
    assert results(place / "out").manifest["accuracy"] >= 0.9


def test_a_folder_of_temporary_files_from_which_nothing_may_be_run_is_enough(sample: Path, place: Path):
    """Doubtful: with /tmp mounted noexec, `--export-intermediate` failed after all the work."""
    (place / "t").mkdir()
    mounted = f'mount -t tmpfs -o noexec,size=1g tmpfs "{place}/t" && TMPDIR="{place}/t" exec "$@"'
    wrapped = (*unshared("--user", "--map-root-user", "--mount"), "sh", "-c", mounted, "sh")
    answer = run(sample, place, "--export-intermediate", "--event-log", place / "events", wrapped=wrapped)
    assert answer.code == 0, answer.err
    tables = list((results(place / "out").folder / "intermediate").rglob("*.parquet"))
    assert tables
    assert {pq.read_metadata(table).row_group(0).column(0).compression for table in tables} == {"GZIP"}


def test_too_few_open_files_are_told(sample: Path, place: Path):
    """Doubtful: `ulimit -n 256` ended in `NoClassDefFoundError`."""
    answer = run(sample, place, wrapped=("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"))
    assert answer.code == 1
    assert answer.sentence().startswith(
        "A process may open 256 files here, and Spark needs 400 or more: raise the limit"
    )


def test_a_master_that_does_not_answer_is_told_at_once(sample: Path, place: Path):
    """Doubtful: after 65 s, `Cannot call methods on a stopped SparkContext`."""
    begun = time.monotonic()
    answer = run(sample, place, "--master", "spark://127.0.0.1:9")
    assert answer.code == 1
    assert answer.sentence() == (
        "The Spark master at 'spark://127.0.0.1:9' does not answer (Connection refused): check --master and that it "
        "runs."
    )
    assert time.monotonic() - begun < 40


def test_an_interruption_at_any_moment_is_told_as_one_and_leaves_nothing(sample: Path, place: Path):
    """Case 5: seconds after the start it was told as a failure, and temporary folders stayed.

    FRUITS_MOMENTS says how many moments are tried.
    """
    moments = int(os.environ.get("FRUITS_MOMENTS", "6"))
    draw = random.Random(7)
    (place / "t").mkdir()
    environment = clean_environment(TMPDIR=str(place / "t"))
    arguments = [*FRUITS, "run", "--data", str(sample), "--out", str(place / "out"), *FAST]
    for turn in range(moments):
        # the first third of a second is Python's own start
        moment = 0.4 + (turn + draw.random()) / moments * 8.0
        with subprocess.Popen(
            arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=place
        ) as process:
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(draw.choice((signal.SIGINT, signal.SIGTERM)))
            else:
                assert process.returncode == 0
                children = []
            said = process.stderr.read()
            code = process.wait(60)
        if code != 0:  # it may have been over
            assert (code, said) == (130, "fruits: Interrupted: nothing was left half-written.\n"), moment
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive, moment
        assert not list((place / "t").iterdir()), moment
        for folder in (place / "out").iterdir() if (place / "out").exists() else ():
            assert (folder / "manifest.json").exists(), moment
