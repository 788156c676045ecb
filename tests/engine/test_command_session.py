"""The session of a command: Spark starts while something else is done, and leaves nothing when that fails."""

from pathlib import Path

import pytest
from running import QUICK, python

BEGIN = f"""
import sys, time
from job.engine.command_session import command_session
from job.engine.configuration import Configuration
from job.errors import UserError
def configuration(master="local[2]", **conf):
    conf = {{"spark.driver.extraJavaOptions": "{QUICK}", **conf}}
    return Configuration.make(master=master, conf=conf, for_command=True)
"""


def said_by(program: str, folder: Path) -> list[str]:
    """What a program says line by line: it ends well, with nothing on its error stream, and leaves no process and no
    file."""
    counted = """
import psutil
_, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=60)
print([each.name() for each in alive])
"""
    done = python(BEGIN + program + counted, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list((folder / "t").iterdir())
    *lines, alive = done.stdout.splitlines()
    assert alive == "[]"
    return lines


def test_spark_starts_before_it_is_waited_for_and_ends_with_the_block(place: Path):
    said = said_by(
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
    said = said_by(
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


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        (
            "spark.driver.memory",
            "900000t",
            'isinstance(error, UserError) and str(error).startswith("Java could not start Spark: ")',
        ),
        ("spark.serializer", "none.such", '"none.such" in str(error)'),
    ],
)
def test_an_error_of_the_start_is_told_when_spark_is_waited_for(key: str, value: str, right: str, place: Path):
    said = said_by(
        f"""
try:
    with command_session(configuration(**{{"{key}": "{value}"}})) as coming:
        time.sleep(1)
        print("at work")
        with coming:
            print("never")
except Exception as error:
    print({right})
""",
        place,
    )
    assert said == ["at work", "True"]


@pytest.mark.parametrize(
    "what", ['"local-cluster[1,1,512]"', '**{"spark.eventLog.enabled": "true", "spark.eventLog.dir": "file:/none"}']
)
def test_executors_and_event_logs_are_made_only_when_spark_is_waited_for(what: str, place: Path):
    said = said_by(
        f"""
with command_session(configuration({what})) as coming:
    time.sleep(3)
    print("pyspark" in sys.modules)
""",
        place,
    )
    assert said == ["False"]
