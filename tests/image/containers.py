"""Containers of the image, started and asked. `FRUITS_IMAGE` names another image than that of `.ci/image`."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("FRUITS_IMAGE", "localhost/fruits-job:dev")
TOOL = os.environ.get("FRUITS_CONTAINER_TOOL") or next(filter(shutil.which, ("podman", "docker")), "podman")
# The least that Kubernetes' restricted Pod Security Standard and a careful user leave to a container.
RESTRICTED = (
    "--network=none",
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:rw,noexec,nosuid,size=1g",
    "--tmpfs=/opt/spark/work-dir:rw,noexec,nosuid,mode=1777",
)


@dataclass(frozen=True)
class Answer:
    """What a container left: exit code, what it said, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    def succeeded(self) -> "Answer":
        assert self.code == 0, f"exit code {self.code}\n{self.out[-2000:]}\n{self.err[-3000:]}"
        return self


def tool(*arguments: object, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False)


def run(*arguments: object, options: tuple[str, ...] = RESTRICTED, timeout: float = 600) -> Answer:
    """A container that ends by itself, with nothing but what is in the image."""
    begun = time.monotonic()
    done = tool("run", "--rm", *options, IMAGE, *arguments, timeout=timeout)
    return Answer(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)


@contextmanager
def running(*arguments: object, options: tuple[str, ...] = RESTRICTED) -> Iterator[str]:
    """The name of a container that runs meanwhile."""
    name = f"fruits-test-{secrets.token_hex(4)}"
    begun = tool("run", "--detach", "--name", name, *options, IMAGE, *arguments)
    assert begun.returncode == 0, begun.stderr
    try:
        yield name
    finally:
        tool("rm", "--force", "--time=0", name)


def python(name: str, program: str) -> str:
    """What a program prints that is run inside a running container."""
    done = tool("exec", name, "python", "-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(seconds: float, what: str, true: Any) -> None:
    """Waits until `true()` is, or fails."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def logs(name: str) -> str:
    done = tool("logs", name)
    return done.stdout + done.stderr


@cache
def configuration() -> dict[str, Any]:
    """What the image says of itself."""
    found: dict[str, Any] = json.loads(tool("image", "inspect", IMAGE).stdout)[0]
    return found


@cache
def files() -> dict[str, int]:
    """Bytes of every file in the image, by its path."""
    program = (
        "import os\nfor folder, _, names in os.walk('/'):\n"
        "  if not folder.startswith(('/proc', '/sys', '/dev')):\n"
        "    for name in names: print(os.lstat(os.path.join(folder, name)).st_size, os.path.join(folder, name))"
    )
    listed = run("python", "-c", program, options=("--network=none",)).succeeded().out.splitlines()
    return {path: int(size) for size, path in (line.split(" ", 1) for line in listed)}
