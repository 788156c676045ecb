"""Follows a job from its submission to its end: its state, its pods, its events, its driver's log."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from job.cluster import diagnosis
from job.cluster.cluster import Cluster, UnreachableError
from job.cluster.diagnosis import DRIVER, EXECUTOR, Document, Patience, Snapshot
from job.cluster.display import Display
from job.errors import UserError

_POLL = 1.0
_EVENTS_EVERY = 5.0
# For so long the API server may be away, as when a control plane is upgraded.
_AWAY = 120.0
_LOG_TAIL = 400
# Lines by which a log that is read again is known to have been heard.
_LOG_KNOWN = 1000
_LOG_END = 10.0


@dataclass(frozen=True)
class Ending:
    """How a job ended: its exit code, and one sentence why if it failed."""

    code: int
    sentence: str


class StuckError(UserError):
    """The job does not get on, and would not end by itself."""


@dataclass
class Follower:
    """One job that is followed. `run` gives its ending, or raises StuckError within `total` seconds."""

    cluster: Cluster
    name: str
    namespace: str
    display: Display
    total: float
    patience: Patience

    def __post_init__(self) -> None:
        self._since: dict[str, float] = {}
        self._told: set[tuple[str, ...]] = set()
        self._killed: set[str] = set()
        self._log: _Log | None = None
        self._tail: deque[str] = deque(maxlen=_LOG_TAIL)
        self._events: list[Document] = []
        self._events_at = float("-inf")
        self._answered = time.monotonic()

    def run(self) -> Ending:
        """Follow the application until it has ended. Raises StuckError when it does not get ahead, or time is up."""
        begun = time.monotonic()
        try:
            while True:
                now = self._look()
                if now is not None:
                    self._show(now)
                    if now.state in (diagnosis.COMPLETED, diagnosis.FAILED):
                        return self._ended(now)
                    self._check(now)
                if time.monotonic() - begun > self.total:
                    state = now.state if now else "unknown"
                    raise StuckError(
                        f"The job did not end within {self.total:g} s, it is {state or 'new'}: give it "
                        "longer (--wait-timeout)."
                    )
                time.sleep(_POLL)
        finally:
            if self._log:
                self._log.stop()

    def _look(self) -> Snapshot | None:
        """The job now; None while the API server is away, which is borne for a while."""
        try:
            application = self.cluster.application(self.name, self.namespace)
            if application is None:
                raise UserError(f"SparkApplication '{self.name}' was deleted by somebody else while it was followed.")
            pods = self.cluster.pods(self.name, self.namespace)
            if time.monotonic() - self._events_at > _EVENTS_EVERY:
                self._events = self.cluster.events(self.namespace)
                self._events_at = time.monotonic()
        except UnreachableError:
            if time.monotonic() - self._answered > _AWAY:
                raise
            return None
        self._answered = time.monotonic()
        return Snapshot(application, pods, self._events, tuple(self._tail))

    def _show(self, now: Snapshot) -> None:
        self._killed |= diagnosis.executors_killed(now.executors)
        for thing in (now.application, *now.pods):
            for event in now.events_of(thing):
                warning = event.get("type") == "Warning" and event.get("reason") not in diagnosis.NOT_STARTED
                key = (thing["metadata"]["name"], event.get("reason", ""), event.get("message", ""))
                if key in self._told or not (warning or self.display.verbose):
                    continue
                self._told.add(key)
                told = self.display.warn if warning else self.display.say
                told(f"{key[0]}: {key[1]}: {' '.join(key[2].split())[:300]}")
        self.display.state(_summary(now))
        driver = now.driver
        if driver and diagnosis.container_state(driver, DRIVER)[0] in ("running", "terminated"):
            uid = driver["metadata"]["uid"]
            if self._log is None or self._log.uid != uid:
                if self._log is not None:  # an attempt that is over is told to its end before the next one
                    self._log.join(_LOG_END)
                self._log = _Log(self, driver)
                self._log.start()

    def _check(self, now: Snapshot) -> None:
        """Raises StuckError for a trouble that has lasted longer than it may."""
        found = diagnosis.troubles(now, self.patience)
        moment = time.monotonic()
        self._since = {trouble.kind: self._since.get(trouble.kind, moment) for trouble in found}
        for trouble in found:
            if moment - self._since[trouble.kind] >= trouble.patience:
                raise StuckError(trouble.sentence)

    def _ended(self, now: Snapshot) -> Ending:
        if self._log:
            self._log.join(_LOG_END)
        last = Snapshot(now.application, now.pods, now.events, tuple(self._tail))
        return Ending(*diagnosis.ending(last, len(self._killed)))

    def hear(self, line: str) -> None:
        """A line of the driver's log."""
        self._tail.append(line)
        self.display.log(line)


class _Log(threading.Thread):
    """Reads the driver's log as it grows; after a broken connection from where it was."""

    def __init__(self, follower: Follower, driver: Document) -> None:
        super().__init__(name="driver-log", daemon=True)
        self.uid = driver["metadata"]["uid"]
        self._follower, self._pod = follower, driver["metadata"]["name"]
        self._stopped = threading.Event()
        self._known: deque[str] = deque(maxlen=_LOG_KNOWN)
        self._forgotten = ""

    def run(self) -> None:
        since: int | None = None
        failures = 0
        while not self._stopped.is_set():
            asked = time.monotonic()
            try:
                self._read(since)
            except UnreachableError:
                since = int(time.monotonic() - asked) + 120
            except UserError as error:
                failures += 1
                if failures > 3:
                    self._follower.display.warn(f"The log can't be followed: {error.message}")
                    return
            else:
                return
            self._stopped.wait(1.0)

    def _read(self, since: int | None) -> None:
        heard = set(self._known)
        for line in self._follower.cluster.log(self._pod, self._follower.namespace, DRIVER, since):
            if self._stopped.is_set():
                return
            moment, _, text = line.partition(" ")
            # Each line has its time, to the nanosecond, but those of the two streams are not always in its order. The
            # times are of equal length, in UTC: they compare as texts.
            if line in heard or moment <= self._forgotten:
                continue
            if len(self._known) == _LOG_KNOWN:
                self._forgotten = max(self._forgotten, self._known[0].partition(" ")[0])
            self._known.append(line)
            self._follower.hear(text)

    def stop(self) -> None:
        self._stopped.set()


def _summary(now: Snapshot) -> str:
    """`RUNNING · driver running · executors 2 of 2`."""
    driver = now.driver
    parts = [now.state or "waiting for the operator"]
    if driver:
        kind, detail = diagnosis.container_state(driver, DRIVER)
        phase = driver["status"].get("phase", "").lower()
        parts.append(f"driver {detail.get('reason') or 'waiting' if kind == 'waiting' else kind or phase}")
    wanted = now.spec.get("executor", {}).get("instances", 1)
    running = sum(diagnosis.container_state(pod, EXECUTOR)[0] == "running" for pod in now.executors)
    if now.executors:
        parts.append(f"executors {running} of {wanted}")
    return " · ".join(parts)
