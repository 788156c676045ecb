"""The command `fruits` as tests run it, in a process of its own or on the shared session, and what a run leaves."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from job import spark as spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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


def clean_environment(**more: str) -> dict[str, str]:
    """This process' environment without anything that concerns the command."""
    ours = ("FRUITS_", "PYSPARK_", "SPARK_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def fruits(*arguments: object, environment: dict[str, str] | None = None, folder: Path | None = None,
           command: tuple[str, ...] = (sys.executable, "-m", "job")) -> Answer:
    """The command, in a process of its own."""
    done = subprocess.run([*command, *map(str, arguments)], env=environment or clean_environment(), cwd=folder,
                          capture_output=True, text=True, timeout=170, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


class Shared:
    """The command in this process, on the shared session: as `fruits`, without the seconds of a start."""

    def __init__(self, spark: "SparkSession", capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        @contextmanager
        def session(*_: object) -> "Iterator[SparkSession]":
            yield spark
            spark.catalog.clearCache()

        patch.setattr(spark_session, "Jvm", lambda *_, **__: None)
        patch.setattr(spark_session, "session", session)
        for name in [name for name in os.environ if name.startswith("FRUITS_")]:
            patch.delenv(name)
        self._capture = capture

    def __call__(self, *arguments: object) -> Answer:
        from job import cli

        self._capture.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        said = self._capture.readouterr()
        return Answer(code, said.out, said.err)


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
