"""An archive of loaded Java classes (class data sharing, JEP 310), by which a JVM starts sooner."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from job.engine import archive_maker
from job.engine.cache_folder import cache_folder

_LIST = "classes.list"
_LET_GO_LIMIT = 20.0
# A JVM without an archive does not verify the byte code of Spark's jars, which is near half of what such a start takes
# longer (docs/decisions.md). Classes in an archive were verified when it was made.
_UNVERIFIED = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote")

# Spark's own jars and Scala's library have two thirds of the classes that are loaded from some 290 jars.
_MOST = ("spark-", "scala-library-")


class ClassArchive:
    """Classes that the JVM loads from one mapped file instead of some 300 jars.

    tests/benchmarks/engine.py (whole) measures what that saves. The first run writes down which classes it loads. After
    it, a process that nobody waits for makes the archive of them in the user's cache folder. Another Java or other jars
    get another archive. FRUITS_CLASS_ARCHIVE=off does without.
    """

    def __init__(self, java: str, classpath: Sequence[str]) -> None:
        self._java, self._classpath = java, classpath
        self._path: Path | None = None
        folder = None if os.environ.get("FRUITS_CLASS_ARCHIVE") == "off" else cache_folder()
        if folder is None:
            return
        key = hashlib.sha256(b"static\n")
        for path in [Path(java).resolve(), *map(Path, classpath)]:
            status = path.stat()
            key.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
        path = folder / f"classes-{key.hexdigest()[:16]}.jsa"
        self._path = path if path.exists() or _can_be_made(folder) else None

    @property
    def classpath(self) -> list[str]:
        """The class path of a JVM with these options. Java takes an archive for the path that it was made with alone.

        A JVM without one looks for each class in one jar after the other, so that the jars that most are in come first
        (no class that is in them is in others too).
        """
        if self._path is None or self._path.exists():
            return list(self._classpath)
        return sorted(self._classpath, key=lambda path: not Path(path).name.startswith(_MOST))

    def options(self, folder: Path) -> list[str]:
        """Options of the JVM that use the archive, or write into `folder` which classes are loaded."""
        if self._path is None:
            return []
        if self._path.exists():
            return [f"-XX:SharedArchiveFile={self._path}", "-Xshare:auto", "-Xlog:cds=off"]
        return [f"-XX:DumpLoadedClassList={folder / _LIST}", "-Xlog:cds=off", *_UNVERIFIED]

    def make_later(self, folder: Path) -> None:
        """Start the making of an archive of the classes that a JVM has written into `folder`, and don't wait for it."""
        classes = folder / _LIST
        if self._path is None or not classes.is_file():
            return
        with suppress(OSError, subprocess.TimeoutExpired):  # without an archive all works as well
            kept = archive_maker.keep(classes, self._path)
            # by its file and with nothing but Python's own modules; its first process ends at once
            command = [sys.executable, "-I", archive_maker.__file__, self._java, str(kept), str(self._path)]
            subprocess.run(
                command,
                env={**os.environ, "CLASSPATH": os.pathsep.join(self._classpath)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_LET_GO_LIMIT,
                check=False,
            )


def _can_be_made(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made itself."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
