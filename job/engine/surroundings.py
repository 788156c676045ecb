"""What a run needs of the machine beside Java and Spark: looked at before the work starts, and by `fruits doctor`."""

import os
import re
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from job.cores import available_cores
from job.errors import UsageError, UserError
from job.spark_values import cores_of_an_executor

# Spark's JVM opens each of its 300 jars, libraries, and a socket or two for each worker.
LEAST_OPEN_FILES = 400
LEAST_TEMPORARY = 200 << 20
_ANSWER_LIMIT = 5.0


def check_temporary() -> str | None:
    """A sentence about the folder of temporary files where it has little room left, else None.

    Raises UserError when there is no folder that can be written.
    """
    try:
        folder = tempfile.gettempdir()
        with tempfile.NamedTemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError:
        raise UserError(
            "No temporary folder can be written: mount one at /tmp (docker run --tmpfs /tmp), or set TMPDIR."
        ) from None
    if free < LEAST_TEMPORARY:
        return f"'{folder}' has {free >> 20} MiB left, where Spark keeps intermediate data: free some, or set TMPDIR."
    return None


def is_noexec(folder: str) -> bool:
    """Whether no program or library can be run from that folder, which hardened machines forbid for /tmp."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)
    except (OSError, AttributeError):  # AttributeError: a system that does not tell
        return False


def check_docstrings() -> None:
    """Raises UserError when Python leaves out docstrings, which pyspark reads when it is imported."""
    if sys.flags.optimize > 1:
        raise UserError(
            "Python leaves out docstrings here, and pyspark can't be imported without them: unset PYTHONOPTIMIZE, or "
            "set it to 1 (python -O in place of -OO)."
        )


def check_loopback() -> None:
    """Raises UserError when this machine has no network with itself, as in some sandboxes."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), _ANSWER_LIMIT),
        ):
            pass
    except OSError as error:
        raise UserError(
            f"This machine does not reach itself at 127.0.0.1 ({error.strerror or error}), where Python and Java speak "
            "to each other: set its loopback device up (`ip link set lo up`), or let the sandbox have one."
        ) from None


def check_open_files() -> None:
    """Raises UserError when a process may open fewer files than Spark needs. Java itself raises the soft limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < LEAST_OPEN_FILES:
        raise UserError(
            f"A process may open {most} files here, and Spark needs {LEAST_OPEN_FILES} or more: raise the limit "
            "(`ulimit -Hn`, LimitNOFILE= of systemd, --ulimit nofile= of docker)."
        )


def check_master(master: str) -> None:
    """Raises UserError when none of the machines that a `spark://` or `k8s://` master names answers, and UsageError
    when `yarn` has no configuration: Spark tries for a minute and then tells something else."""
    if master.startswith("spark://"):
        places = [_place(place) for place in master.removeprefix("spark://").split(",")]
        if reason := _silence(places):
            raise UserError(
                f"The Spark master at '{master}' does not answer ({reason}): check --master and that it runs."
            )
    elif master.startswith("k8s://"):
        from urllib.request import getproxies_environment

        address = urlsplit(master.removeprefix("k8s://"))
        if not address.netloc:
            address = urlsplit(f"https://{master.removeprefix('k8s://')}")
        proxies = getproxies_environment()
        # what a proxy reaches can't be told from here
        if proxies.get(address.scheme) or proxies.get("all"):
            return
        host, port = _place(address.netloc.rpartition("@")[2])
        if reason := _silence([(host, port or (80 if address.scheme == "http" else 443))]):
            raise UserError(
                f"The Kubernetes API at '{master}' does not answer ({reason}): check --master and that the cluster "
                "runs (kubectl cluster-info)."
            )
    elif master == "yarn" and not (os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")):
        raise UsageError(
            "--master yarn has no configuration: set HADOOP_CONF_DIR or YARN_CONF_DIR to the folder that says where "
            "the cluster is."
        )


def check_task_cores(conf: Mapping[str, str]) -> None:
    """Raises UsageError when Spark's configuration gives a task more cores than the process has that is to run it."""
    wanted, there = conf.get("spark.task.cpus", ""), cores_of_an_executor(conf, available_cores())
    if there and re.fullmatch(r"[0-9]+", wanted) and int(wanted) > there:
        raise UsageError(
            f"--conf spark.task.cpus is '{wanted}', and an executor has {there} core{'s' if there > 1 else ''}: no "
            "task could ever run; lower it, or give executors more cores (spark.executor.cores, local[N])."
        )


def _place(text: str) -> tuple[str, int | None]:
    """Host and port of `host:port`, which may have an IPv6 address in brackets; no port where there is none."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else (text.strip("[]"), None)


def _silence(places: Sequence[tuple[str, int | None]]) -> str:
    """Why none of these hosts and ports answers; empty where one does."""
    reason = "it names no port"
    for host, port in places:
        if port is None:
            continue
        try:
            with socket.create_connection((host, port), _ANSWER_LIMIT):
                return ""
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    return reason
