"""The folder of one run: whole once `manifest.json` is there, which is written last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from job.errors import UsageError, UserError
from job.storage.backend import backend
from job.storage.claims import is_abandoned, is_same, may_fall_silent, new_claim, renewal
from job.storage.uris import join, normalise

MANIFEST = "manifest.json"
CLAIM = "_running.json"
"""Name of the file that says whose the folder is, while a run works on it and after a run that was killed."""

PROGRESS = "_progress.json"
"""Name of the file that says what unfinished work in the folder is, for a run that goes on with it."""

_NOT_RESULTS = {MANIFEST, CLAIM, PROGRESS}
# Looks at a claim of which a sign of life is waited for.
_LOOKS = 20


class StoredFile(NamedTuple):
    """One file of a run; `path` is relative to the run's folder."""

    path: str
    bytes: int
    sha256: str


def stored_file(path: str, data: bytes) -> StoredFile:
    """What is to be known of a file with this content, at a path relative to the run's folder."""
    return StoredFile(path, len(data), hashlib.sha256(data).hexdigest())


class TakenError(UserError):
    """The folder is another's, or has become another's."""

    exit_code = 2


class RunFolder:
    """Results of the run `name` under the address `out`, written in place.

    `claim()` makes the folder this run's own; `finish()` makes it whole. A folder that is whole, or that another run is
    working on, is refused; what a killed attempt of the same run in the same place (machine, container or pod) left
    behind is removed; with `goes_on` it is kept, if `begin` was called in that attempt.

    With `silence`, a number of seconds, the owner calls `renew` more often than that. Attempts that do so take over
    from each other wherever they were: `claim` waits so long for a sign of life, and a claim that was not renewed
    meanwhile is a dead one's.
    """

    def __init__(
        self, out: str, name: str, *, public_read: bool = False, goes_on: bool = False, silence: float = 0.0
    ) -> None:
        """Touches nothing yet. Raises UsageError when `name` can't be the name of a folder."""
        if not name or name in {".", ".."} or "/" in name or "\\" in name or not name.isprintable():
            raise UsageError(f"The run name '{name}' can't be the name of a folder: use letters, digits, '-' and '_'.")
        self.out = normalise(out)
        self.name = name
        self.root = join(self.out, name)
        self.public_read = public_read
        self._goes_on = goes_on
        self._store = backend(self.root)
        self._silence = silence
        self._claim = new_claim(renewed=silence > 0)
        self._written: dict[str, StoredFile] = {}

    def uri(self, relative: str = "") -> str:
        """The address of a file or folder of the run."""
        return join(self.root, relative)

    def check_writable(self) -> None:
        """Raises UserError if the run could not write here or its name is taken. Leaves nothing behind."""
        self._store.probe(self.root)
        self._refuse_if_taken()

    def claim(self) -> None:
        """Takes the folder for this run. Raises UserError if it can't be written or is taken by another."""
        if self._refuse_if_taken():
            if self.begun() is None:
                self._store.delete_folder(self.root)
            else:
                self._store.delete(self.uri(CLAIM))
        if not self._store.create(self.uri(CLAIM), self._claim):
            raise self._taken()

    def renew(self) -> None:
        """Shows others that this attempt is at work. Raises TakenError if one has taken it for dead."""
        if not self._is_mine():
            raise self._taken()
        self._claim = renewal(self._claim)
        self._store.write_bytes(self.uri(CLAIM), self._claim)

    def begun(self) -> Any:
        """What `begin` was told by an attempt that did not end, as JSON values; None where there is nothing to go on
        with."""
        if not self._goes_on or not self._store.exists(self.uri(PROGRESS)):
            return None
        try:
            return json.loads(self._store.read_bytes(self.uri(PROGRESS)))
        except ValueError:
            return None

    def begin(self, work: Any) -> None:
        """Says what work (JSON values) the files that follow belong to, so that a later attempt can go on with them."""
        self._store.write_bytes(self.uri(PROGRESS), json.dumps(work).encode())

    def write(self, relative: str, data: bytes) -> None:
        """Writes one file of the run, all of it or nothing."""
        self._store.write_bytes(self.uri(relative), data, public_read=self.public_read)
        self._written[relative] = stored_file(relative, data)

    def know(self, files: Iterable[StoredFile]) -> None:
        """Takes note of files that others have written here, so that they need not be read back."""
        self._written.update({file.path: file for file in files})

    def files(self) -> list[StoredFile]:
        """Everything in the folder, sorted by path; what others (Spark) have written there is read back and hashed."""
        found = [path for path in self._store.walk(self.root) if path not in _NOT_RESULTS]
        unknown = [path for path in found if path not in self._written]
        with ThreadPoolExecutor(16) as pool:
            digests = list(pool.map(lambda path: self._store.digest(self.uri(path)), unknown))
        others = {path: StoredFile(path, *digest) for path, digest in zip(unknown, digests, strict=True)}
        return sorted(others.get(path) or self._written[path] for path in found)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Writes `manifest.json`, with `files` added, and so makes the run whole. Nothing may be written after it.

        Raises UserError if the folder is no longer this run's: two attempts may both have found a third one dead.
        """
        if not self._is_mine():
            raise self._taken()
        content = {**manifest, "files": [file._asdict() for file in self.files()]}
        self.write(MANIFEST, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
        if self._goes_on and self._store.exists(self.uri(PROGRESS)):
            self._store.delete(self.uri(PROGRESS))
        self._store.delete(self.uri(CLAIM))

    def parts(self, relative: str) -> list[str]:
        """Names of the files in a folder of the run that is not whole yet, sorted."""
        return sorted(self._store.walk(self.uri(relative))) if self._store.exists(self.uri(relative)) else []

    def remove(self, relative: str, names: Iterable[str]) -> None:
        """Removes files of a folder of the run that is not whole yet, and the folder when it is left empty."""
        known = set(names)
        if known >= set(self.parts(relative)):
            self._store.delete_folder(self.uri(relative))
            return
        for name in sorted(known):
            self._store.delete(join(self.uri(relative), name))

    def release(self) -> None:
        """Leaves the folder as it is, for a later attempt that goes on with it."""
        if self._is_mine():
            self._store.delete(self.uri(CLAIM))

    def discard(self) -> None:
        """Removes all that this run has written: it failed. Other runs and folders are left alone."""
        if self._is_mine():
            # first what would make the rest look whole, if this does not come to its end
            if self._store.exists(self.uri(MANIFEST)):
                self._store.delete(self.uri(MANIFEST))
            self._store.delete_folder(self.root)

    def _is_mine(self) -> bool:
        claim = self.uri(CLAIM)
        return self._store.exists(claim) and is_same(self._store.read_bytes(claim), self._claim)

    def _refuse_if_taken(self) -> bool:
        """Whether a dead attempt has left something, which is the only thing that may be removed."""
        found = set(self._store.walk(self.root))
        if MANIFEST in found:
            raise UserError(
                f"The run '{self.name}' is already in '{self.out}': choose another --run-name or another --out.", 2
            )
        if CLAIM in found:
            if not self._is_left():
                raise self._taken()
            return True
        if found and not (self._goes_on and PROGRESS in found):
            raise UserError(
                f"'{self.root}' is not empty and holds no run: choose another --run-name or another --out.", 2
            )
        return False

    def _is_left(self) -> bool:
        """Whether the owner of the claim is gone. Waits for a sign of life from one that can't be looked for."""
        claim = self._store.read_bytes(self.uri(CLAIM))
        if is_abandoned(claim):
            return True
        if not self._silence or not may_fall_silent(claim):
            return False
        limit = time.monotonic() + self._silence
        while (left := limit - time.monotonic()) > 0:
            time.sleep(min(left, self._silence / _LOOKS))
            if not self._store.exists(self.uri(CLAIM)) or self._store.read_bytes(self.uri(CLAIM)) != claim:
                return False
        return True

    def _taken(self) -> TakenError:
        if self._silence:
            return TakenError(f"Another process is at work in '{self.root}': end it, or choose another --run-name.")
        return TakenError(
            f"Another run named '{self.name}' is writing, or was killed, in '{self.out}': "
            f"choose another --run-name, or remove '{self.root}'."
        )
