"""Pictures below an address that are in no batch yet, and are whole."""

import time

import pyarrow as pa
import pyarrow.compute as pc

from job import storage
from job.experiment.watch.ledger import VERSION, Ledger

SETTLING = 1.0
"""Seconds over which a picture of a folder must stay as it is before it is taken."""
# An empty file of a folder is most likely the beginning of one: seconds before it counts as a picture without bytes.
_EMPTY = 60.0


class Arrivals:
    """The pictures below `root`.

    An object in S3 is there whole or not at all. A file of a folder may be half-written: it is taken when two listings
    in a row, which the caller makes `SETTLING` seconds apart, show the same size and time of its last change. A writer
    that pauses for longer is met by the next version: a picture that changes is a new one.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._whole = storage.is_remote(root)
        self._seen = VERSION.empty_table()

    def look(self, ledger: Ledger) -> tuple[pa.Table, int]:
        """New pictures of schema `VERSION`, the oldest first, and the number of those that have to settle first.

        Raises UserError when the store does not work.
        """
        new = ledger.new(_versions(storage.list_images(self.root), remote=self._whole))
        if self._whole:
            ready, waiting = new, 0
        else:
            ready = new.join(self._seen, VERSION.names, join_type="left semi")
            limit = pa.scalar(int((time.time() - _EMPTY) * 1e6), VERSION.field("modified").type)
            ready = ready.filter(pc.or_(pc.greater(ready["size"], 0), pc.less(ready["modified"], limit)))
            self._seen, waiting = new, new.num_rows - ready.num_rows
        return ready.sort_by([("modified", "ascending"), ("ima", "ascending")]), waiting


def _versions(listing: pa.Table, *, remote: bool) -> pa.Table:
    """A listing of the store as a table of schema `VERSION`: folders tell nanoseconds, S3 microseconds."""
    changed = listing["changed"] if remote else pc.divide(listing["changed"], 1000)
    return pa.table([listing["name"], listing["size"], changed.cast(VERSION.field("modified").type)], schema=VERSION)
