"""A Spark session as a context manager."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from job.engine.configuration import Configuration, started_by_spark_submit
from job.engine.jvm import Jvm
from job.engine.nameless import is_nameless, log_in
from job.errors import UserError
from job.signals import interrupted_after

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

_STOP_LIMIT = 30.0
# Seconds within which Spark starts on this machine, however busy it is.
_CONTEXT_LIMIT = 300.0
_CONNECTION = ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET")
# What pyspark sets when a context is made.
_SET_BY_PYSPARK = ("SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE")


class SparkFailure(Exception):  # noqa: N818  (not an error of its own: one of Spark's, kept)
    """The text of an error of Spark's. Spark's own errors ask the JVM for it, which has ended."""


@contextmanager
def session(
    configuration: Configuration,
    jvm: Jvm | None = None,
    *,
    leave: bool = False,
    coming: "Callable[[], SparkContext] | None" = None,
) -> "Iterator[SparkSession]":
    """A Spark session, stopped at the end; pyspark can then be used in this process as if there had been none.

    Parameters
    ----------
    configuration
        What it is started with.
    jvm
        A JVM that was launched before. None: one is launched here where Spark is local; elsewhere spark-submit has one
        already, or pyspark starts it.
    leave
        For a command whose process ends right after: a local JVM is killed, and Spark is not waited for
        (tests/benchmarks/engine.py: whole). pyspark can't be used in the process any more.
    coming
        Waits for the context in that JVM and gives it, where another thread makes it already
        (`job.engine.command_session`).

    Raises
    ------
    ValueError
        When there is a session in this process already.
    UserError
        When Java or Spark can't be started, or when the JVM ended in the midst of the work.
    SparkFailure
        In place of an error of Spark's.

    """
    if coming is None:
        check_none()
    if jvm is None and not started_by_spark_submit() and configuration.conf.get("spark.master", "").startswith("local"):
        jvm = Jvm(configuration)
    leave = leave and configuration.leaves_nothing
    worked = False
    with ExitStack() as stack:
        stack.enter_context(quiet_py4j(configuration))
        stack.enter_context(environment_kept())
        if jvm is not None:
            stack.callback(lambda: jvm.stop(worked=worked, at_once=leave))
            stack.enter_context(_own_gateway(leave=leave, made=coming is not None))
            if configuration.for_command:
                stack.enter_context(_quiet_pickling())
                stack.enter_context(quiet_stop())
                # pyspark's own clean-up after an interrupted `toArrow` waits for a JVM that waits for its reader
                stack.enter_context(interrupted_after(jvm.kill))
        context = coming() if coming else context_in(configuration, jvm)
        if leave or configuration.for_command:
            _hush(context)
        try:
            with _told_when_ended(jvm):
                yield _session_of(context, configuration)
                worked = True
        finally:
            if not leave:
                _stop(context)


@contextmanager
def _told_when_ended(jvm: Jvm | None) -> Iterator[None]:
    """An error within the block is told as the end of the JVM where that has ended, else with its own text."""
    try:
        yield
    except Exception as error:
        if jvm is not None and (reason := jvm.ended(error)):
            raise UserError(reason) from error
        raise _with_its_text(error) from None


@contextmanager
def _within(seconds: float, jvm: Jvm | None) -> Iterator[None]:
    """The JVM is killed when the block takes longer: it does not answer any more."""
    if jvm is None:
        yield
        return
    timer = threading.Timer(seconds, jvm.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def context_in(configuration: Configuration, jvm: Jvm | None) -> "SparkContext":
    """A context in that JVM, or where pyspark finds one."""
    from pyspark import SparkConf, SparkContext

    # workers run under the interpreter that runs this: a virtual environment need not be activated
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if jvm is not None:
        os.environ.update(zip(_CONNECTION, jvm.connect(), strict=True))
    interrupted = signal.getsignal(signal.SIGINT)
    try:
        with _told_when_ended(jvm), _within(_CONTEXT_LIMIT, jvm if configuration.local else None):
            if jvm is not None and is_nameless():
                SparkContext._ensure_initialized()
                log_in(SparkContext._jvm)
            context = SparkContext(conf=SparkConf().setAll(list(configuration.conf.items())))
    finally:
        if jvm is not None:  # a command that this process starts must not take this JVM for spark-submit's
            for name in _CONNECTION:
                os.environ.pop(name, None)
    if threading.current_thread() is threading.main_thread() and interrupted is not None:
        # pyspark's handler speaks to the JVM, maybe in the midst of another call to it, which then fails instead of
        # being interrupted
        signal.signal(signal.SIGINT, interrupted)
    if configuration.for_command:
        _start_workers(context)
    return context


def _session_of(context: "SparkContext", configuration: Configuration) -> "SparkSession":
    """The session in that context.

    That of a local command is made without the extensions that jars of Spark's own folder bring: MLlib's functions on
    vectors for SQL, which the command doesn't use and whose making is half of a session's (tests/benchmarks/engine.py:
    whole). Spark looks for extensions through the class loader of the calling thread, which is set to one without jars
    for this one call.
    """
    from pyspark.sql import SparkSession

    extended = "spark.sql.extensions" in configuration.conf
    if not (configuration.for_command and configuration.local) or extended:
        return SparkSession(context)
    java: Any = context._jvm
    builder = java.org.apache.spark.sql.classic.SparkSession.builder().sparkContext(context._jsc.sc())
    without_jars, thread = java.java.lang.ClassLoader.getPlatformClassLoader(), java.java.lang.Thread.currentThread()
    with_jars = thread.getContextClassLoader()
    thread.setContextClassLoader(without_jars)
    try:
        found = builder.getOrCreate()
    finally:
        thread.setContextClassLoader(with_jars)
    return SparkSession(context, found)


def _start_workers(context: "SparkContext") -> None:
    """Have a Python worker started for each core while the session is made (tests/benchmarks/engine.py: whole)."""

    def work() -> None:
        with suppress(Exception):
            cores = context.defaultParallelism
            context.parallelize(range(cores), cores).foreach(lambda _: None)

    threading.Thread(target=work, daemon=True).start()


def _stop(context: "SparkContext") -> None:
    """Stop Spark, and forget all that pyspark keeps of it in this process.

    It is stopped from another thread, which has a connection of its own to the JVM: that of this thread may have been
    interrupted in the midst of a call.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession, SQLContext

    def work() -> None:
        with suppress(Exception):
            found = SparkSession._instantiatedSession
            if found is not None and found.sparkContext is context:
                found.stop()
            else:
                context.stop()

    _in_time(work)
    with suppress(Exception):  # where the JVM was gone
        if context._accumulatorServer is not None:
            context._accumulatorServer.shutdown()
    context._jsc = None
    with SparkContext._lock:
        if SparkContext._active_spark_context is context:
            SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
    SQLContext._instantiatedContext = None


def _in_time(work: Callable[[], None]) -> None:
    """Do it in another thread, and wait for it no longer than is reasonable."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_STOP_LIMIT)


def check_none() -> None:
    """Raises ValueError when there is a session in this process: pyspark can't have two."""
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        raise ValueError("There is a Spark session in this process already: use it, or stop it first.")


@contextmanager
def _own_gateway(*, leave: bool, made: bool) -> Iterator[None]:
    """Let pyspark connect to the JVM of this session; in the end it knows again what it knew before.

    Where the connection is `made` already, or is about to be, it knew none.
    """
    from pyspark import SparkContext

    before = (None, None) if made else (SparkContext._gateway, SparkContext._jvm)
    if not made:
        SparkContext._gateway = SparkContext._jvm = None
    try:
        yield
    finally:
        own = SparkContext._gateway

        def work() -> None:
            with suppress(Exception):
                if own is not None:
                    own.shutdown()

        if not leave:
            _in_time(work)
        SparkContext._gateway, SparkContext._jvm = before


def _hush(context: "SparkContext") -> None:
    """Let the thread that counts for Spark's tasks end in silence when the JVM dies, which is told in a sentence."""
    server: Any = context._accumulatorServer
    if server is not None:
        server.handle_error = lambda *_: None


@contextmanager
def quiet_py4j(configuration: Configuration) -> Iterator[None]:
    """py4j logs what it raises, which without any handler would be printed.

    An interrupted call is logged by the root logger, which is quiet for the command alone.
    """
    logger, handler = logging.getLogger(None if configuration.for_command else "py4j"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _quiet_pickling() -> Iterator[None]:
    """Keep pyspark from printing the traceback of what it could not pickle, which an interruption may be the reason of.

    The command tells errors in a sentence.
    """
    from pyspark import util

    before: Any = util.print_exec
    util.print_exec = lambda *_: None
    try:
        yield
    finally:
        util.print_exec = before


@contextmanager
def quiet_stop() -> Iterator[None]:
    """Keep pyspark from warning that a context which was interrupted while it was made can't be stopped: its JVM has
    ended."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unable to cleanly shutdown Spark JVM process", RuntimeWarning)
        yield


@contextmanager
def environment_kept() -> Iterator[None]:
    """What is set for pyspark in the environment of this process is taken back at the end."""
    names = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", *_CONNECTION, *_SET_BY_PYSPARK)
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _with_its_text(error: Exception) -> Exception:
    """The error, or for one of Spark's another with its text: Spark's ask the JVM for it, which is about to end."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if not isinstance(error, Py4JError | PySparkException):
        return error
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  (whatever went wrong with asking, there is nothing to be told)
        text = type(error).__name__
    return SparkFailure(text).with_traceback(error.__traceback__)
