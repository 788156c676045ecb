"""Who works on a folder, told by a small file that its owner leaves there, and whether the owner of one is gone.

Names and numbers of processes repeat: every container counts its processes from 1, and containers may share the host
name of their machine. A claim therefore also says in which container or pod, since which start of the machine and since
when the process has been running.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# The one number that Linux gives to the name space of the machine's own host name (PROC_UTS_INIT_INO).
_MACHINE_NAMES = "uts:[4026531838]"
# Files that container runtimes mount from a folder of the container or pod, whose path holds its identity.
_MOUNTED = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}


class Owner(NamedTuple):
    """A process that may claim a folder. A text is empty where the system does not tell."""

    host: str
    pid: int
    machine: str = ""
    """Machine id."""
    boot: str = ""
    """Identity of this start of the machine's kernel."""
    processes: str = ""
    """Name space of process numbers: the container's, or the machine's."""
    started: str = ""
    """When the process was started, in clock ticks since the machine's start."""
    place: str = ""
    """What the host name is unique in: a container, or a name space of Kubernetes; empty for a machine itself."""

    def is_gone(self, here: Owner) -> bool:
        """Whether the process `here` can be sure that this owner does not work any more: its process has ended, or its
        container was started again. An owner on another machine or in another container can't be told from a live one.

        The process `here` itself counts as gone: whoever asks knows which of its own attempts are at work.
        """
        if (self.host, self.place) != (here.host, here.place):
            return False
        if self.boot != here.boot:
            # after another start of the machine; without a container, equal host names may be two machines
            return bool(self.place) or (self.machine == here.machine != "")
        if self.processes != here.processes:
            # only one container of this identity runs at a time, and only one pod of this name
            return bool(self.place)
        if self.pid == here.pid and self.started == here.started:
            return True
        return _start_of(self.pid) not in {self.started, "unknown"}

    def is_near(self, here: Owner) -> bool:
        """Whether the process `here` sees the processes that this owner is one of."""
        return (self.host, self.place, self.boot, self.processes) == (
            here.host, here.place, here.boot, here.processes,
        )  # fmt: skip


def this_process() -> Owner:
    """The owner that this process is."""
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        machine=_text("/etc/machine-id"),
        boot=_text("/proc/sys/kernel/random/boot_id"),
        processes=_link("/proc/self/ns/pid"),
        started=_start_of(os.getpid()),
        place=_place(),
    )


def new_claim(*, renewed: bool = False) -> bytes:
    """The content of a claim of this process, unlike any other; with `renewed`, of one that its owner will renew."""
    more = {"renewals": 0} if renewed else {}
    return json.dumps({**this_process()._asdict(), "attempt": secrets.token_hex(8), **more}).encode()


def renewal(claim: bytes) -> bytes:
    """The claim that an owner writes next, to show that it is alive."""
    found = json.loads(claim)
    return json.dumps({**found, "renewals": found["renewals"] + 1}).encode()


def attempt_of(claim: bytes) -> str:
    """What stays the same in a claim that is renewed, and is in no other; "" for what is no claim."""
    try:
        return str(json.loads(claim)["attempt"])
    except (ValueError, KeyError, TypeError):
        return ""


def is_same(claim: bytes, other: bytes) -> bool:
    """Whether two contents are one claim, renewed or not."""
    return attempt_of(claim) == attempt_of(other) != ""


def may_fall_silent(claim: bytes) -> bool:
    """Whether its owner renews the claim, and can't be looked for from here: only its silence tells that it is gone."""
    try:
        found = json.loads(claim)
        owner = Owner(**{field: found[field] for field in Owner._fields})
    except (ValueError, KeyError, TypeError):
        return False
    return "renewals" in found and not owner.is_near(this_process())


def is_abandoned(claim: bytes) -> bool:
    """Whether the process that wrote the claim is known to be gone, or is this one (`Owner.is_gone`). False for what is
    no claim."""
    try:
        found = json.loads(claim)
        owner = Owner(**{field: found[field] for field in Owner._fields})
    except (ValueError, KeyError, TypeError):
        return False
    return owner.is_gone(this_process())


def _start_of(pid: int) -> str:
    """Start of a process in clock ticks since the machine's; "" if there is no such process, "unknown" if it can't be
    told."""
    with suppress(OSError, IndexError):
        # the name of the program, in parentheses, may hold spaces and parentheses itself
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        return "unknown"
    return "unknown"


def _place() -> str:
    mounts = [line.split(" ") for line in _text("/proc/self/mountinfo").splitlines()]
    found = next((fields[3] for fields in mounts if len(fields) > 4 and fields[4] in _MOUNTED), "")
    # A pod that is made again has another identity and the same name, which no other pod of its name space has. A pod
    # on its machine's network, however, has the machine's name, and other pods may have it too.
    if found and "KUBERNETES_SERVICE_HOST" in os.environ and _link("/proc/self/ns/uts") != _MACHINE_NAMES:
        return f"pod in {_text('/var/run/secrets/kubernetes.io/serviceaccount/namespace')}"
    return found


def _text(path: str) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def _link(path: str) -> str:
    with suppress(OSError):
        return str(Path(path).readlink())
    return ""
