"""The folder of one run: whole once `manifest.json` is there, which is written last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from job.errors import UsageError, UserError
from job.storage.backend import backend
from job.storage.claims import attempt_of, is_abandoned, is_same, may_fall_silent, new_claim, renewal
from job.storage.uris import join, normalise

MANIFEST = "manifest.json"
CLAIM = "_running.json"
"""Name of the file that says whose the folder is, while a run works on it and after a run that was killed."""

PROGRESS = "_progress.json"
"""Name of the file that says what unfinished work in the folder is, for a run that goes on with it."""

_NOT_RESULTS = {MANIFEST, CLAIM, PROGRESS}
# Looks at a claim of which a sign of life is waited for.
_LOOKS = 20
# The folders that runs of this process are at work in, by the attempt in their claims: a claim does not tell which of
# the process's threads works there. An object that nobody holds any more works on nothing.
_at_work: WeakValueDictionary[str, RunFolder] = WeakValueDictionary()
# Held while what a dead attempt left is removed and the folder is claimed, so that of two threads one does so.
_claiming = Lock()


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
    working on, in this process or another, is refused; what a killed attempt of the same run in the same place
    (machine, container or pod) left behind is removed; with `goes_on` it is kept, if `begin` was called in that
    attempt.

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
        self._attempt = attempt_of(self._claim)
        self._written: dict[str, StoredFile] = {}

    def uri(self, relative: str = "") -> str:
        """The address of a file or folder of the run."""
        return join(self.root, relative)

    def check_writable(self) -> None:
        """Raises UserError if the run could not write here or its name is taken. Leaves nothing behind."""
        self._store.probe(self.root)
        self._refuse_if_taken()
        self.begun()

    def claim(self) -> None:
        """Takes the folder for this run.

        Raises UserError if it can't be written, is taken by another, or what was begun in it can't be read.
        """
        left = self._refuse_if_taken()
        begun = self.begun()
        with _claiming:
            if left is not None:
                if self._claim_there() != left:  # another thread was first
                    raise self._taken()
                if begun is None:
                    self._store.delete_folder(self.root)
                else:
                    self._store.delete(self.uri(CLAIM))
            _at_work[self._attempt] = self  # before another thread can read the claim
            created = False
            try:
                created = self._store.create(self.uri(CLAIM), self._claim)
            finally:
                if not created:
                    self._end()
        if not created:
            raise self._taken()

    def renew(self) -> None:
        """Shows others that this attempt is at work. Raises TakenError if one has taken it for dead."""
        if not self._is_mine():
            raise self._taken()
        self._claim = renewal(self._claim)
        self._store.write_bytes(self.uri(CLAIM), self._claim)

    def begun(self) -> Any:
        """What `begin` was told by an attempt that did not end, as JSON values; None where there is nothing to go on
        with.

        Raises UserError where that can't be read: what lies beside it may be many hours of work.
        """
        if not self._goes_on or not self._store.exists(self.uri(PROGRESS)):
            return None
        try:
            work = json.loads(self._store.read_bytes(self.uri(PROGRESS)))
        except ValueError:
            work = None
        if work is None:
            raise UserError(
                f"'{self.uri(PROGRESS)}' is damaged, and nothing beside it was touched: put it back as it was, choose "
                f"another --run-name, or remove '{self.root}'."
            )
        return work

    def begin(self, work: Any) -> None:
        """Says what work (JSON values, not null) the files that follow belong to, so that a later attempt can go on
        with them."""
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
        self._end()

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
        try:
            if self._is_mine():
                self._store.delete(self.uri(CLAIM))
        finally:
            self._end()

    def discard(self) -> None:
        """Removes all that this run has written: it failed. Other runs and folders are left alone."""
        try:
            if self._is_mine():
                # first what would make the rest look whole, if this does not come to its end
                if self._store.exists(self.uri(MANIFEST)):
                    self._store.delete(self.uri(MANIFEST))
                self._store.delete_folder(self.root)
        finally:
            self._end()

    def _end(self) -> None:
        """Lets other attempts of this process have the folder."""
        _at_work.pop(self._attempt, None)

    def _claim_there(self) -> bytes | None:
        claim = self.uri(CLAIM)
        return self._store.read_bytes(claim) if self._store.exists(claim) else None

    def _is_mine(self) -> bool:
        claim = self._claim_there()
        return claim is not None and is_same(claim, self._claim)

    def _refuse_if_taken(self) -> bytes | None:
        """The claim of a dead attempt, whose files are the only ones that may be removed; None where there is none."""
        found = set(self._store.walk(self.root))
        if MANIFEST in found:
            raise UserError(
                f"The run '{self.name}' is already in '{self.out}': choose another --run-name or another --out.", 2
            )
        if CLAIM in found:
            claim = self._store.read_bytes(self.uri(CLAIM))
            if not self._is_left(claim):
                raise self._taken()
            return claim
        if found and not (self._goes_on and PROGRESS in found):
            raise UserError(
                f"'{self.root}' is not empty and holds no run: choose another --run-name or another --out.", 2
            )
        return None

    def _is_left(self, claim: bytes) -> bool:
        """Whether the owner of the claim is gone. Waits for a sign of life from one that can't be looked for."""
        if is_abandoned(claim):
            return attempt_of(claim) not in _at_work
        if not self._silence or not may_fall_silent(claim):
            return False
        limit = time.monotonic() + self._silence
        while (left := limit - time.monotonic()) > 0:
            time.sleep(min(left, self._silence / _LOOKS))
            if self._claim_there() != claim:
                return False
        return True

    def _taken(self) -> TakenError:
        if self._silence:
            return TakenError(f"Another process is at work in '{self.root}': end it, or choose another --run-name.")
        return TakenError(
            f"Another run named '{self.name}' is writing, or was killed, in '{self.out}': "
            f"choose another --run-name, or remove '{self.root}'."
        )
