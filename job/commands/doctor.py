"""`fruits doctor`: what works here, what does not, and what to do about it. Nothing is changed or downloaded."""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from job.commands.options import add_debug
from job.cores import available_cores
from job.errors import UserError
from job.experiment.flags import add_telling, telling_of
from job.splits import FOLDERS

DESCRIPTION = (
    "Checks Python, Java, Spark, OpenCV, the store, the cluster and the Spark operator. Changes nothing, downloads "
    "nothing."
)
EXAMPLES = (
    "fruits doctor",
    "fruits doctor --data s3://bucket/pictures --namespace fruits",
)
Level = Literal["ok", "warning", "fault", "absent"]
_COLOURS = {"ok": "32", "warning": "33", "fault": "31", "absent": "2"}
# Seconds: all checks run side by side, and one that has not answered by then is told as a fault.
_LIMIT = 13.0
_LEAST_MEMORY = 2 << 30


class Finding(NamedTuple):
    """What one check found. `fault` is for what a run needs; `absent` for what it can do without."""

    subject: str
    level: Level
    text: str


Check = Callable[[], Iterator[Finding]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fruits doctor`."""
    parser.add_argument(
        "--data",
        metavar="URI",
        default=os.environ.get("FRUITS_DATA"),
        help="pictures whose store is asked (default: FRUITS_DATA)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NS",
        help="namespace of the cluster that must be ready for `fruits submit`; without it a cluster may be missing",
    )
    add_telling(parser, ("quiet", "json"))
    add_debug(parser)


def main(arguments: argparse.Namespace) -> int:
    """Prints a line for each finding, with `-q` for those that ask for something; 1 when what is needed is at fault."""
    checks: list[tuple[str, Check]] = [
        ("Python", python),
        ("machine", machine),
        ("Java", java),
        ("Spark", spark),
        ("pictures", descriptors),
        ("store", lambda: store(arguments.data)),
        ("cluster", lambda: cluster(arguments.namespace)),
    ]
    faults, told = 0, telling_of(arguments, os.environ)
    for finding in examine(checks):
        faults += finding.level == "fault"
        if told["quiet"] and finding.level in ("ok", "absent"):
            continue
        if told["json"]:
            print(json.dumps(finding._asdict()), flush=True)  # noqa: T201  (the command's answer)
        else:
            _print(finding)
    return 1 if faults else 0


def examine(checks: list[tuple[str, Check]], limit: float = _LIMIT) -> Iterator[Finding]:
    """The findings of all checks, in their order, within `limit` seconds; a check that breaks is a fault itself."""
    found: list[list[Finding]] = [[] for _ in checks]

    def work(place: int, subject: str, check: Check) -> None:
        try:
            for finding in check():
                found[place].append(finding)
        except Exception as error:  # noqa: BLE001  (a doctor outlives what it examines)
            said = error.message if isinstance(error, UserError) else _flat(f"{type(error).__name__}: {error}")
            found[place].append(Finding(subject, "fault", said))

    # daemons: what hangs does not keep the process from ending
    threads = [threading.Thread(target=work, args=(place, *check), daemon=True) for place, check in enumerate(checks)]
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for place, thread in enumerate(threads):
        thread.join(max(0.0, deadline - time.monotonic()))
        yield from found[place]
        if thread.is_alive():
            yield Finding(checks[place][0], "fault", f"no answer within {limit:.0f} s.")


def python() -> Iterator[Finding]:
    """The version of Python, and the Python that Spark's workers are to run under."""
    version = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036  (who runs this may have got round pip's check)
        yield Finding("Python", "fault", f"{version} is too old: use 3.11 or later.")
    else:
        yield Finding("Python", "ok", f"{version}, {sys.executable}")
    from job.engine.surroundings import check_docstrings

    check_docstrings()
    if os.environ.get("PYSPARK_PYTHON"):
        from job.engine.python import check_python

        name = os.environ["PYSPARK_PYTHON"]
        check_python({**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        yield Finding("workers", "ok", f"{name} (PYSPARK_PYTHON)")


def machine() -> Iterator[Finding]:
    """Cores, memory, and room for temporary files."""
    memory, cores = _memory(), available_cores()
    size = f"{cores} cores, {memory / (1 << 30):.1f} GiB of memory"
    if memory < _LEAST_MEMORY:
        yield Finding(
            "machine",
            "warning",
            f"{size}: a run takes about 2 GiB; give it more, or lower --conf spark.driver.memory=512m.",
        )
    else:
        yield Finding("machine", "ok", size)
    from job.engine.surroundings import check_loopback, check_open_files, check_temporary

    check_open_files()
    check_loopback()
    try:
        warning = check_temporary()
    except UserError as error:
        yield Finding("temporary", "fault", error.message)
        return
    folder = tempfile.gettempdir()
    free = f"{folder}, {shutil.disk_usage(folder).free / (1 << 30):.1f} GiB free"
    yield Finding("temporary", "warning", warning) if warning else Finding("temporary", "ok", free)


def java() -> Iterator[Finding]:
    """Which Java is used, and whether Spark runs on its version: what is checked before a run starts it."""
    from job.engine.java import check_java, find_java, java_version

    path = find_java()
    found = java_version(path)
    if found is None:
        yield Finding("Java", "fault", f"'{path}' does not tell its version: install Java 17 or 21, or set JAVA_HOME.")
        return
    try:
        warning = check_java(path)
    except UserError as error:
        yield Finding("Java", "fault", error.message)
        return
    yield Finding("Java", "warning", warning) if warning else Finding("Java", "ok", f"{found}, {path}")


def spark() -> Iterator[Finding]:
    """Spark, its Hadoop, and the jars for s3://."""
    from importlib.metadata import version

    from job.engine.java import check_pyspark, spark_home

    check_pyspark()
    jars = spark_home() / "jars"
    core = sorted(path.name for path in jars.glob("spark-core_*.jar"))
    if not core:
        yield Finding("Spark", "fault", f"'{jars}' holds no Spark: unset SPARK_HOME, or install the package again.")
        return
    own, found = version("pyspark"), core[0].rpartition("-")[2].removesuffix(".jar")
    hadoop = _version_of(jars, "hadoop-client-api") or "none"
    if own != found:
        yield Finding(
            "Spark",
            "fault",
            f"pyspark is {own}, but the jars in '{jars}' are of {found}: unset SPARK_HOME, or make them equal.",
        )
    else:
        yield Finding("Spark", "ok", f"{own} with Hadoop {hadoop}, {jars.parent}")
    yield _s3_jars(jars, hadoop)


def _s3_jars(spark_jars: Path, hadoop: str) -> Finding:
    """Whether Spark's own way to s3:// is here, or can be fetched when it is needed."""
    from job.engine import s3a

    own = _version_of(spark_jars, "hadoop-aws")
    if own:
        return Finding("S3 for Spark", "ok", f"hadoop-aws {own} is among Spark's jars")
    wanted, folder = s3a.locked_jars(), s3a.cache_folder()
    locked = next(jar.version for jar in wanted if jar.artifact == "hadoop-aws")
    if hadoop != locked:
        return Finding(
            "S3 for Spark",
            "warning",
            f"Spark has Hadoop {hadoop}, but s3:// needs {locked}: install pyspark 4.1 for it.",
        )
    missing = [jar for jar in wanted if not (folder / jar.file).is_file()]
    if missing:
        return Finding(
            "S3 for Spark",
            "warning",
            f"{len(missing)} jars are not here yet: the first run that uses "
            f"s3:// fetches them (10 MB) from a Maven repository into {folder}; without a network put them "
            "there.",
        )
    return Finding("S3 for Spark", "ok", f"its jars are in {folder}")


def descriptors() -> Iterator[Finding]:
    """OpenCV and mahotas, asked to describe a picture."""
    import numpy as np

    from job.vision.descriptors import DESCRIPTORS
    from job.vision.picture import Picture

    squares = np.random.default_rng(1).integers(0, 256, (10, 10), dtype=np.uint8)
    picture = Picture.of(np.kron(squares, np.ones((10, 10), np.uint8)))
    for name in ("sift", "orb", "surf"):
        spec = DESCRIPTORS.get(name)
        found, by = spec.describe(picture), f"{spec.library} {_version(spec.library)}"
        if len(found):
            yield Finding(name.upper(), "ok", f"{by}: {len(found)} descriptors of a test picture")
        else:
            yield Finding(name.upper(), "fault", f"{by} describes nothing: install it again.")


def store(data: str | None) -> Iterator[Finding]:
    """The store of the pictures, or, without an address, what AWS_ENDPOINT_URL names."""
    from job import storage

    if data:
        root = storage.normalise(data)
        storage.check(root)
        yield Finding("store", "ok", f"{root} can be listed")
        root = storage.data_root(root)
        lacking = [name for name in FOLDERS.values() if name not in storage.list_folders(root)]
        if lacking:
            yield Finding(
                "pictures",
                "warning",
                f"'{root}' has no folder {lacking[0]}/: --data wants Training/ and Test/ (or use --train and --test).",
            )
        return
    config = storage.s3_config()
    if config.endpoint is None:
        yield Finding("store", "absent", "no --data and no AWS_ENDPOINT_URL: pictures are read from this machine.")
        return
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(config.endpoint, timeout=5):  # noqa: S310  (http or https: checked)
            pass
    except urllib.error.HTTPError:
        pass  # it answers, and wants a signature
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield Finding(
            "store",
            "warning",
            f"{config.endpoint} (AWS_ENDPOINT_URL) does not answer "
            f"({_flat(str(reason))}): check that it runs, or unset it.",
        )
        return
    yield Finding(
        "store", "ok", f"{config.endpoint} answers; --data s3://bucket/prefix tells whether the keys are right"
    )


def cluster(namespace: str | None) -> Iterator[Finding]:
    """The cluster, the operator, and what this user may do; needed only when a namespace is named."""
    from job.cluster import cluster as clusters
    from job.cluster.application import DEFAULT_NAMESPACE, GROUP, PLURAL
    from job.cluster.submit import check_operator

    bad: Level = "fault" if namespace else "warning"
    if not clusters.configured() and not namespace:
        yield Finding("cluster", "absent", "no kubeconfig: only `fruits submit` needs one (KUBECONFIG).")
        return
    place = namespace or DEFAULT_NAMESPACE
    try:
        known = clusters.connect()
        yield Finding("cluster", "ok", f"Kubernetes {known.version()}, {known.host}")
    except UserError as error:
        yield Finding("cluster", bad, error.message)
        return
    try:
        check_operator(known, place)
    except UserError as error:
        yield Finding("operator", bad, error.message)
        return
    running = known.operators()
    where = f"in namespace {running[0].namespace}" if running else "its controller is not for this user to see"
    yield Finding("operator", "ok", f"{GROUP} is served, {where}")
    if known.has_namespace(place) is False:
        yield Finding(
            "namespace",
            bad,
            f"'{place}' does not exist: `kubectl apply -f k8s/namespace.yaml` makes {DEFAULT_NAMESPACE}.",
        )
        return
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("create", {"resource": PLURAL, "group": GROUP}),
        ("delete", {"resource": PLURAL, "group": GROUP}),
        ("list", {"resource": "pods"}),
        ("get", {"resource": "pods", "subresource": "log"}),
    ]
    lacking = [
        f"{verb} {'/'.join(filter(None, (what['resource'], what.get('subresource'))))}"
        for verb, what in wanted
        if not known.may(verb, place, **what)
    ]
    if lacking:
        yield Finding(
            "rights", bad, f"you may not {', '.join(lacking)} in namespace '{place}': ask for it, or give --namespace."
        )
    else:
        yield Finding("rights", "ok", f"you may submit in namespace {place}")


def _memory() -> int:
    """Bytes that this process may have: the container's limit, else the machine's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:  # another build of the same library
        return "(another build)"


def _version_of(jars: Path, artifact: str) -> str | None:
    """Version of an artifact, by the name of its jar."""
    found = sorted(jars.glob(f"{artifact}-*.jar"))
    return found[0].name.removeprefix(f"{artifact}-").removesuffix(".jar") if found else None


def _print(finding: Finding) -> None:
    level = f"{finding.level:<8}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        level = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
    print(f"{level} {finding.subject:<13} {finding.text}", flush=True)  # noqa: T201  (the command's answer)


def _flat(text: str) -> str:
    return " ".join(text.split())[:300]
