"""Spark's own way to the object store (event logs, models, Parquet): Hadoop's S3A, its settings and its jars."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from job.engine import cache_folder as caches
from job.errors import UserError
from job.storage.config import Credentials, S3Config

_SDK = "software.amazon.awssdk.auth.credentials"
_PROVIDERS = {
    # the keys stay in the environment: in Spark's settings they would be on a command line and in the event log
    Credentials.ENVIRONMENT: f"{_SDK}.EnvironmentVariableCredentialsProvider",
    Credentials.WEB_IDENTITY: f"{_SDK}.WebIdentityTokenFileCredentialsProvider",
    Credentials.PROFILE: f"{_SDK}.ProfileCredentialsProvider",
    Credentials.CONTAINER: f"{_SDK}.ContainerCredentialsProvider",
    Credentials.INSTANCE: "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider",
}
_FACTORY = "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
_MAGIC = {
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": _FACTORY,
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3": _FACTORY,
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}
_BINDING = "spark-hadoop-cloud_2.13"
_LOCK = Path(__file__).with_name("s3a_jars.txt")
_LOCKED_HADOOP = "3.4.2"
_RESOLVE_LIMIT = 600.0


class Jar(NamedTuple):
    """One jar of the lock table."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"


class Prepared(NamedTuple):
    """What a session needs for s3://: settings, and jars for the class path of drivers and executors."""

    conf: dict[str, str]
    jars: tuple[str, ...]


def prepare(
    config: S3Config, spark_jars: Path, java: str, tell: Callable[[str], None], *, public_read: bool = False
) -> Prepared:
    """Settings and jars for the Spark whose jars are in `spark_jars`. Raises UserError when they can't be had."""
    more = jars(spark_jars, java, tell)
    magic = bool(more) or any(spark_jars.glob(f"{_BINDING}-*.jar"))
    return Prepared(s3a_conf(config, magic=magic, public_read=public_read), more)


def s3a_conf(config: S3Config, *, magic: bool = True, public_read: bool = False) -> dict[str, str]:
    """Spark's settings for `s3a://` and `s3://`, without any secret.

    With `magic`, writes go through the magic committer: what tasks write becomes visible when the job is committed,
    without the copies that a rename is in an object store (Hadoop, "Committing work to S3 with the S3A Committers").
    """
    hadoop = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.endpoint.region": config.region,
        "fs.s3a.path.style.access": str(config.path_style).lower(),
        "fs.s3a.connection.ssl.enabled": str(not config.plain_http).lower(),
        "fs.s3a.aws.credentials.provider": _PROVIDERS[config.credentials],
        # the default of later versions wants one more library
        "fs.s3a.input.stream.type": "classic",
        # an event log is flushed now and then, which an object can't be: it is whole when it is closed
        "fs.s3a.downgrade.syncable.exceptions": "true",
    }
    if config.endpoint:
        hadoop["fs.s3a.endpoint"] = config.endpoint
    if public_read:
        hadoop["fs.s3a.acl.default"] = "PublicRead"
    conf = {f"spark.hadoop.{key}": value for key, value in hadoop.items()}
    return conf | _MAGIC if magic else conf


def locked_jars() -> list[Jar]:
    """The lock table."""
    lines = _LOCK.read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines if line and not line.startswith("#"))
    return [_jar(coordinates, sha256) for coordinates, sha256 in rows]


def jars(spark_jars: Path, java: str, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Paths of the jars to put on the class path, drivers' and executors'; none where Spark's folder has them already.

    The first time they are resolved by Ivy, which comes with Spark, into the user's cache; `tell` says so.
    Raises UserError when they don't fit the installed Spark or can't be had.
    """
    hadoop = _hadoop_version(spark_jars)
    own = [_version(path.name, "hadoop-aws") for path in spark_jars.glob("hadoop-aws-*.jar")]
    if own:
        if own != [hadoop]:
            raise UserError(f"'{spark_jars}' has hadoop-aws {', '.join(own)} with Hadoop {hadoop}: make them equal.")
        return ()
    if hadoop != _LOCKED_HADOOP:
        raise UserError(
            f"Spark in '{spark_jars}' has Hadoop {hadoop}, but s3:// needs {_LOCKED_HADOOP}: install pyspark 4.1."
        )
    wanted = locked_jars()
    folder = cache_folder()
    missing = [jar for jar in wanted if not (folder / jar.file).is_file()]
    if missing:
        tell(f"Fetching {len(missing)} jars that Spark needs for s3:// into {folder} (once, about 10 MB).")
        _fetch(missing, folder, spark_jars, java)
    return tuple(str(folder / jar.file) for jar in wanted)


def cache_folder() -> Path:
    """Where resolved jars are kept. Raises UserError for a user without a home, where XDG_CACHE_HOME is not set."""
    folder = caches.cache_folder()
    if folder is None:
        raise UserError(
            "The jars that Spark needs for s3:// have no place, since this user has no home folder: set XDG_CACHE_HOME."
        )
    return folder / f"s3a-{_LOCKED_HADOOP}"


def _jar(coordinates: str, sha256: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, sha256)


def _hadoop_version(spark_jars: Path) -> str:
    versions = [_version(path.name, "hadoop-client-api") for path in spark_jars.glob("hadoop-client-api-*.jar")]
    if len(versions) != 1:
        raise UserError(f"'{spark_jars}' holds no Spark with Hadoop: install pyspark 4.1, or unset SPARK_HOME.")
    return versions[0]


def _version(file: str, artifact: str) -> str:
    return file.removeprefix(f"{artifact}-").removesuffix(".jar")


def _fetch(missing: Iterable[Jar], folder: Path, spark_jars: Path, java: str) -> None:
    """Resolves into a folder aside, checks each jar, and moves it to its place: half a jar is never taken for one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            found = Path(work) / "jars"
            said = _ivy(missing, Path(work), found, spark_jars, java)
            for jar in missing:
                file = found / jar.file
                if not file.is_file():
                    raise UserError(
                        f"{jar.file}, which Spark needs for s3://, could not be fetched ({said}): "
                        f"connect to a Maven repository, or put the jars of '{_LOCK.name}' into '{folder}'."
                    )
                if hashlib.sha256(file.read_bytes()).hexdigest() != jar.sha256:
                    raise UserError(f"{jar.file} came with a wrong checksum: it was changed on its way; try again.")
                file.replace(folder / jar.file)
    except OSError as error:
        raise UserError(f"'{folder}' can't be written: {error.strerror or error}; set XDG_CACHE_HOME.") from error


def _ivy(missing: Iterable[Jar], work: Path, found: Path, spark_jars: Path, java: str) -> str:
    """Runs Ivy on exactly these jars, without what they depend on; gives its reason when it fails."""
    ivy = next(iter(sorted(spark_jars.glob("ivy-*.jar"))), None)
    if ivy is None:
        return "Spark's Ivy is not installed"
    # without the poms: the table names every jar, and reading them takes five times as long
    (work / "settings.xml").write_text(
        '<ivysettings><settings defaultResolver="maven"/><resolvers>'
        '<ibiblio name="maven" m2compatible="true" usepoms="false"/></resolvers></ivysettings>'
    )
    wanted = "".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)} "
        'transitive="false" conf="default->default"/>'
        for jar in missing
    )
    (work / "ivy.xml").write_text(
        f'<ivy-module version="2.0"><info organisation="fruits" module="s3a"/>'
        f"<dependencies>{wanted}</dependencies></ivy-module>"
    )
    home = caches.home_folder()
    own = home / ".ivy2" / "ivysettings.xml" if home else None  # a mirror of the user's, say
    settings = own if own and own.is_file() else work / "settings.xml"
    command = [java, *_proxies(os.environ), "-jar", str(ivy), "-settings", str(settings)]
    command += ["-ivy", str(work / "ivy.xml"), "-cache", str(work / "cache")]
    command += ["-retrieve", f"{found}/[artifact]-[revision].[ext]", "-warn"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RESOLVE_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_RESOLVE_LIMIT:.0f} s"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    problems = [line for line in lines if "not found" in line or "rror" in line or "UnknownHost" in line]
    return (problems or [f"exit code {done.returncode}"])[0][:200]


def _proxies(environment: Mapping[str, str]) -> list[str]:
    """Java's options for the proxies that the usual variables name, which Java itself does not look at.

    A password in one is left out: a command line can be read by everybody. NO_PROXY may name domains by a leading dot.
    """
    found = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy") and value}
    options = []
    for scheme in ("http", "https"):
        text = found.get(f"{scheme}_proxy") or found.get("all_proxy", "")
        try:
            parts = urlsplit(text if "//" in text else f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            continue
        if host:
            options += [f"-D{scheme}.proxyHost={host}", f"-D{scheme}.proxyPort={port or 80}"]
    if options and found.get("no_proxy"):
        names = [name.strip() for name in found["no_proxy"].split(",") if name.strip()]
        direct = [f"*{name}" if name.startswith(".") else name for name in names]
        options.append(f"-Dhttp.nonProxyHosts={'|'.join(direct)}")
    return options
