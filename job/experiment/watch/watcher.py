"""Watches an address: predicts what is new there, batch after batch, until it is told to end."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import __version__, storage
from job.cores import available_cores
from job.errors import UserError
from job.experiment.watch.arrivals import SETTLING, Arrivals
from job.experiment.watch.ledger import SCHEMA, VERSION, Ledger
from job.experiment.watch.meters import Meters
from job.experiment.watch.pool import Pool, ReplacedError, Task
from job.model.predict import NOTHING_REJECTED, OK, UNKNOWN, Model, Rejection
from job.report.console import Console
from job.signals import Ending, told_to_end
from job.storage.runfolder import TakenError

# Most pictures of a batch: some seconds of work, so that a watch that is told to end does so soon.
_MOST = 512
# Seconds between two signs of life, and after how many without one a watch elsewhere is taken for dead.
_BEAT, _SILENCE = 10.0, 60.0
# Seconds of the first pause and of the longest one after a fault of the store.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True)
class Watch:
    """What is watched, and how.

    Attributes
    ----------
    data
        Address of the pictures.
    out, name
        Address and name of the folder that takes the batches; one that an earlier watch of `data` has left is gone on
        with.
    every
        Seconds from one listing to the next.
    once
        Whether the watch ends when it has predicted what was there.
    rejection
        When the status is "unknown".

    """

    data: str
    out: str
    name: str
    every: float
    once: bool
    rejection: Rejection = NOTHING_REJECTED


def execute(watch: Watch, model: Model, console: Console, meters: Meters | None) -> None:
    """Watches until there is nothing left (`once`), or the process is told to end: then KeyboardInterrupt is raised,
    after the batch in hand was written.

    A store that does not work is waited for, except with `once` and before the first listing.

    Raises
    ------
    UserError
        In one sentence, with the way out.

    """
    begun = time.perf_counter()
    root = storage.normalise(watch.data)
    if storage.is_packed(storage.data_root(root)):
        raise UserError(f"'{watch.data}' holds packed pictures, to which none are added: leave out --watch.", 2)
    storage.check(root)
    model.check(watch.rejection.unknown)
    console.start(watch.name, {"data": root, "out": watch.out, "model": model.uri, "every": watch.every}, "predict")
    task = Task(model.uri, model.digest, root, watch.rejection)
    with told_to_end(at_once=True) as ending, Pool(task, available_cores(), console.warning) as pool:
        if not watch.once:
            pool.warm()
        with _claimed(watch, root) as (folder, heart):
            ledger = Ledger(folder)
            ledger.restore()
            if len(ledger):
                console.step("read_batches", "all", {"pictures": len(ledger)})
            ending.at_once = False
            _Watcher(watch, model, ledger, Arrivals(root), pool, heart, ending, console, meters).work()
            if ending.told:
                raise KeyboardInterrupt
    console.done(folder.uri(), None, time.perf_counter() - begun)


@contextmanager
def _claimed(watch: Watch, root: str) -> Iterator["tuple[storage.RunFolder, _Heart]"]:
    """The folder is this watch's own."""
    folder = storage.RunFolder(watch.out, watch.name, goes_on=True, silence=_SILENCE)
    folder.claim()
    heart = _Heart(folder)
    try:
        begun, work = folder.begun(), {"watch": root}
        if begun not in (None, work):
            raise UserError(
                f"The run '{watch.name}' in '{folder.out}' was begun with other pictures: choose another --run-name.", 2
            )
        if begun is None:
            folder.begin(work)
        heart.start()
        yield folder, heart
    finally:
        heart.stop()
        with contextlib.suppress(UserError):  # a claim that is left is taken for what it is by the next watch
            folder.release()


class _Heart(threading.Thread):
    """Shows others from time to time that this watch is alive."""

    def __init__(self, folder: storage.RunFolder) -> None:
        super().__init__(name="watch-claim", daemon=True)
        self._folder = folder
        self._stopped = threading.Event()
        self._lost: TakenError | None = None

    def run(self) -> None:
        while not self._stopped.wait(_BEAT):
            try:
                self._folder.renew()
            except TakenError as error:
                self._lost = error
                return
            except UserError:  # the store does not work, as the watch itself will find out
                continue

    def check(self) -> None:
        """Raises TakenError when another watch has taken over."""
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """Shows nothing any more."""
        self._stopped.set()
        if self.is_alive():
            self.join(_BEAT)


@dataclass(frozen=True)
class _Watcher:
    watch: Watch
    model: Model
    ledger: Ledger
    arrivals: Arrivals
    pool: Pool
    heart: _Heart
    ending: Ending
    console: Console
    meters: Meters | None

    def work(self) -> None:
        """Rounds of listing and predicting. Faults of the store are waited for, except with `once`."""
        # what has to settle has done so then; with `once` there is one more listing
        soon = SETTLING if self.watch.once else min(SETTLING, self.watch.every)
        pause, rounds = _FIRST_PAUSE, 0
        while not self.ending.told:
            self.heart.check()
            begun = time.monotonic()
            try:
                waiting, listed = self._round()
            except (TakenError, ReplacedError):
                raise
            except UserError as error:
                if self.watch.once:
                    raise
                self._fault(error, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause, rounds = _FIRST_PAUSE, rounds + 1
            if self.watch.once and (not waiting or rounds > 1):
                if waiting:
                    self.console.warning(
                        f"{waiting} pictures are still being written: they are left for the next time."
                    )
                return
            self.ending.wait((listed + soon if waiting else begun + self.watch.every) - time.monotonic())

    def _fault(self, error: UserError, pause: float) -> None:
        self.console.warning(f"{error.message} The watch goes on in {pause:g} s.")
        if self.meters:
            self.meters.fault()
        self.ending.wait(pause)

    def _round(self) -> tuple[int, float]:
        """Predicts what is new, and returns the number of pictures that were left for the next round, and when the
        listing was made: of `time.monotonic`."""
        self.ledger.settle()
        ready, waiting = self.arrivals.look(self.ledger)
        listed = time.monotonic()
        count: int = ready.num_rows
        for start in range(0, count, _MOST):
            if self.ending.told:
                break
            self.heart.check()
            if not self._batch(ready.slice(start, _MOST).combine_chunks()):
                return waiting + count - start, listed
        return waiting, listed

    def _batch(self, pictures: pa.Table) -> bool:
        """Predicts these pictures and writes them; False when another batch has come first."""
        begun = time.perf_counter()
        found = self.pool.predict(pictures["ima"].to_pylist())
        now = datetime.now(UTC)
        seconds = _ages(pictures, now)
        facts = {
            "model": {"uri": self.model.uri, "digest": self.model.digest},
            **self.watch.rejection.asked(),
            "data": self.arrivals.root,
            "predicted_at": now.isoformat(timespec="milliseconds"),
            "arrival_to_prediction_seconds": {"median": _percentile(seconds, 50), "p95": _percentile(seconds, 95)},
            "version": __version__,
        }
        columns = [*found.columns, *(pictures[name] for name in VERSION.names[1:])]
        manifest = self.ledger.add(pa.table(columns, schema=SCHEMA), facts)
        if manifest is None:
            self.ledger.catch_up()
            return False
        self._tell(manifest, seconds, time.perf_counter() - begun)
        return True

    def _tell(self, manifest: dict[str, Any], seconds: NDArray[np.float64], taken: float) -> None:
        statuses: dict[str, int] = manifest["statuses"]
        rejected = sum(count for status, count in statuses.items() if status not in (OK, UNKNOWN))
        times: dict[str, float | None] = manifest["arrival_to_prediction_seconds"]
        facts = {
            "batch": manifest["batch"],
            "pictures": manifest["pictures"],
            "rejected": rejected,
            **{f"arrival_to_prediction_{name}": value for name, value in times.items()},
        }
        if self.meters:  # first: who has read the line finds it in the metrics
            self.meters.batch(statuses, seconds)
        self.console.step("predict", "new", facts, seconds=taken)


def _ages(pictures: pa.Table, now: datetime) -> NDArray[np.float64]:
    """Seconds since each picture was written: float64 of shape (n,), without those whose time is not known."""
    written: NDArray[np.float64] = pc.cast(pictures["modified"], pa.int64()).to_numpy() / 1e6
    return np.maximum(now.timestamp() - written[written > 0], 0.0)


def _percentile(values: NDArray[np.float64], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 3) if len(values) else None
