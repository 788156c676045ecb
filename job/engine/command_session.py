"""The session of a command: Spark starts while the command loads what it needs and lists its pictures."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
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
    thread, so that by then it may be there (tests/benchmarks/engine.py: whole). One of a cluster is started when the
    context is entered, so that a command which fails before that costs no pods. At the end of the block the JVM has
    ended, whether or not the session was entered.

    With `debug`, what the JVM says goes to the error stream.

    Raises UserError when Java or Spark is not there or does not fit.
    """
    if started_by_spark_submit():
        yield session(configuration, leave=True)
        return
    jvm = Jvm(configuration, debug=debug)
    with ExitStack() as stack:
        stack.callback(jvm.stop)
        if not configuration.local:
            yield session(configuration, jvm, leave=True)
            return
        # a command that fails before it needs Spark ends the JVM, about which pyspark would have something to say
        for kept in (quiet_py4j(configuration), environment_kept(), quiet_stop()):
            stack.enter_context(kept)
        coming = _coming(configuration, jvm)
        yield session(configuration, jvm, leave=True, coming=coming.result)


def _coming(configuration: Configuration, jvm: Jvm) -> "Future[SparkContext]":
    """A context in that JVM, which a thread of its own makes."""
    coming: Future[SparkContext] = Future()

    def make() -> None:
        try:
            check_none()
            coming.set_result(context_in(configuration, jvm))
        except BaseException as error:  # noqa: BLE001  (raised where the context is waited for)
            coming.set_exception(error)

    threading.Thread(target=make, daemon=True).start()
    return coming
