"""The session of a command: Spark starts while the command loads what it needs and lists its pictures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from job.engine.configuration import Configuration, started_by_spark_submit
from job.engine.jvm import Jvm
from job.engine.session import check_none, context_in, environment_kept, quiet_py4j, quiet_stop, session

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession


@contextmanager
def command_session(
    configuration: Configuration, *, debug: bool = False
) -> "Iterator[AbstractContextManager[SparkSession]]":
    """Begins to start Spark, for a command whose process ends with its work.

    Gives the session as a context: when that is entered, Spark is waited for. A local Spark is started by another
    thread, so that by then it may be there (tests/benchmarks/engine.py: whole). One that asks a cluster for executors,
    or writes an event log, is started when the context is entered: a command which fails before that leaves neither.
    At the end of the block the JVM has ended, whether or not the session was entered.

    With `debug`, what the JVM says goes to the error stream.

    Raises UserError when Java or Spark is not there or does not fit.
    """
    if started_by_spark_submit():
        yield session(configuration, leave=True)
        return
    ahead = configuration.leaves_nothing
    # a command that fails before it needs Spark ends the JVM, about which pyspark would have something to say
    with quiet_py4j(configuration), environment_kept(), quiet_stop(), ThreadPoolExecutor(1) as pool:
        jvm = Jvm(configuration, debug=debug)
        try:
            coming = pool.submit(_made, configuration, jvm).result if ahead else None
            yield session(configuration, jvm, leave=True, coming=coming)
        finally:
            jvm.stop(at_once=ahead)  # with it ends the work of the other thread


def _made(configuration: Configuration, jvm: Jvm) -> "SparkContext":
    check_none()
    return context_in(configuration, jvm)
