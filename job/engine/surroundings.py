"""What a run needs of the machine beside Java and Spark: looked at before the work starts, and by `fruits doctor`."""

import os
import re
import resource
import shutil
import socket
import sys
import tempfile

from job.errors import UserError

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
    """Raises UserError when none of the machines that a `spark://` master names answers: Spark tries for a minute and
    then tells something else. Other masters are left to Spark."""
    places = re.fullmatch(r"spark://(.+)", master)
    if places is None:
        return
    reason = "it names no port"
    for place in places[1].split(","):
        host, _, port = place.rpartition(":")
        if not port.isdecimal():
            continue
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_LIMIT):
                return
        except OSError as error:
            reason = error.strerror or str(error)
    raise UserError(f"The Spark master at '{master}' does not answer ({reason}): check --master and that it runs.")
