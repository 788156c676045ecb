"""The process that makes an archive of classes after a run, while nobody waits for it.

It is started by its file, as `python -I archive_maker.py JAVA CLASSES ARCHIVE`, and uses Python's own modules alone.
"""

import fcntl
import os
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_KEPT = 3
_MAKING_LIMIT = 300.0
_NICE = 15


def keep(classes: Path, archive: Path) -> Path:
    """Copy the whole lines of a list of classes to a file beside the archive to be, and give its path.

    The last line of a JVM that was killed may be half a line. Raises OSError.
    """
    text = classes.read_bytes()
    kept = archive.with_name(f"{archive.stem}-{secrets.token_hex(6)}.list")
    kept.write_bytes(text[: text.rfind(b"\n") + 1])
    return kept


def make(java: str, classes: Path, archive: Path) -> None:
    """Make the archive of these classes, unless it is there or another process is at it, and remove the list.

    The class path is taken from the environment. Archives of other environments, but for the newest, are removed.
    """
    making = archive.with_name("making.jsa")
    try:
        with archive.with_name("making.lock").open("w") as lock:
            try:
                # released by the system however this process ends
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            if archive.exists():
                return
            _remove_left(archive, making, classes)
            options = ["-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={making}"]
            done = subprocess.run([java, *options, "-Xlog:cds=off"], timeout=_MAKING_LIMIT, check=False)
            if done.returncode == 0 and making.exists():
                making.replace(archive)
                _remove_old(archive.parent)
            making.unlink(missing_ok=True)
    finally:
        classes.unlink(missing_ok=True)


def _remove_left(archive: Path, making: Path, classes: Path) -> None:
    """Remove what processes that were killed have left."""
    making.unlink(missing_ok=True)
    for other in archive.parent.glob(f"{archive.stem}-*.list"):
        if other != classes:
            other.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    """Remove archives of other environments, or of jars that are no more."""
    newest = sorted(folder.glob("classes-*.jsa"), key=lambda path: path.stat().st_mtime)
    for old in newest[:-_KEPT]:
        old.unlink(missing_ok=True)


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.nice(_NICE)
    with suppress(OSError, subprocess.TimeoutExpired):
        make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
