"""Faults at random moments of many runs: how many runs end with other results, never, or half-written, and how much
longer they take.

Runs are made one after another by one driver with two executors that are processes of this machine, from and to a real
MinIO; a driver that is killed is followed by a new one. Two to four faults are drawn for each: what it is, after which
step, how much later. What a run leaves is held against one to which nothing happens: results within 1e-6, every file as
the manifest tells it. A run may also end with one sentence; then nothing may be left that says it is whole.

    python tests/benchmarks/random_faults.py --faults 60 --seed 1
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import add_results_option, record, spread

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from driving import House, HouseRun
from outcome import assert_same, fetch, flaws
from provoke import KINDS, beside
from s3_proxy import FirstTime, Proxy
from s3_servers import Server, program

from job.vision.sample import write_sample

STEPS = (
    ("start_spark", ""),
    ("start_spark", ""),
    ("extract_descriptors", "train"),
    ("fit_vocabulary", ""),
    ("assign_words", "train"),
    ("fit_classifier", ""),
)
"""Steps after which something happens; the first is followed by the longest."""
DRIVER_KILL = "pod-kill of the driver"
DECOMMISSION = ("spark.decommission.enabled=true", "spark.storage.decommission.enabled=true")


@dataclass
class Place:
    """The store that the runs of this program use, and the driver that makes them."""

    server: Server
    proxy: Proxy
    bucket: str
    folder: Path
    settings: Sequence[str]
    house: House | None = None

    def begin(self, name: str) -> HouseRun:
        """A run, by a new driver where there is none."""
        if self.house is None:
            self.house = House(self.folder / "workers", self.server.environment(self.proxy.endpoint), *DECOMMISSION)
        place = f"s3://{self.bucket}"
        arguments = ("--data", f"{place}/sample", "--out", f"{place}/out", "--run-name", name)
        return self.house.begin("run", *arguments, *self.settings)

    def end_driver(self) -> None:
        """The driver is killed, and its executors end as they notice."""
        if self.house is not None:
            with self.house:
                self.house.kill()
            self.house = None

    def results(self, name: str) -> Path:
        return fetch(self.server, self.bucket, f"out/{name}", self.folder / "found" / name)


def for_a_time(begin: Callable[[Place], None]) -> Callable[[Place, float], None]:
    """A fault of the store that lasts."""

    def work(place: Place, seconds: float) -> None:
        begin(place)
        time.sleep(seconds)
        place.proxy.be()

    return work


def restart(place: Place, seconds: float) -> None:
    place.server.stop()
    time.sleep(seconds)
    place.server.start()


OF_THE_STORE: dict[str, Callable[[Place, float], None]] = {
    "pod-delete of the store": restart,
    "http-abort: answers lost": for_a_time(lambda place: place.proxy.be(FirstTime("lost"))),
    "http-abort: connections cut": for_a_time(
        lambda place: place.proxy.be(lambda number, _method, _path: {0: "reset", 4: "cut"}.get(number % 8))
    ),
    "http-replace: 503": for_a_time(
        lambda place: place.proxy.be(lambda number, _method, _path: "503" if number % 3 == 0 else None)
    ),
    "http-delay": for_a_time(lambda place: place.proxy.be(latency=0.4)),
}


@dataclass(frozen=True)
class Drawn:
    """A fault that is to happen so many seconds after a step, and how long it lasts where it lasts."""

    kind: str
    step: int
    after: float
    seconds: float


@dataclass
class Outcome:
    """What became of a run."""

    faults: list[Drawn]
    seconds: float = 0.0
    wrong: bool = False
    hung: bool = False
    half_written: bool = False
    sentence: str = ""
    happened: list[str] = field(default_factory=list)


def draw(source: random.Random, kinds: Sequence[str]) -> list[Drawn]:
    """The faults of a run, in the order in which they happen."""
    count = source.choice((2, 3, 3, 4))
    found = [
        Drawn(source.choice(kinds), source.randrange(len(STEPS)), source.uniform(0, 1.5), source.uniform(1, 8))
        for _ in range(count)
    ]
    # a driver that is started again begins from the start: nothing comes after its end
    return sorted(found, key=lambda fault: (fault.kind == DRIVER_KILL, fault.step, fault.after))


def one(place: Place, name: str, faults: list[Drawn], deadline: float) -> Outcome:
    """A run and its faults."""
    found, begun, lasting = Outcome(faults), time.monotonic(), []
    run = place.begin(name)
    answer = None
    try:
        for fault in faults:
            if not reached(run, fault, begun + deadline - time.monotonic()):
                break
            if fault.kind == DRIVER_KILL:
                place.end_driver()
                run = place.begin(name)
            elif fault.kind in OF_THE_STORE:
                lasting.append(beside(OF_THE_STORE[fault.kind], place, fault.seconds))
            elif fault.kind in ("process-stop", "stress-cpu"):
                lasting.append(beside(KINDS[fault.kind], run.house, fault.seconds))
            else:
                with suppress(AssertionError):  # no executor is there to be killed within half a minute
                    KINDS[fault.kind](run.house, fault.seconds)
            found.happened.append(fault.kind)
        answer = run.ended(begun + deadline - time.monotonic() + run.begun - begun)
    except AssertionError as error:
        print(f"hung: {error}")
        found.hung = True
    found.seconds = time.monotonic() - begun
    for thread in lasting:
        thread.join()
    place.proxy.be()
    if answer is None or answer.code:
        place.end_driver()
    if answer is not None:
        judge(found, place, name, answer)
    return found


def reached(run: HouseRun, fault: Drawn, limit: float) -> bool:
    """Waits for the moment of a fault; False where the run has ended before."""
    try:
        run.reached(*STEPS[fault.step], limit=limit)
    except AssertionError:
        return False
    time.sleep(fault.after)
    return not run.is_over()


def judge(found: Outcome, place: Place, name: str, answer: Any) -> None:
    """What the run left, by what the store holds."""
    folder = place.results(name)
    whole = (folder / "manifest.json").is_file()
    if answer.code:
        found.sentence = answer.sentence()
        found.half_written = whole and bool(flaws(folder))
        return
    found.half_written = not whole or bool(flaws(folder))
    try:
        assert_same(folder, place.folder / "found" / "calm-0")
    except AssertionError as error:
        print(f"wrong: {error}")
        found.wrong = not found.half_written


def table(outcomes: Sequence[Outcome], calm: float) -> list[dict[str, Any]]:
    """A row a kind: its faults, what came of the runs it happened in, how much longer than a calm one these were."""
    rows = []
    for kind in sorted({kind for outcome in outcomes for kind in outcome.happened}):
        own = [outcome for outcome in outcomes if kind in outcome.happened]
        longer = [outcome.seconds - calm for outcome in own if not outcome.sentence and not outcome.hung]
        rows.append(
            {
                "kind": kind,
                "faults": sum(outcome.happened.count(kind) for outcome in own),
                "runs": len(own),
                "wrong": sum(outcome.wrong for outcome in own),
                "hung": sum(outcome.hung for outcome in own),
                "half_written": sum(outcome.half_written for outcome in own),
                "sentence": sum(bool(outcome.sentence) for outcome in own),
                "longer_median_s": round(statistics.median(longer), 1) if longer else None,
                "longer_max_s": round(max(longer), 1) if longer else None,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=60, help="at least so many (60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=180.0, help="seconds after which a run counts as hung (180)")
    parser.add_argument("--pictures", type=int, default=150, help="training pictures, generated (150)")
    parser.add_argument("--kinds", help="kinds to draw from, separated by commas; all")
    add_results_option(parser)
    parser.add_argument("arguments", nargs="*", help="settings of fruits run")
    asked = parser.parse_args()
    settings = asked.arguments or ["--preset", "sift", "--words", "40", "--min-partitions", "24"]
    kinds = asked.kinds.split(",") if asked.kinds else [*KINDS, *OF_THE_STORE, DRIVER_KILL]
    binary = program("minio")
    if not binary:
        raise SystemExit("There is no MinIO: name it in FRUITS_MINIO.")
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        server = Server("minio", binary, Path(folder, "minio"))
        server.start()
        try:
            with Proxy(server.port) as proxy:
                place = Place(server, proxy, server.bucket(), Path(folder), settings)
                write_sample(Path(folder, "sample"), 3, asked.pictures, asked.pictures // 2)
                client = server.client()
                for file in sorted(Path(folder, "sample").rglob("*.jpg")):
                    key = file.relative_to(folder).as_posix()
                    client.put_object(Bucket=place.bucket, Key=key, Body=file.read_bytes())
                try:
                    work(place, asked, kinds)
                finally:
                    place.end_driver()
        finally:
            server.stop()


def work(place: Place, asked: argparse.Namespace, kinds: Sequence[str]) -> None:
    calm = [one(place, f"calm-{number}", [], asked.deadline) for number in range(3)]
    if any(run.wrong or run.hung or run.sentence for run in calm):
        raise SystemExit(f"A run to which nothing happens does not end well: {calm}")
    usual = statistics.median(run.seconds for run in calm)
    print(f"calm: {usual:.1f} s", flush=True)
    source, outcomes = random.Random(asked.seed), []
    while sum(len(outcome.happened) for outcome in outcomes) < asked.faults:
        outcome = one(place, f"run-{len(outcomes)}", draw(source, kinds), asked.deadline)
        outcomes.append(outcome)
        state = [name for name in ("wrong", "hung", "half_written") if getattr(outcome, name)] or ["same"]
        print(f"{outcome.seconds:6.1f} s {outcome.sentence or ' '.join(state)}: {outcome.happened}", flush=True)
    rows = table(outcomes, usual)
    for row in rows:
        print("| " + " | ".join("" if value is None else str(value) for value in row.values()) + " |")
    totals = {
        "runs": len(outcomes),
        "faults": sum(len(outcome.happened) for outcome in outcomes),
        **{name: sum(getattr(outcome, name) for outcome in outcomes) for name in ("wrong", "hung", "half_written")},
        "sentences": [outcome.sentence for outcome in outcomes if outcome.sentence],
    }
    print(totals)
    figures = {"seed": asked.seed, "settings": " ".join(place.settings), "calm_s": spread([r.seconds for r in calm])}
    record("random_faults", {**figures, **totals, "kinds": rows}, asked.results)


if __name__ == "__main__":
    main()
