"""The session of a command: Spark starts while the command loads what it needs and lists its pictures."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from job.engine.configuration import Configuration, started_by_spark_submit
from job.engine.jvm import Jvm
from job.engine.session import check_none, context_in, environment_kept, quiet_py4j, quiet_stop, session

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession


# Seconds within which a start that has lost its JVM notices that.
_NOTICED = 1.0


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
    elif not configuration.leaves_nothing:
        jvm = Jvm(configuration, debug=debug)
        try:
            yield session(configuration, jvm, leave=True)
        finally:
            jvm.stop()
    else:
        # a command that fails before it needs Spark ends the JVM, about which pyspark would have something to say
        with quiet_py4j(configuration), environment_kept(), quiet_stop():
            jvm = Jvm(configuration, debug=debug)
            start = _Start(configuration, jvm)
            try:
                start.start()
                yield session(configuration, jvm, leave=True, coming=start.context)
            finally:
                jvm.stop(at_once=True)
                if start.is_alive():
                    start.join(_NOTICED)


class _Start(threading.Thread):
    """The thread that makes a context in a JVM."""

    def __init__(self, configuration: Configuration, jvm: Jvm) -> None:
        super().__init__(daemon=True)
        self._configuration, self._jvm = configuration, jvm
        self._made: Future[SparkContext] = Future()

    def run(self) -> None:
        try:
            check_none()
            self._made.set_result(context_in(self._configuration, self._jvm))
        except BaseException as error:  # noqa: BLE001  (raised where the context is waited for)
            self._made.set_exception(error)

    def context(self) -> "SparkContext":
        """Waits for the context. Raises what went wrong with it."""
        return self._made.result()
