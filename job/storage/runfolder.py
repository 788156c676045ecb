"""The folder of one run: whole once `manifest.json` is there, which is written last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from job.errors import UsageError, UserError
from job.storage import local
from job.storage.uris import join, normalise

MANIFEST = "manifest.json"
CLAIM = "_running.json"
"""There while a run works on its folder, and after one that was killed: says whose it is."""

_NOT_RESULTS = {MANIFEST, CLAIM}


class StoredFile(NamedTuple):
    """One file of a run; `path` is relative to the run's folder."""

    path: str
    bytes: int
    sha256: str


class RunFolder:
    """Results of the run `name` under the address `out`, written in place.

    `claim()` makes the folder this run's own; `finish()` makes it whole. A folder that is whole, or that another run is
    working on, is refused; what a killed attempt of the same run on the same machine (or pod) left behind is removed.
    """

    def __init__(self, out: str, name: str, *, public_read: bool = False) -> None:
        if not name or name in {".", ".."} or "/" in name or "\\" in name or not name.isprintable():
            raise UsageError(f"The run name '{name}' can't be the name of a folder: use letters, digits, '-' and '_'.")
        self.out = normalise(out)
        self.name = name
        self.root = join(self.out, name)
        self.public_read = public_read
        self._written: dict[str, StoredFile] = {}

    def uri(self, relative: str = "") -> str:
        """The address of a file or folder of the run."""
        return join(self.root, relative)

    def check_writable(self) -> None:
        """Raises UserError if the run could not write here or its name is taken. Leaves nothing behind."""
        self._refuse_if_taken()
        _probe_local(self.root)

    def claim(self) -> None:
        """Takes the folder for this run. Raises UserError if it can't be written or is taken by another."""
        self._refuse_if_taken()
        self._remove_leftovers()
        if not self._create(CLAIM, json.dumps(_owner()).encode()):
            raise self._taken()

    def write(self, relative: str, data: bytes) -> None:
        """Writes one file of the run, all of it or nothing."""
        local.write_bytes(self.uri(relative), data)
        self._written[relative] = StoredFile(relative, len(data), hashlib.sha256(data).hexdigest())

    def files(self) -> list[StoredFile]:
        """Everything in the folder, sorted by path; what others (Spark) have written there is read back and hashed."""
        found = list(self._walk())
        unknown = [path for path in found if path not in self._written]
        with ThreadPoolExecutor(8) as pool:
            hashed = {file.path: file for file in pool.map(self._hash, unknown)}
        return sorted(hashed.get(path) or self._written[path] for path in found)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Writes `manifest.json`, with `files` added, and so makes the run whole. Nothing may be written after it."""
        content = {**manifest, "files": [file._asdict() for file in self.files()]}
        self.write(MANIFEST, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
        self._delete(CLAIM)

    # ---- what differs between stores

    def _refuse_if_taken(self) -> None:
        if self._read(MANIFEST) is not None:
            raise UserError(
                f"The run '{self.name}' is already in '{self.out}': choose another --run-name or another --out.", 2
            )
        claim = self._read(CLAIM)
        if claim is None:
            if any(True for _ in self._walk()):
                raise UserError(f"The folder '{self.root}' is not empty and no run of this program: choose another.", 2)
        elif not _is_dead(claim):
            raise self._taken()

    def _taken(self) -> UserError:
        return UserError(
            f"Another run named '{self.name}' is writing, or was killed, in '{self.out}': "
            f"choose another --run-name, or remove '{self.root}'.",
            2,
        )

    def _read(self, relative: str) -> bytes | None:
        try:
            return Path(self.uri(relative)).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"'{self.uri(relative)}' can't be read: {error.strerror or error}.") from error

    def _create(self, relative: str, data: bytes) -> bool:
        """Writes a file that must not exist yet; False if it does."""
        path = Path(self.uri(relative))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        except OSError as error:
            raise UserError(f"'{path}' can't be written: {error.strerror or error}.") from error
        return True

    def _delete(self, relative: str) -> None:
        Path(self.uri(relative)).unlink()

    def _remove_leftovers(self) -> None:
        if Path(self.root).is_dir():
            shutil.rmtree(self.root)

    def _walk(self) -> Iterable[str]:
        """Paths of the run's results, with forward slashes; Hadoop's hidden checksum files are none."""
        for file in Path(self.root).rglob("*"):
            path = file.relative_to(self.root).as_posix()
            if path not in _NOT_RESULTS and file.is_file():
                yield path

    def _hash(self, relative: str) -> StoredFile:
        with Path(self.uri(relative)).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return StoredFile(relative, file.tell(), digest)


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _is_dead(claim: bytes) -> bool:
    """Whether the process that wrote the claim is known to be gone: same machine or pod, and no such process now."""
    try:
        owner = json.loads(claim)
        host, pid = str(owner["host"]), int(owner["pid"])
    except (ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():
        return False
    if pid == os.getpid():  # a restarted container has the same host name and often the same process number
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _probe_local(root: str) -> None:
    """Makes and removes a file where the run would write, and the folders that it took."""
    folder = Path(root)
    probe = folder / f".probe-{secrets.token_hex(6)}"
    made: list[Path] = []
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.append(path)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"The output folder '{folder}' can't be written: {error.strerror or error}; choose another --out."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # another run has put something there by now
            for path in reversed(made):
                path.rmdir()
