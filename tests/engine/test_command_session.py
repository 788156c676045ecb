"""The session of a command: Spark starts while something else is done, and leaves nothing when that fails."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import QUICK, clean_environment

LIMIT = 240
BEGIN = f"""
import sys, threading, time
from job.engine.command_session import command_session
from job.engine.configuration import Configuration
from job.errors import UserError
def configuration(master="local[2]", **conf):
    conf = {{"spark.driver.extraJavaOptions": "{QUICK}", **conf}}
    return Configuration.make(master=master, conf=conf, for_command=True)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets, which that of `tmp_path` is not."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        (Path(folder) / "t").mkdir()
        yield Path(folder)


def python(program: str, folder: Path) -> list[str]:
    """What a program says line by line, on both streams: it ends well, and no process or file of it is left."""
    counted = """
import psutil
me = psutil.Process()
before = me.children(recursive=True)
_, alive = psutil.wait_procs(before, timeout=60)
print([each.name() for each in alive])
"""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program + counted],
        env=clean_environment(TMPDIR=str(folder / "t")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout
    assert not list((folder / "t").iterdir())
    *lines, alive = done.stdout.splitlines()
    assert alive == "[]"
    return lines


def test_spark_starts_before_it_is_waited_for_and_ends_with_the_block(place: Path):
    said = python(
        """
with command_session(configuration()) as coming:
    limit = time.monotonic() + 120
    started = None
    while not started and time.monotonic() < limit:
        time.sleep(0.05)
        # it may be half loaded
        known = getattr(sys.modules.get("pyspark.core.context"), "SparkContext", None)
        started = getattr(known, "_active_spark_context", None)
    print("started", bool(started))
    with coming as spark:
        from pyspark.sql import SparkSession
        print(spark.range(5).count(), SparkSession.getActiveSession() is spark)
        print(spark.range(4, numPartitions=2).mapInArrow(lambda batches: batches, "id long").count())
""",
        place,
    )
    assert said == ["started True", "5 True", "4"]


@pytest.mark.parametrize("seconds", [0.0, 0.4, 0.8, 1.2, 2.0])
def test_a_command_that_fails_while_spark_starts_says_nothing_of_spark(seconds: float, place: Path):
    said = python(
        f"""
try:
    with command_session(configuration()):
        time.sleep({seconds})
        raise UserError("There are no pictures.")
except UserError as error:
    print(error)
time.sleep(1)
""",
        place,
    )
    assert said == ["There are no pictures."]


def test_an_error_of_the_start_is_told_when_spark_is_waited_for(place: Path):
    said = python(
        """
try:
    with command_session(configuration(**{"spark.driver.memory": "900000t"})) as coming:
        time.sleep(1)
        print("at work")
        with coming:
            print("never")
except UserError as error:
    print(error)
""",
        place,
    )
    assert said[0] == "at work"
    assert said[1].startswith("Java could not start Spark: ")
    assert len(said) == 2


def test_what_spark_refuses_is_told_when_it_is_waited_for(place: Path):
    said = python(
        """
try:
    with command_session(configuration(**{"spark.serializer": "none.such"})) as coming:
        time.sleep(1)
        print("at work")
        with coming:
            print("never")
except Exception as error:
    print("none.such" in str(error))
""",
        place,
    )
    assert said == ["at work", "True"]


@pytest.mark.parametrize(
    "what", ['"local-cluster[1,1,512]"', '**{"spark.eventLog.enabled": "true", "spark.eventLog.dir": "file:/none"}']
)
def test_executors_and_event_logs_are_made_only_when_spark_is_waited_for(what: str, place: Path):
    said = python(
        f"""
with command_session(configuration({what})) as coming:
    time.sleep(3)
    print("pyspark" in sys.modules)
""",
        place,
    )
    assert said == ["False"]
