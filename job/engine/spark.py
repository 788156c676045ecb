"""The one place where Spark is configured and started: on a laptop, in a container, on a cluster.

On a laptop the JVM is started here, directly: without `spark-submit`'s launcher (a JVM before the JVM) and with an
archive of loaded classes (class data sharing, JEP 350), which is made at the end of the first run. On a cluster
spark-submit has started the JVM already, and this process is its child.
"""

import atexit
import hashlib
import logging
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.engine.worker_daemon import THREAD_VARIABLES
from job.errors import UserError
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

NO_JAVA = (
    "No Java was found: install a Java 17 or 21 runtime (Debian and Ubuntu: `apt-get install "
    "openjdk-17-jre-headless`; macOS: `brew install openjdk@17`) or set JAVA_HOME."
)

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
_START_LIMIT = 120.0
# Spark's own work in the driver is short and seldom the same twice: without the second compiler a run on 1,168 pictures
# takes 15 % less, with the collector of one thread another 5 %.
_JVM_OPTIONS = ("-XX:-UsePerfData", "-XX:TieredStopAtLevel=1")
_COLLECTOR = "-XX:+UseSerialGC"
# In Python workers, and in the JVMs that feed them. glibc hands freed memory back to the system after every picture
# otherwise: 450 page faults and 1 ms, against 1.6 ms of SIFT; and in the JVM after every batch of descriptors.
_PROCESS_VARIABLES = {
    **THREAD_VARIABLES,
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}
_stopping: threading.Thread | None = None
_ARCHIVES_KEPT = 3
# What says how many tasks run at a time.
_SIZES = (
    "spark.master",
    "spark.executor.instances",
    "spark.executor.cores",
    "spark.task.cpus",
    "spark.dynamicAllocation.enabled",
    "spark.dynamicAllocation.maxExecutors",
)


def started_by_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def spark_home() -> Path:
    """Where Spark's jars are: SPARK_HOME, else the installed pyspark."""
    if "SPARK_HOME" in os.environ:
        return Path(os.environ["SPARK_HOME"])
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError("pyspark is not installed in this environment: install the package fruits-job again.")
    return Path(spec.origin).parent


def find_java() -> str:
    """Path of the `java` command. Raises UserError when there is none."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    found = next((path for path in candidates if os.access(path, os.X_OK)), None) or shutil.which("java")
    if not found:
        raise UserError(NO_JAVA)
    return found


@dataclass(frozen=True)
class Plan:
    """What a session is started with: Spark's configuration, and jars that its folder does not have."""

    conf: dict[str, str]
    jars: tuple[str, ...] = ()


def plan(settings: Settings) -> Plan:
    """Configuration and jars for these settings; `--conf` beats what is set here. Jars for s3:// are fetched when an
    address needs them and they are not there."""
    conf = _base(settings)
    jars: tuple[str, ...] = ()
    addresses = (settings.data, settings.train, settings.test, settings.out, settings.cache, settings.event_log)
    if any(address and re.match(r"s3a?://", address) for address in addresses):
        from job import storage
        from job.engine import s3a

        s3 = s3a.prepare(
            storage.s3_config(), spark_home() / "jars", find_java(), _tell, public_read=settings.public_read
        )
        conf |= s3.conf
        jars = s3.jars
        if jars:
            conf["spark.executor.extraClassPath"] = os.pathsep.join(jars)
    return Plan({**conf, **settings.spark_conf()}, jars)


def _tell(sentence: str) -> None:
    print(f"fruits: {sentence}", file=sys.stderr, flush=True)  # noqa: T201  (before the console is there)


def _base(settings: Settings) -> dict[str, str]:
    conf = {
        "spark.app.name": f"fruits {settings.run_name or ''}".strip(),
        "spark.python.daemon.module": "job.engine.worker_daemon",
        # between the JVM and its workers TCP waits for acknowledgements: 56 empty tasks take 0.2 s instead of 0.8, a
        # run on 1,168 pictures 90 % of the time
        "spark.python.unix.domain.socket.enabled": "true",
        # the listing comes as one Arrow batch a partition, cut by `dataset`: never as a local relation
        "spark.sql.execution.arrow.localRelationThreshold": "0",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(8 << 20),
        # the JVM's own part of a query is to hand on columns: compiling that takes longer than it saves; its
        # projections alone take 0.1 to 0.3 s of a run on 1,168 pictures
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        # a core that is free takes any task: to wait for the one where a picture's descriptors are doubles the time of
        # a pass over them
        "spark.locality.wait": "0s",
        # no shuffle anywhere, so nothing for it to adapt
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
        "spark.python.worker.faulthandler.enabled": "true",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.catalogImplementation": "in-memory",
        **{f"spark.executorEnv.{name}": value for name, value in _PROCESS_VARIABLES.items()},
        # queries set it for their workers: those that `_start_workers` starts are the same only with it, 0.2 s
        "spark.executorEnv.SPARK_SIMPLIFIED_TRACEBACK": "1",
    }
    if not started_by_spark_submit():
        conf["spark.master"] = settings.master or "local[*]"
        if conf["spark.master"].startswith("local"):
            conf |= {
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.ui.enabled": "false",
                "spark.driver.memory": "1g",
                "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "fruits-warehouse"),
            }
    if settings.event_log:
        conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": uri(settings.event_log)}
    return conf


class Jvm:
    """A JVM that serves this process, started at once and awaited later; it dies with this process.

    Without `mllib` it has no Java classes of Spark ML. They add functions on vectors to every session, 0.4 s of
    reflection, and `fruits run` uses none of them; whoever loads a stored pipeline does. They stay where the class
    archive is somebody else's (the image's), which holds for all jars or for none.
    """

    def __init__(self, plan: Plan, *, debug: bool = False, mllib: bool = True) -> None:
        conf = plan.conf
        java, home = find_java(), spark_home()
        jars = sorted(str(path) for path in (home / "jars").glob("*.jar"))
        if not jars:
            raise UserError(
                f"There are no jars in '{home / 'jars'}': SPARK_HOME names no Spark; unset it or set it right."
            )
        if not mllib and _ClassArchive.wanted():
            jars = [jar for jar in jars if not Path(jar).name.startswith("spark-mllib_")]
        classpath = [*jars, *plan.jars]
        self._connected = False
        self._folder = Path(tempfile.mkdtemp(prefix="fruits-"))
        self._connection = self._folder / "connection"
        self._archive = _ClassArchive(java, classpath)
        options = conf.get("spark.driver.extraJavaOptions", "").split()
        given = [*options, *(os.environ.get(name, "") for name in ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"))]
        collector = [] if any(re.search(r"-XX:\+Use\w+GC\b", option) for option in given) else [_COLLECTOR]
        log_level = "warn" if debug else "fatal"
        self._command = [
            java,
            *_MODULE_OPTIONS,
            *self._archive.options(),
            *_JVM_OPTIONS,
            *collector,
            f"-Xmx{conf.get('spark.driver.memory', '1g')}",
            f"-Dfruits.log.level={log_level}",
            f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}",
            *(f"-D{key}={value}" for key, value in conf.items()),
            *options,
            "org.apache.spark.api.python.PythonGatewayServer",
        ]
        # Spark's scripts tell the last one to those who start executors from here
        scala = next((found[1] for jar in jars if (found := re.search(r"spark-core_([\d.]+)-", jar))), "2.13")
        environment = {
            **os.environ,
            **_PROCESS_VARIABLES,
            "CLASSPATH": os.pathsep.join(classpath),
            "SPARK_SCALA_VERSION": scala,
            "SPARK_HOME": str(home),
            "_PYSPARK_DRIVER_CONN_INFO_PATH": str(self._connection),
            "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        # a session of its own: Ctrl-C reaches this process alone, which then ends the JVM
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=None if debug else subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        atexit.register(self.stop)

    def connect(self) -> None:
        """Wait until the JVM listens, then tell pyspark where. Raises UserError when it ends instead."""
        limit = time.monotonic() + _START_LIMIT
        while not self._connection.exists() or not self._connection.stat().st_size:
            if self._process.poll() is not None or time.monotonic() > limit:
                said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
                reason = next((line for line in said.splitlines() if line.strip()), "it gave no reason")
                self.stop()
                raise UserError(
                    f"Java could not start Spark: {reason.strip()[:300]}; check `java -version` (17 or 21) "
                    "and the memory it asks for (--conf spark.driver.memory=1g)."
                )
            time.sleep(0.005)
        content = self._connection.read_bytes()
        port, length = struct.unpack(">ii", content[:8])
        os.environ["PYSPARK_GATEWAY_PORT"] = str(port)
        os.environ["PYSPARK_GATEWAY_SECRET"] = content[8 : 8 + length].decode()
        self._connected = True
        if self._process.stderr is not None:
            self._drain()

    def _drain(self) -> None:
        """Read what the JVM writes to its error stream and drop it, lest the pipe fill up."""
        stream = self._process.stderr
        assert stream is not None
        threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()

    def ended(self) -> int | None:
        """The exit code of a JVM that ended of itself, or was killed; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(0.2)
        return None

    def stop(self, *, worked: bool = False) -> None:
        """End the JVM. Where it makes its class archive, wait for it, and keep it if a whole run has `worked`: one that
        ended early has loaded few classes."""
        atexit.unregister(self.stop)
        _forget_connection()
        if not self._connected:  # without the folder its main thread would end, and its server's thread would not
            self._process.kill()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        self._archive.finish(self._process, keep=worked)
        shutil.rmtree(self._folder, ignore_errors=True)


class _ClassArchive:
    """Classes that the JVM loads from one mapped file instead of 300 jars: 3 of 7 seconds of a session's start.

    Made by the first run, at its exit, in the user's cache folder; any other Java or jar gets an archive of its own.
    """

    def __init__(self, java: str, classpath: list[str]) -> None:
        self._making: Path | None = None
        self._path: Path | None = None
        if not self.wanted():
            return
        key = hashlib.sha256()
        real = Path(java).resolve()
        for path in [real, *map(Path, classpath)]:
            status = path.stat()
            key.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits-job"
        self._path = folder / f"classes-{key.hexdigest()[:16]}.jsa"
        if not self._path.exists():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(suffix=".jsa", dir=folder)
                os.close(handle)
                Path(name).unlink()
                self._making = Path(name)
            except OSError:
                self._path = None

    @staticmethod
    def wanted() -> bool:
        return os.environ.get("FRUITS_CLASS_ARCHIVE") != "off"

    def options(self) -> list[str]:
        if self._making:
            return [f"-XX:ArchiveClassesAtExit={self._making}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        return [f"-XX:SharedArchiveFile={self._path}", "-Xshare:auto", "-Xlog:cds=off"] if self._path else []

    def finish(self, process: "subprocess.Popen[bytes]", *, keep: bool) -> None:
        if self._making and not keep:
            process.kill()
        limit = 60.0 if self._making else 10.0
        try:
            code = process.wait(limit) if self._making or process.poll() is not None else 0
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
        if self._making and self._path:
            if keep and code == 0 and self._making.exists():
                self._making.replace(self._path)
                newest = sorted(self._path.parent.glob("classes-*.jsa"), key=lambda path: path.stat().st_mtime)
                for old in newest[:-_ARCHIVES_KEPT]:  # of other environments, or of jars that are no more
                    old.unlink(missing_ok=True)
            else:
                self._making.unlink(missing_ok=True)


@contextmanager
def session(plan: Plan, jvm: Jvm | None) -> "Iterator[SparkSession]":
    """A Spark session, stopped at the end. `jvm` was started before, or Spark's launcher has it."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    conf = plan.conf
    if _stopping is not None:
        _stopping.join()
    # py4j logs what it raises; without a handler that would be printed
    logging.getLogger().addHandler(logging.NullHandler())
    # workers run under the interpreter that runs this: a virtual environment need not be activated
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if jvm is not None:
        jvm.connect()
    worked = False
    spark: SparkSession | None = None
    try:
        # as for the driver's JVM; `--conf` and spark-submit's come first
        own = (
            SparkConf()
            .setAll(list(conf.items()))
            .setIfMissing("spark.executor.extraJavaOptions", " ".join((*_JVM_OPTIONS, _COLLECTOR)))
        )
        context = SparkContext(conf=own)
        if jvm is not None:
            _forget_connection()
            if context._accumulatorServer is not None:  # it prints a traceback when the JVM hangs up
                setattr(context._accumulatorServer, "handle_error", lambda *_: None)  # noqa: B010  (mypy: no method)
            _start_workers(context)
        spark = SparkSession(context)
        yield spark
        worked = True
    except Exception as error:
        if jvm is not None and jvm.ended() is not None:
            raise UserError(
                f"Spark's Java process ended in the midst of the work (exit code {jvm.ended()}): often it "
                "had too little memory; try --conf spark.driver.memory=2g."
            ) from error
        raise _with_its_text(error) from None
    finally:
        if spark is not None:
            _stop(spark, wait=jvm is None or conf.get("spark.eventLog.enabled") == "true")
        if jvm is not None:
            _forget_gateway()
            jvm.stop(worked=worked)


def _start_workers(context: "SparkContext") -> None:
    """Have a Python worker started for each core while the session is made: 5 % of a run on 1,168 pictures."""

    def work() -> None:
        cores = context.defaultParallelism
        with suppress(Exception):
            context.parallelize(range(cores), cores).foreach(lambda _: None)

    threading.Thread(target=work, daemon=True).start()


def _stop(spark: "SparkSession", *, wait: bool) -> None:
    """Stop a session. One whose JVM is about to end, and will stop it then, need not be waited for: 0.5 s; unless its
    event log must be whole."""
    global _stopping  # noqa: PLW0603  (there is one session a process)

    def work() -> None:
        with suppress(Exception):
            spark.stop()

    if not wait:
        spark.sparkContext._jsc = None
    _stopping = threading.Thread(target=work, daemon=True)
    _stopping.start()
    if wait:
        _stopping.join()


class SparkFailure(Exception):  # noqa: N818  (not an error of its own: one of Spark's, kept)
    """What Spark said of a failure."""


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


def _forget_connection() -> None:
    """Once connected: a command that this process starts must not take this JVM for spark-submit's."""
    for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"):
        os.environ.pop(name, None)


def _forget_gateway() -> None:
    """So that a later session of the same process connects to its own JVM."""
    from pyspark import SparkContext

    if SparkContext._gateway is not None:
        with suppress(Exception):
            SparkContext._gateway.shutdown()
        SparkContext._gateway = None
        SparkContext._jvm = None


def uri(address: str) -> str:
    """An address as Hadoop's file systems know it: s3:// by S3A, paths of this machine as file:// whatever the
    cluster's default is."""
    if address.startswith("s3://"):
        return "s3a://" + address[len("s3://") :]
    return address if "://" in address else Path(address).absolute().as_uri()


def total_cores(spark: "SparkSession") -> int:
    """Tasks that run at a time once all executors are there, from the configuration: executors register late."""
    return _cluster_cores(_sizes(spark)) or int(spark.sparkContext.defaultParallelism)


def has_fixed_executors(spark: "SparkSession") -> bool:
    """Whether tasks run in processes of their own, as many as there will be."""
    conf = _sizes(spark)
    return bool(_cluster_cores(conf)) and conf.get("spark.dynamicAllocation.enabled") != "true"


def _sizes(spark: "SparkSession") -> dict[str, str]:
    """What a session's configuration says of cores, each key asked for alone: all of it takes 0.1 s."""
    found = {key: spark.conf.get(key, "") for key in _SIZES}
    return {key: value for key, value in found.items() if value}


def planned_cores(settings: Settings) -> int:
    """The same before there is a session; as many as this machine has where a cluster decides."""
    conf = {**_base(settings), **settings.spark_conf()}
    here = os.cpu_count() or 1
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\s*\d+)?\])?", conf.get("spark.master", "local[*]"))
    if local:
        return {None: 1, "*": here}.get(local[1]) or int(local[1])
    return _cluster_cores(conf) or here


def _cluster_cores(conf: Mapping[str, str]) -> int:
    """Cores of all executors; 0 where Spark runs in this process alone."""

    def whole(key: str, default: int) -> int:
        return int(conf.get(key, str(default)) or default)

    master = conf.get("spark.master", "")
    cluster = re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master)
    if cluster:
        return int(cluster[1]) * int(cluster[2])
    if master.startswith("local"):
        return 0
    executors = whole("spark.executor.instances", 2)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        executors = max(executors, min(whole("spark.dynamicAllocation.maxExecutors", executors), 1000))
    return max(1, executors * whole("spark.executor.cores", 1) // whole("spark.task.cpus", 1))


def versions(spark: "SparkSession") -> dict[str, Any]:
    """Versions of what computes, for the manifest."""
    import platform
    from importlib.metadata import version

    from job import __version__

    java = spark.sparkContext._jvm.java.lang.System.getProperty("java.version")  # type: ignore[union-attr]
    packages = ("pyspark", "numpy", "pandas", "pyarrow", "scipy")
    cv = next((name for name in ("opencv-python-headless", "opencv-python") if find_spec("cv2") and _has(name)), None)
    return {
        "fruits": __version__,
        "python": platform.python_version(),
        "java": java,
        **{name: version(name) for name in packages},
        **({"opencv": version(cv)} if cv else {}),
    }


def _has(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
