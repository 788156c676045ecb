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
    project, cache = 'My Projet é 100%: l\'#1 "🍎" [a]{b}*?', "my cache #1:%20"
    out = f"{project}/out"
    common = ("run", "--data", sample, "--preset", "sift", "--words", 10, "--out", out, "--cache", cache)
    assert shared(*common, "--export-intermediate", "--run-name", "a").code == 0
    found = results(tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([project, cache])
    listed = {file["path"] for file in found.manifest["files"]}
    assert listed == found.files() - {"manifest.json"}
    tables = [name for name in listed if name.startswith("intermediate/") and name.endswith(".parquet")]
    assert sum(pq.read_metadata(found.folder / name).num_rows for name in tables) > 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / cache).rglob("*")}
    assert kept
    assert shared(*common, "--run-name", "b").code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / cache).rglob("*")} == kept, "it was found again"


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


def unshared(*options: str) -> tuple[str, ...]:
    """A command that starts another one in namespaces of its own; skips where this user may not make them."""
    command = ("unshare", *options)
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this user can't make namespaces")
    return command


# the home can't be made, by root either: an archive of classes made there took longer than the run
@pytest.mark.parametrize(
    ("home", "own"), [({}, "job.py"), ({"HOME": "/proc/nonexistent"}, "job/__init__.py")], ids=["a module", "a folder"]
)
def test_a_user_without_a_name_can_run_and_what_is_called_job_in_the_folder_is_left_alone(
    home: dict[str, str], own: str, sample: Path, place: Path
):
    """Case 14: `Could not determine home directory`; `LoginException ... invalid null input: name`.

    Case 4: workers took the user's own `job` for this package, and the end was told as too little memory.
    """
    file = place / own
    file.parent.mkdir(exist_ok=True)
    for each in (file, place / "numbers.py"):
        each.write_text(f"open({str(place / 'imported')!r}, 'w').close()\nprint('my own Spark job')\n")
    wrapped = unshared("--user", "--map-user=54321", "--map-group=54321")
    for name in ("HOME", "USER", "LOGNAME"):
        wrapped = (*wrapped, "env", "-u", name)
    answer = run(sample, place, wrapped=(*wrapped, "env", *(f"{name}={value}" for name, value in home.items())))
    assert answer.code == 0, answer.err
    assert answer.err == ""
    assert results(place / "out").manifest["accuracy"] >= 0.9
    assert "my own" not in answer.out
    assert not (place / "imported").exists()


def test_accents_work_without_a_locale_and_temporary_files_where_nothing_may_be_run(sample: Path, place: Path):
    """Case 12: `Could not find or load main class`, as from cron or ssh. Doubtful: with /tmp mounted noexec,
    `--export-intermediate` failed after all the work."""
    (place / "vénv").mkdir()
    (place / "vénv" / "spark").symlink_to(Path(pyspark.__file__).parent)
    shutil.copytree(sample, place / "früchte")
    (place / "t").mkdir()
    mounted = f'mount -t tmpfs -o noexec,size=1g tmpfs "{place}/t" && TMPDIR="{place}/t" exec "$@"'
    wrapped = (*unshared("--user", "--map-root-user", "--mount"), "sh", "-c", mounted, "sh")
    more = ("--export-intermediate", "--event-log", place / "events")
    names = {"SPARK_HOME": str(place / "vénv" / "spark"), "LC_ALL": "C", "LANG": ""}
    names["FRUITS_CLASS_ARCHIVE"] = "off"  # no other run has its jars in that place
    answer = run(place / "früchte", place, *more, wrapped=wrapped, **names)
    assert answer.code == 0, answer.err
    found = results(place / "out")
    assert found.manifest["dataset"]["train"]["root"].endswith("früchte")
    tables = list((found.folder / "intermediate").rglob("*.parquet"))
    assert tables
    assert {pq.read_metadata(table).row_group(0).column(0).compression for table in tables} == {"GZIP"}


def test_a_home_that_can_not_be_written_and_settings_meant_for_others_do_no_harm(sample: Path, place: Path):
    """Right as it is: half hours in the time zone, a mask that keeps others out, Python -O, Turkish Java (in which `I`
    becomes an i without a dot), what pyspark's shell and Spark's own commands are told, a terminal of one column."""
    for name in ("home", "my temporary files"):
        (place / name).mkdir()
    (place / "home").chmod(0o555)
    (place / "conf").mkdir()
    (place / "conf" / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name><value>hdfs://nowhere:9000</value></property></configuration>"
    )
    (place / "conf" / "spark-defaults.conf").write_text("spark.master yarn\nspark.serializer org.nowhere.None\n")
    masked = (*unshared("--user", "--map-user=54321", "--map-group=54321"), "sh", "-c", 'umask 077 && exec "$@"', "sh")
    answer = run(
        sample,
        place,
        "--export-intermediate",
        wrapped=masked,
        HOME=str(place / "home"),
        TMPDIR=str(place / "my temporary files"),
        TZ="Asia/Kolkata",
        PYTHONOPTIMIZE="1",
        JAVA_TOOL_OPTIONS="-Duser.language=tr -Duser.country=TR",
        LC_ALL="tr_TR.UTF-8",
        COLUMNS="1",
        PYSPARK_DRIVER_PYTHON="jupyter",
        PYSPARK_DRIVER_PYTHON_OPTS="lab",
        PYSPARK_SUBMIT_ARGS="--master yarn pyspark-shell",
        HADOOP_CONF_DIR=str(place / "conf"),
        SPARK_CONF_DIR=str(place / "conf"),
        SPARK_LOCAL_DIRS="/proc/nowhere",
        CLASSPATH="/nowhere.jar",
    )
    assert answer.code == 0, answer.err
    assert answer.err == ""
    found = results(place / "out")
    assert found.manifest["accuracy"] >= 0.9
    assert found.manifest["files"]
    assert found.folder.stat().st_mode & 0o077 == 0
    assert [list((place / name).iterdir()) for name in ("home", "my temporary files")] == [[], []]


def test_too_few_open_files_are_told(sample: Path, place: Path):
    """Doubtful: `ulimit -n 256` ended in `NoClassDefFoundError`."""
    answer = run(sample, place, wrapped=("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"))
    assert answer.code == 1
    assert answer.sentence().startswith(
        "A process may open 256 files here, and Spark needs 400 or more: raise the limit"
    )


def test_a_java_that_gets_no_memory_is_told_and_leaves_nothing_in_the_current_folder(sample: Path, place: Path):
    """`[Errno 111] Connection refused`, and a file with all options of Java, some of which may be secret."""
    answer = run(sample, place, wrapped=("sh", "-c", 'ulimit -v 3000000 && exec "$@"', "sh"))
    assert answer.code == 1
    assert "memory" in answer.sentence()  # which reason Java gives depends on where it gets no more
    assert [path.name for path in place.iterdir() if path.name != "out"] == []


def test_a_machine_without_a_network_with_itself_is_told(sample: Path, place: Path):
    """`[Errno 101] Network is unreachable`, as in a sandbox."""
    answer = run(sample, place, wrapped=unshared("--user", "--map-root-user", "--net"))
    assert answer.code == 1
    assert answer.sentence().startswith("This machine does not reach itself at 127.0.0.1 (")
    assert "`ip link set lo up`" in answer.sentence()


def test_a_python_without_docstrings_is_told(sample: Path, place: Path):
    """`expected string or bytes-like object, got 'NoneType'` from pyspark's import."""
    answer = run(sample, place, PYTHONOPTIMIZE="2")
    assert answer.code == 1
    assert answer.sentence().startswith(
        "Python leaves out docstrings here, and pyspark can't be imported without them: unset PYTHONOPTIMIZE"
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


def listens(pid: int) -> bool:
    """Whether a process has an answer of its own to SIGTERM."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_an_interruption_at_any_moment_is_told_as_one_and_leaves_nothing(sample: Path, place: Path):
    """Case 5: seconds after the start it was told as a failure, and temporary folders stayed.

    FRUITS_MOMENTS says how many moments of a whole run are tried: 100 take some ten minutes.
    """
    moments = int(os.environ.get("FRUITS_MOMENTS", "3"))
    draw = random.Random(int(os.environ.get("FRUITS_MOMENTS_SEED", "7")))
    (place / "t").mkdir()
    environment = clean_environment(TMPDIR=str(place / "t"))
    arguments = [*FRUITS, "run", "--data", str(sample), "--out", str(place / "out"), *FAST]
    begun = time.monotonic()
    subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=True, cwd=place)
    whole, interrupted = time.monotonic() - begun, 0
    for turn in range(moments):
        moment = (turn + draw.random()) / moments * whole
        number = draw.choice((signal.SIGINT, signal.SIGTERM))
        begun = time.monotonic()
        with subprocess.Popen(
            arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=place
        ) as process:
            # before Python itself has started, a signal ends it without a word
            while process.poll() is None and not listens(process.pid):
                time.sleep(0.005)
            try:
                process.wait(max(0.0, begun + moment - time.monotonic()))
            except subprocess.TimeoutExpired:
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(number)
            else:
                assert process.returncode == 0
                children = []
            said = process.stderr.read()
            code = process.wait(240)
        told = f"{number.name} after {moment:.2f} of {whole:.2f} s"
        if code != 0:  # it may have been over
            assert (code, said) == (130, "fruits: Interrupted: nothing was left half-written.\n"), told
            interrupted += 1
        _, alive = psutil.wait_procs(children, timeout=120)
        assert not alive, told
        assert not list((place / "t").iterdir()), told
        for folder in (place / "out").iterdir():
            assert (folder / "manifest.json").exists(), told
    assert interrupted >= moments // 2
