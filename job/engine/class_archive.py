"""An archive of loaded Java classes (class data sharing, JEP 350), by which a JVM starts sooner."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

_KEPT = 3
_MAKING_LIMIT = 60.0


class ClassArchive:
    """Classes that the JVM loads from one mapped file instead of some 300 jars.

    tests/benchmarks/engine.py (whole) measures what that saves.
    The first run makes it at its exit, in the user's cache folder. Another Java or other jars get another archive.
    FRUITS_CLASS_ARCHIVE=off does without.
    """

    def __init__(self, java: str, classpath: list[str]) -> None:
        self._making: Path | None = None
        self._path: Path | None = None
        if os.environ.get("FRUITS_CLASS_ARCHIVE") == "off":
            return
        key = hashlib.sha256()
        for path in [Path(java).resolve(), *map(Path, classpath)]:
            status = path.stat()
            key.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
        try:
            folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits-job"
            path = folder / f"classes-{key.hexdigest()[:16]}.jsa"
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(suffix=".jsa", dir=folder)
                os.close(handle)
                Path(name).unlink()
                self._making = Path(name)
            self._path = path
        except (OSError, RuntimeError):  # a folder that can't be written, or a user without a home
            return

    @property
    def being_made(self) -> bool:
        """Whether the JVM will write the archive when it exits."""
        return self._making is not None

    def options(self) -> list[str]:
        """Options of the JVM that use the archive, or make it."""
        if self._making:
            return [f"-XX:ArchiveClassesAtExit={self._making}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        return [f"-XX:SharedArchiveFile={self._path}", "-Xshare:auto", "-Xlog:cds=off"] if self._path else []

    def finish(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until a JVM that was told to end has written the archive, and keep it."""
        if self._making is None or self._path is None:
            return
        try:
            code = process.wait(_MAKING_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
        if code == 0 and self._making.exists():
            self._making.replace(self._path)
            newest = sorted(self._path.parent.glob("classes-*.jsa"), key=lambda path: path.stat().st_mtime)
            for old in newest[:-_KEPT]:  # of other environments, or of jars that are no more
                old.unlink(missing_ok=True)
        self.discard()

    def discard(self) -> None:
        """Remove what was written of an archive that is not kept."""
        if self._making is not None:
            self._making.unlink(missing_ok=True)
