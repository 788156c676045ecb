"""Spark's configuration for a run."""

import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from job.engine.java import find_java, spark_home
from job.engine.surroundings import check_task_cores, is_noexec
from job.engine.worker_environment import PROCESS_VARIABLES
from job.errors import UsageError, tell
from job.settings import Settings

# What every session of this package has: its stages hand columns to Python workers and shuffle nothing.
_OWN = {
    "spark.python.daemon.module": "job.engine.worker_daemon",
    # between the JVM and its workers TCP waits for acknowledgements (tests/benchmarks/engine.py: whole)
    "spark.python.unix.domain.socket.enabled": "true",
    # the listing comes as one Arrow batch a partition, cut by `dataset`: never as a local relation
    "spark.sql.execution.arrow.localRelationThreshold": "0",
    # rows of features that are kept are as long as 8 kB, and what holds them is read back from disk as a whole
    "spark.sql.inMemoryColumnarStorage.batchSize": "1000",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(8 << 20),
    # a core that is free takes any task: passes over the descriptors take longer when it waits for a task whose data
    # are in its own memory
    "spark.locality.wait": "0s",
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.catalogImplementation": "in-memory",
    **{f"spark.executorEnv.{name}": value for name, value in PROCESS_VARIABLES.items()},
    # SQL queries set this for their workers. It is set here as well so that workers started ahead have the same
    # environment and are used again.
    "spark.executorEnv.SPARK_SIMPLIFIED_TRACEBACK": "1",
}
# What only `fruits run` has, since nobody else's queries run in its session: no shuffle, so nothing to adapt; and lines
# of code in Spark's errors, which pyspark would find out for each column, are of no use to who has not written them
# (tests/benchmarks/engine.py: whole).
_COMMAND = {
    "spark.sql.adaptive.enabled": "false",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
# What only a `fruits run` on this machine has. The JVM's own part of its queries is to hand on columns, and compiling
# code for that takes longer than it saves (tests/benchmarks/engine.py).
_COMMAND_HERE = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}

# Driver and executors that are processes of their own prove that they belong together, and encrypt what they say. On
# Kubernetes the chart sets this, and Spark makes the secret.
_TRUST = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
}
# Where Java may not load the native libraries of snappy and zstd, which it unpacks into the temporary folder.
_WITHOUT_LIBRARIES = {
    "spark.sql.parquet.compression.codec": "gzip",
    "spark.eventLog.compress": "false",
    "spark.shuffle.mapStatus.compression.codec": "lz4",
}

# The address of a Unix socket holds 107 bytes. The sockets are called `.<uuid>.sock`, in a folder called `fruits-<8>`.
_LONGEST_SOCKET_FOLDER = 107 - len("/fruits-12345678/.") - 36 - len(".sock")


def started_by_spark_submit() -> bool:
    """Whether spark-submit has started this process, and with it a JVM."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


@dataclass(frozen=True)
class Configuration:
    """What a session is started with.

    `conf` is Spark's configuration, `jars` are paths of jars that Spark's own folder lacks. `for_command` says that the
    session serves one `fruits run` and nobody else's queries, so that it may be tuned for a short life.
    """

    conf: Mapping[str, str]
    jars: tuple[str, ...] = ()
    for_command: bool = False

    @property
    def local(self) -> bool:
        """Whether tasks run in the driver's JVM."""
        return bool(re.fullmatch(r"local(\[.*\])?", self.conf.get("spark.master", "")))

    @property
    def executors_here(self) -> bool:
        """Whether executors are processes of their own on this machine."""
        return self.conf.get("spark.master", "").startswith("local-cluster")

    @property
    def leaves_nothing(self) -> bool:
        """Whether all that Spark has or writes goes with its JVM and the folder of that, however the JVM ends."""
        return self.local and self.conf.get("spark.eventLog.enabled") != "true"

    @classmethod
    def of(cls, settings: Settings, *, for_command: bool = False) -> Self:
        """The configuration for a run's settings. See `make`, which it calls."""
        return cls.make(
            master=settings.master,
            name=settings.run_name,
            event_log=settings.event_log,
            conf=settings.spark_conf(),
            addresses=(settings.data, settings.train, settings.test, settings.out, settings.cache),
            public_read=settings.public_read,
            for_command=for_command,
        )

    @classmethod
    def make(
        cls,
        *,
        master: str | None = None,
        name: str | None = None,
        event_log: str | None = None,
        conf: Mapping[str, str] | None = None,
        addresses: Iterable[str | None] = (),
        public_read: bool = False,
        for_command: bool = False,
    ) -> Self:
        """The configuration for these values.

        Parameters
        ----------
        master
            Spark's master; None means all cores of this machine. Where spark-submit has chosen one, it is not set.
        name
            Shown as the application's name.
        event_log
            Folder or s3:// address that Spark writes its event log to.
        conf
            Spark settings of the user, which go before those made here.
        addresses
            Addresses that will be read or written. When one is in S3, the settings of S3A are added, and its jars are
            fetched if they are not there.
        public_read
            Whether everybody may read what is written to S3.
        for_command
            See the class.

        Raises
        ------
        UsageError
            When an address can't be told to Java, or a task wants more cores than an executor has.
        UserError
            When S3A's jars are needed and can't be had.

        """
        used = [address for address in (*addresses, event_log) if address]
        _check_names(used)
        found = {"spark.app.name": f"fruits {name or ''}".strip(), **_OWN, **_where(master)}
        if for_command:
            found |= _COMMAND
            own = cls({**found, **(conf or {})})
            if own.local or own.executors_here:
                found |= _COMMAND_HERE
        if event_log:
            found |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": _escaped(event_log)}
        jars: tuple[str, ...] = ()
        if any(re.match(r"s3[an]?://", address) for address in used):
            more, jars = _s3(public_read=public_read)
            found |= more
        whole = {**found, **(conf or {})}
        check_task_cores(whole)
        return cls(whole, jars, for_command)


def _check_names(addresses: Iterable[str]) -> None:
    """Raises UsageError for an address that is no UTF-8, or that lies below a current folder that is none."""
    for address in addresses:
        try:
            str(Path(address).absolute()).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"The path of '{address}' is not UTF-8, in which Spark is told of it: rename the folder, or make a "
                "link to it with another name."
            ) from None


def _where(master: str | None) -> dict[str, str]:
    """Where the session runs."""
    if started_by_spark_submit():
        return {}
    found = {"spark.master": master or "local[*]"}
    if found["spark.master"].startswith("local"):
        temporary = tempfile.gettempdir()
        found |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
            "spark.sql.warehouse.dir": str(Path(temporary) / "fruits-warehouse"),
        }
        if found["spark.master"].startswith("local-cluster"):
            found |= {**_TRUST, "spark.authenticate.secret": secrets.token_hex(32)}
        if is_noexec(temporary):
            found |= _WITHOUT_LIBRARIES
        if len(os.fsencode(temporary)) > _LONGEST_SOCKET_FOLDER:
            found["spark.python.unix.domain.socket.enabled"] = "false"
    return found


def _s3(*, public_read: bool) -> tuple[dict[str, str], tuple[str, ...]]:
    """Settings and jars of S3A."""
    from job import storage
    from job.engine import s3a

    prepared = s3a.prepare(storage.s3_config(), spark_home() / "jars", find_java(), tell, public_read=public_read)
    conf = dict(prepared.conf)
    if prepared.jars:
        conf["spark.executor.extraClassPath"] = os.pathsep.join(prepared.jars)
    return conf, prepared.jars


def _escaped(address: str) -> str:
    """An address as `spark.eventLog.dir` wants it: a URI, percent-encoded, whereas Hadoop takes paths literally."""
    # the JVM is launched before the modules of storage are loaded, so that it boots meanwhile
    from job.storage.uris import hadoop_uri

    scheme, separator, rest = hadoop_uri(address).partition(":")
    return scheme + separator + ("//" if scheme == "file" else "") + quote(rest, safe="/")
