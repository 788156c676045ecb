"""The batches that watchers have left in a folder, and the pictures that are in them.

    batches/0000000001.parquet      predictions, a row for each version of a picture
    manifests/0000000001.json       what is in that file: counts, size, SHA-256, model
    _done.parquet                   names and versions of the pictures in all batches up to a number

One write decides: a picture is done when a batch holds it, and a batch is there whole or not at all. A watcher that is
killed before that write leaves nothing of the batch, and its pictures are predicted again; one that is killed after it
leaves a file without a manifest, which is made from the file by the next one. A batch's file is created and never
written over: should two watchers believe that the folder is theirs, one of them gets the number, and the other one
reads what is in there before it goes on.

What is done is rebuilt from these files. `_done.parquet` only saves the reading of all batches at each start: it is
written anew after `BATCHES_UNCOUNTED` further ones, and it may be removed, as may batches that it counts. A million
pictures take 14 MB in it, 62 MB in memory, and 300 MB for the half second in which they are compared with a listing.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from job import storage
from job.errors import UserError
from job.model import batch as predictions
from job.storage.tables import from_parquet, to_parquet

SCHEMA_VERSION = 1
BATCHES, MANIFESTS, DONE = "batches", "manifests", "_done.parquet"
VERSION = pa.schema([("ima", pa.string()), ("size", pa.int64()), ("modified", pa.timestamp("us", "UTC"))])
"""What tells a version of a picture: its name, its size in bytes, and when the store says that it was written."""
SCHEMA = pa.schema([*predictions.SCHEMA, *list(VERSION)[1:]])
"""A batch: predictions as `fruits predict --data` makes them, and the version of each picture."""
BATCHES_UNCOUNTED = 500
"""Batches after which `_done.parquet` is written anew: a start reads fewer than twice as many."""

_FACTS, _THROUGH = b"fruits", b"through"
_BATCH, _MANIFEST = re.compile(rf"{BATCHES}/(\d{{10}})\.parquet"), re.compile(rf"{MANIFESTS}/(\d{{10}})\.json")
_READERS = 16
# Tables of done pictures that are kept apart before they are made one.
_CHUNKS = 64


class Ledger:
    """The batches in the run's folder `folder`, which the caller has claimed. `restore` comes first."""

    def __init__(self, folder: storage.RunFolder) -> None:
        self._folder = folder
        self._done = VERSION.empty_table()
        self._last = self._through = 0
        self._unlisted: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Number of versions of pictures that are done."""
        return int(self._done.num_rows)

    def restore(self) -> None:
        """Finds out what is done, and completes what a killed watcher has left incomplete.

        Raises UserError when the store does not work, or a batch is damaged.
        """
        self._through, self._done = self._counted()
        self._last = self._through
        there = self._folder.parts("")
        begun = [path for path in there if path.endswith(".tmp")]  # by a process that was killed
        if begun:
            with suppress(UserError):
                self._folder.remove("", begun)
        listed = {int(match[1]) for match in map(_MANIFEST.fullmatch, there) if match}
        self._take_in(self._unknown(there), listed)
        self.settle()

    def catch_up(self) -> None:
        """Takes in batches that were written since, by somebody else or by a request whose answer was lost."""
        self._take_in(self._unknown([f"{BATCHES}/{name}" for name in self._folder.parts(BATCHES)]), set())
        self.settle()

    def new(self, pictures: pa.Table) -> pa.Table:
        """The rows of a table of schema `VERSION` that are in no batch."""
        return pictures.join(self._done, VERSION.names, join_type="left anti")

    def add(self, found: pa.Table, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Writes the next batch, a table of schema `SCHEMA`, with JSON values about how it was made.

        Returns its manifest; None when another batch of that number is there: see `catch_up`.
        """
        number = self._last + 1
        found = found.replace_schema_metadata({_FACTS: json.dumps(facts).encode()})
        data = to_parquet(found)
        if not storage.create(self._uri(number), data):
            return None
        self._note(number, found, data, listed=False)
        manifest: dict[str, Any] = json.loads(self._unlisted[number])
        self.settle()
        return manifest

    def settle(self) -> None:
        """Writes what is still to be written about batches that are there."""
        for number, manifest in sorted(self._unlisted.items()):
            storage.write_bytes(self._folder.uri(f"{MANIFESTS}/{number:010d}.json"), manifest)
            del self._unlisted[number]
        if self._last - self._through >= BATCHES_UNCOUNTED:
            content = self._done.replace_schema_metadata({_THROUGH: str(self._last)})
            sink = io.BytesIO()
            parquet.write_table(content, sink, compression="zstd")
            storage.write_bytes(self._folder.uri(DONE), sink.getvalue())
            self._through = self._last

    def _uri(self, number: int) -> str:
        return self._folder.uri(f"{BATCHES}/{number:010d}.parquet")

    def _counted(self) -> tuple[int, pa.Table]:
        """The number up to which batches were counted, and what is in them; nothing where that can't be told."""
        uri = self._folder.uri(DONE)
        if not storage.exists(uri):
            return 0, self._done
        try:
            table = from_parquet(storage.read_bytes(uri))
            return int((table.schema.metadata or {})[_THROUGH]), table.replace_schema_metadata(None).cast(VERSION)
        except (pa.ArrowInvalid, OSError, KeyError, ValueError):
            return 0, self._done

    def _unknown(self, there: Iterable[str]) -> list[int]:
        """Numbers of the batches among these files that were not taken in yet, rising."""
        numbers = (int(match[1]) for match in map(_BATCH.fullmatch, there) if match)
        return sorted(number for number in numbers if number > self._last)

    def _take_in(self, numbers: list[int], listed: set[int]) -> None:
        with ThreadPoolExecutor(_READERS) as pool:
            contents = pool.map(lambda number: storage.read_bytes(self._uri(number)), numbers)
            for number, data in zip(numbers, contents, strict=True):
                try:
                    found = from_parquet(data)
                    json.loads(found.schema.metadata[_FACTS])  # a file of somebody else has none
                except (OSError, KeyError, ValueError, TypeError):  # ArrowInvalid is a ValueError
                    self._give_up(number, listed)
                else:
                    self._note(number, found, data, listed=number in listed)

    def _give_up(self, number: int, listed: set[int]) -> None:
        """Removes a file that was never whole, as a file system without hard links can leave one."""
        if number in listed:
            raise UserError(
                f"'{self._uri(number)}' is damaged: put it back as it was, or remove it together with its file in "
                f"'{self._folder.uri(MANIFESTS)}', and its pictures are predicted again."
            )
        self._folder.remove(BATCHES, [f"{number:010d}.parquet"])

    def _note(self, number: int, found: pa.Table, data: bytes, *, listed: bool) -> None:
        versions = found.select(VERSION.names).replace_schema_metadata(None).cast(VERSION)
        self._done = pa.concat_tables([self._done, versions])
        if self._done["ima"].num_chunks > _CHUNKS:
            self._done = self._done.combine_chunks()
        self._last = number
        if not listed:
            self._unlisted[number] = json.dumps(_manifest(number, found, data), indent=2).encode()


def _manifest(number: int, found: pa.Table, data: bytes) -> dict[str, Any]:
    """What is said of a batch: all of it follows from the content of its file."""
    counts = pc.value_counts(found["status"])
    statuses = {item["values"].as_py(): item["counts"].as_py() for item in counts}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "watched predictions",
        "batch": number,
        **json.loads(found.schema.metadata[_FACTS]),
        "pictures": found.num_rows,
        "statuses": dict(sorted(statuses.items())),
        "file": {
            "path": f"{BATCHES}/{number:010d}.parquet",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    }
