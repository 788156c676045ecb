"""Pictures below an address that are in no batch yet, and are whole."""

import time

import pyarrow as pa
import pyarrow.compute as pc

from job import storage
from job.experiment.watch.ledger import VERSION, Ledger

SETTLING = 1.0
"""Seconds over which a picture of a folder must stay as it is before it is taken."""
_SEEN = VERSION.append(pa.field("since", pa.float64()))
# An empty file of a folder is most likely the beginning of one: seconds before it counts as a picture without bytes.
_EMPTY = 60.0


class Arrivals:
    """The pictures below `root`.

    An object in S3 is there whole or not at all. A file of a folder may be half-written: it is taken when a listing
    shows the same size and time of its last change as all those of the last `SETTLING` seconds, however often one
    looks. A writer that pauses for longer is met by the next version: a picture that changes is a new one.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._whole = storage.is_remote(root)
        # Versions that the last listing has shown, each with the end of the listing that was the first to show it.
        self._seen = _SEEN.empty_table()

    def look(self, ledger: Ledger) -> tuple[pa.Table, int]:
        """New pictures of schema `VERSION`, the oldest first, and the number of those that have to settle first.

        Raises UserError when the store does not work.
        """
        begun = time.monotonic()
        new = ledger.new(_versions(storage.list_images(self.root), remote=self._whole))
        if self._whole:
            ready, waiting = new, 0
        else:
            # A listing looks at one file after another: from its end to the beginning of the next is what counts.
            known = new.join(self._seen, VERSION.names, join_type="left outer")
            settled = pc.fill_null(pc.less_equal(known["since"], begun - SETTLING), fill_value=False)
            ready = known.filter(settled).select(VERSION.names)
            limit = pa.scalar(int((time.time() - _EMPTY) * 1e6), VERSION.field("modified").type)
            ready = ready.filter(pc.or_(pc.greater(ready["size"], 0), pc.less(ready["modified"], limit)))
            since = pc.fill_null(known["since"], time.monotonic())
            self._seen = known.set_column(len(VERSION), _SEEN.field("since"), since)
            waiting = new.num_rows - ready.num_rows
        return ready.sort_by([("modified", "ascending"), ("ima", "ascending")]), waiting


def _versions(listing: pa.Table, *, remote: bool) -> pa.Table:
    """A listing of the store as a table of schema `VERSION`: folders tell nanoseconds, S3 microseconds."""
    changed = listing["changed"] if remote else pc.divide(listing["changed"], 1000)
    return pa.table([listing["name"], listing["size"], changed.cast(VERSION.field("modified").type)], schema=VERSION)
