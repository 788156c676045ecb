"""A Spark session: what it is made of, and what is left of it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from running import QUICK, clean_environment, need_java_of_the_machine, python

from job.commands import main as cli
from job.engine import session as sessions
from job.engine.configuration import started_by_spark_submit

LIMIT = 240


# ---- what it is made of


def test_a_command_started_from_here_does_not_take_this_jvm_for_spark_submit_s(spark):
    assert not {"PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"} & set(os.environ)
    assert not started_by_spark_submit()


def test_workers_run_under_this_interpreter_with_one_thread_each_and_keep_their_memory(spark):
    def look(batches):
        import cv2
        import pyarrow as pa

        list(batches)
        facts = [
            sys.executable,
            os.environ.get("OMP_NUM_THREADS", ""),
            os.environ.get("OPENBLAS_NUM_THREADS", ""),
            str(cv2.getNumThreads()),
            os.environ.get("MALLOC_TRIM_THRESHOLD_", ""),
        ]
        yield pa.RecordBatch.from_arrays([pa.array(facts)], ["fact"])

    found = spark.range(0, 1, 1, numPartitions=1).mapInArrow(look, "fact string").toArrow()["fact"].to_pylist()
    assert found == [sys.executable, "1", "1", "1", str(256 << 20)]


def test_workers_started_ahead_are_those_that_queries_use(spark):
    def look(batches):
        import pyarrow as pa

        list(batches)
        yield pa.RecordBatch.from_arrays([pa.array([os.getppid()], pa.int32())], ["daemon"])

    ahead = set(spark.sparkContext.parallelize(range(2), 2).map(lambda _: os.getppid()).collect())
    later = set(spark.range(0, 2, 1, 2).mapInArrow(look, "daemon int").toArrow()["daemon"].to_pylist())
    assert ahead == later
    assert len(ahead) == 1


def test_what_a_worker_tells_the_user_reaches_the_user(spark):
    def fail(batches):
        from job.errors import UserError

        list(batches)
        raise UserError("'s3://bucket/x' can't be read: check the address.")

    with pytest.raises(Exception, match="UserError") as caught:
        spark.range(1).mapInArrow(fail, "id long").toArrow()
    kept = sessions._with_its_text(caught.value)
    assert isinstance(kept, sessions.SparkFailure)
    assert cli._sentence(kept) == "'s3://bucket/x' can't be read: check the address."


def test_paths_with_spaces_and_accents_are_those_of_the_file_system(spark, tmp_path: Path):
    from job.storage.uris import hadoop_uri

    place = tmp_path / "My Projet é 100%41" / "table"
    spark.range(5).coalesce(1).write.parquet(hadoop_uri(str(place)))
    assert (place / "_SUCCESS").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["My Projet é 100%41"]
    assert spark.read.parquet(hadoop_uri(str(place))).count() == 5


# ---- what is left of it

SESSIONS = f"""
import logging, os, signal, sys
from pathlib import Path
from job.engine.configuration import Configuration
from job.engine.session import SparkFailure, session

configuration = Configuration.make(master="local[1]", conf={{"spark.driver.extraJavaOptions": "{QUICK}"}})
left = lambda: sorted(path.name for path in Path(os.environ["TMPDIR"]).iterdir())
environment, handler = dict(os.environ), signal.getsignal(signal.SIGINT)
"""


# One after another in one process, since each of them must leave to the next what it found. What each finds is printed
# after its name.
SEQUENCE = f"""{SESSIONS}
import psutil
from job.errors import UserError
from pyspark.sql import SparkSession

def plain():
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    return builder.config("spark.driver.extraJavaOptions", "{QUICK}").getOrCreate()

def unchanged():
    return dict(os.environ) == environment and signal.getsignal(signal.SIGINT) == handler and left() == []

def say(name, *facts):
    print(name, *facts, sep="|", flush=True)

try:
    with session(configuration) as spark:
        (java,) = (child for child in psutil.Process().children() if child.name() == "java")
        java.kill()
        spark.range(5).count()
except UserError as error:
    say("killed", "Java process ended" in error.message, unchanged())
try:
    with session(configuration) as spark:
        say("after killed", spark.range(5).count())
        spark.sql("select nonsense")
except SparkFailure as error:
    say("failed", "nonsense" in str(error), unchanged())
with session(configuration) as spark:
    say("after failed", spark.sparkContext.parallelize(range(4), 2).map(lambda x: x + 1).sum())
    spark.range(100).persist().count()
    folder = spark.sparkContext._jvm.java.lang.System.getProperty("java.io.tmpdir")
    say("folder", Path(folder).parent == Path(os.environ["TMPDIR"]), spark.conf.get("spark.local.dir") == folder)
    say("files", *sorted({{path.name.split("-")[0] for path in Path(folder).iterdir()}}))
say("after all", unchanged())

from pyspark.ml import Pipeline, PipelineModel
say("active", SparkSession.getActiveSession())
mine = plain()
say("plain", mine.range(5).count(), mine.conf.get("spark.sql.codegen.factoryMode"))
say("plain's folder", mine.conf.get("spark.local.dir", "none set"))
Pipeline(stages=[]).fit(mine.range(1)).save("model")
say("model", len(PipelineModel.load("model").stages))
try:
    with session(configuration):
        pass
except ValueError as error:
    say("refused", error)
say("mine", mine.range(3).count())
mine.stop()
with session(configuration) as spark:
    say("after mine", spark.range(5).count(), Path(spark.conf.get("spark.local.dir")).name.startswith("fruits-"))
"""


@pytest.fixture(scope="module")
def passed() -> dict[str, list[str]]:
    """What the sessions of the sequence found, by their names."""
    need_java_of_the_machine()
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        done = python(SEQUENCE, Path(folder))
    assert done.returncode == 0, done.stderr + done.stdout
    lines = [line.split("|") for line in done.stdout.splitlines()]
    return {name: facts for name, *facts in lines}


def test_after_two_sessions_pyspark_works_at_once_and_nothing_is_left(passed: dict[str, list[str]]):
    assert passed["after all"] == ["True"]
    assert passed["active"] == ["None"]
    assert passed["plain"] == ["5", "FALLBACK"]
    assert passed["plain's folder"] == ["none set"]
    assert passed["model"] == ["0"]


def test_a_session_of_the_user_s_is_never_touched(passed: dict[str, list[str]]):
    assert passed["refused"] == ["There is a Spark session in this process already: use it, or stop it first."]
    assert passed["mine"] == ["3"]
    assert passed["after mine"] == ["5", "True"]


def test_a_session_after_one_that_failed_works(passed: dict[str, list[str]]):
    assert passed["failed"] == ["True", "True"]
    assert passed["after failed"] == ["10"]


def test_a_session_whose_jvm_was_killed_leaves_pyspark_usable(passed: dict[str, list[str]]):
    assert passed["killed"] == ["True", "True"]
    assert passed["after killed"] == ["5"]


def test_temporary_files_of_spark_are_where_this_machine_keeps_them(passed: dict[str, list[str]]):
    assert passed["folder"] == ["True", "True"]
    assert {"blockmgr", "spark"} <= set(passed["files"])


@pytest.fixture(scope="module")
def far() -> Iterator[tuple[Path, list[str]]]:
    """A session whose temporary files have a long path and whose event log has a folder of any name; the folder that
    it works in, and what it found."""
    program = f"""{SESSIONS}
logs = Path("My logs é 100%41")
logs.mkdir()
conf = {{"spark.driver.extraJavaOptions": "{QUICK}"}}
far = Configuration.make(master="local[1]", event_log=str(logs.absolute()), conf=conf)
with session(far, leave=True) as spark:
    print(spark.sparkContext.parallelize([1, 2]).count())
(log,) = logs.rglob("events_*")
assert not list(logs.rglob("*.inprogress"))
print(log.stat().st_size > 1000)
"""
    with tempfile.TemporaryDirectory(prefix="t-") as place:
        folder = Path(place, "x" * 60, "y" * 60)
        folder.mkdir(parents=True)
        done = python(program, folder)
        assert done.returncode == 0, done.stderr
        yield folder, done.stdout.split()


def test_event_logs_are_written_to_a_folder_of_any_name(far: tuple[Path, list[str]]):
    assert far[1][1] == "True"
    assert {path.name for path in far[0].iterdir()} == {"t", "My logs é 100%41"}


def test_a_long_path_of_temporary_files_does_without_unix_sockets(far: tuple[Path, list[str]]):
    assert far[1][0] == "2"


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("before", signal.SIGTERM),
        ("within", signal.SIGINT),
        ("in a query", signal.SIGINT),
        ("while rows come", signal.SIGINT),
    ],
)
def test_a_command_that_is_told_to_end_leaves_nothing(moment: str, number: signal.Signals, place: Path):
    """SIGTERM in a query is in test_spark_processes.py."""
    program = f"""{SESSIONS}
import time
from job.engine.command_session import command_session
from job.signals import terminated_as_interrupted
code = 0
configuration = Configuration.make(
    master="local[1]", conf={{"spark.driver.extraJavaOptions": "{QUICK}"}}, for_command=True
)
def slow(batches):
    print("in a query", flush=True, file=open("said", "a"))
    time.sleep(60)
    yield from batches
def many(batches):
    # 40 tasks of 4 MB, one after the other: more than a socket holds while nobody reads
    import pyarrow as pa
    for batch in batches:
        time.sleep(0.2)
        print("while rows come", flush=True, file=open("said", "a"))
        yield pa.RecordBatch.from_arrays([pa.array([bytes(4 << 20)], pa.binary())], ["data"])
with terminated_as_interrupted():
    try:
        with command_session(configuration) as coming:
            print("before", flush=True, file=open("said", "a"))
            with coming as spark:
                print("within", flush=True, file=open("said", "a"))
                if {moment!r} == "while rows come":
                    spark.range(0, 40, 1, 40).mapInArrow(many, "data binary").toArrow()
                spark.range(3).mapInArrow(slow, "id long").count()
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 1
sys.stderr.flush()
os._exit(code)
"""
    (place / "t").mkdir()
    (place / "said").touch()
    environment = clean_environment(TMPDIR=str(place / "t"))
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True, cwd=place
    ) as run:
        deadline = time.monotonic() + LIMIT
        while moment not in (place / "said").read_text():
            assert time.monotonic() < deadline
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.02)
        time.sleep(0.3)
        children = psutil.Process(run.pid).children(recursive=True)
        assert children
        run.send_signal(number)
        code, said = run.wait(LIMIT), run.stderr.read()
    assert (code, said) == (130, "")
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive
    assert not list((place / "t").iterdir())
