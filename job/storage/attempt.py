"""One attempt to pack pictures: its files, and what earlier attempts have left.

An attempt writes `part-<attempt>-<number>.parquet` into the target, and `_packing-<attempt>.json` before them, which
says whose it is and when it was last at work. When the attempt ends, in whatever way it can notice, that claim goes;
where it failed, its files go too. An attempt that was killed leaves both. The next one removes them if the process is
known to be gone, or if it has written nothing for a day, as after a pod that never came back. Two attempts at the same
time therefore leave each other alone, and the first index that is written counts.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from job.errors import UserError
from job.storage.backend import backend
from job.storage.claims import is_abandoned, new_claim
from job.storage.types import INDEX
from job.storage.uris import join

# An attempt renews its claim after every file of 128 MB, which takes minutes at most. In seconds; a day leaves room for
# clocks that differ.
_LONGEST_PAUSE = 24 * 3600.0
# Names of the attempts that are under way in this process.
_under_way: set[str] = set()
_CLAIM = re.compile(r"_packing-([0-9a-f]+)\.json")


class Attempt:
    """Context of one attempt to pack into the address `target`.

    On entering, what dead attempts have left is removed; on leaving with an error, what this one has written.
    """

    def __init__(self, target: str) -> None:
        """Touches nothing yet; `target` is a normalised address."""
        self._target = target
        self._name = secrets.token_hex(4)
        self._owner = json.loads(new_claim())
        self._store = backend(target)

    def file(self, number: int) -> str:
        """Name of this attempt's Parquet file of that number, counted from 0."""
        return f"part-{self._name}-{number:05d}.parquet"

    def renew(self) -> None:
        """Says that this attempt is at work. Raises UserError if another has taken it for dead meanwhile."""
        if not self._store.exists(self._claim):
            raise UserError(
                f"Another `fruits pack` has removed what this one had written to '{self._target}', which was not heard "
                "of for a day: start it again."
            )
        self._write_claim()

    def __enter__(self) -> Self:
        """Removes what dead attempts have left, and claims the target."""
        self._sweep()
        _under_way.add(self._name)
        self._write_claim()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Removes the claim, and after an error the files too."""
        _under_way.discard(self._name)
        if kind is None:
            self._store.delete(self._claim)
            return
        with suppress(UserError):  # the first error is the one to tell
            self._remove(self._name)

    @property
    def _claim(self) -> str:
        return join(self._target, f"_packing-{self._name}.json")

    def _write_claim(self) -> None:
        self._store.write_bytes(self._claim, json.dumps({**self._owner, "at": time.time()}).encode())

    def _sweep(self) -> None:
        """Removes what dead attempts have left."""
        for path in list(self._store.walk(self._target)):
            found = _CLAIM.fullmatch(path)
            if not found or found[1] in _under_way or not self._is_dead(path):
                continue
            if self._store.exists(join(self._target, INDEX)):  # it was killed after it had written the index
                return
            self._remove(found[1])

    def _is_dead(self, claim: str) -> bool:
        try:
            content = self._store.read_bytes(join(self._target, claim))
        except UserError:  # the attempt has just ended and removed its claim
            return False
        try:
            at = float(json.loads(content)["at"])
        except (ValueError, KeyError, TypeError):
            return False
        return is_abandoned(content) or time.time() - at > _LONGEST_PAUSE

    def _remove(self, name: str) -> None:
        """Removes an attempt's files, and its claim last, so that an interrupted removal is taken up again."""
        paths = [path for path in self._store.walk(self._target) if path.startswith(f"part-{name}-")]
        for path in [*paths, f"_packing-{name}.json"]:
            if self._store.exists(join(self._target, path)):
                self._store.delete(join(self._target, path))
