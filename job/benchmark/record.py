"""What a benchmark has measured: `benchmark.json`, and `benchmark.csv` for other programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from job import storage
from job.benchmark.events import Task
from job.benchmark.schedule import Point
from job.errors import UsageError

SCHEMA_VERSION = 1
JSON, CSV = "benchmark.json", "benchmark.csv"
Key = tuple[str, str]
"""An operation and its split."""


@dataclass(frozen=True)
class MeasuredRun:
    """One whole run: where it stands in the benchmark, its folder, and of its manifest what is compared.

    images, descriptors, bytes, descriptor_bytes: by split; seconds: by operation and split; files: SHA-256 by path;
    width: values of a feature vector; waited: core-seconds for the store; tasks: of all operations, none where the
    event log could not be read.
    """

    point: Point
    name: str
    images: Mapping[str, int]
    descriptors: Mapping[str, int]
    bytes: Mapping[str, int]
    seconds: Mapping[Key, float]
    files: Mapping[str, str]
    trained_on: int = 0
    partitions: int = 0
    accuracy: float | None = None
    waited: Mapping[Key, float] = field(default_factory=dict)
    tasks: Sequence[Task] = ()
    descriptor_bytes: Mapping[str, int] = field(default_factory=dict)
    width: int = 0

    @property
    def pictures(self) -> int:
        """Pictures of all splits."""
        return sum(self.images.values())

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return self.seconds["total", "all"]


@dataclass(frozen=True)
class Failure:
    """A run that failed, and the sentence that said why."""

    point: Point
    sentence: str


@dataclass
class Benchmark:
    """A benchmark: how it is made, and what it has found so far.

    cpus, driver_cpus: cores that each executor and the driver ask for, a fraction of its task slots where it is given
    less; executor_memory: MB of an executor in all; machine: what it ran on.
    """

    backend: str
    arguments: list[str]
    executors: list[int]
    cores: int
    sizes: list[int]
    repeats: int
    seed: int
    settings: dict[str, Any]
    cpus: float
    driver_cpus: float
    memory: str
    machine: dict[str, Any] = field(default_factory=dict)
    runs: list[MeasuredRun] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def measured(self) -> list[MeasuredRun]:
        """All runs but the warm-up."""
        return [run for run in self.runs if run.point.repeat]

    def made_as(self) -> dict[str, Any]:
        """What must be the same for a benchmark to be gone on with."""
        return {
            name: getattr(self, name)
            for name in ("backend", "arguments", "executors", "cores", "sizes", "repeats", "seed", "cpus", "memory")
        }


def of_manifest(point: Point, manifest: Mapping[str, Any], tasks: Sequence[Task]) -> MeasuredRun:
    """A run from the manifest that it left."""
    splits = manifest["dataset"]
    seconds: dict[Key, float] = {}
    for operation, taken in manifest["seconds"].items():
        split = {"fit_vocabulary": "train", "fit_classifier": "train", "evaluate": "test"}.get(operation, "all")
        seconds |= (
            {(operation, name): value for name, value in taken.items()}
            if isinstance(taken, dict)
            else {(operation, split): taken}
        )
    return MeasuredRun(
        point,
        manifest["run_name"],
        {name: part["images"] for name, part in splits.items()},
        {name: part["descriptors"] for name, part in splits.items()},
        {name: part.get("bytes", 0) for name, part in splits.items()},
        seconds,
        {file["path"]: file["sha256"] for file in manifest["files"]},
        manifest["vocabulary"].get("descriptors", 0),
        manifest.get("partitions", {}).get("extract_descriptors", 0),
        manifest.get("accuracy"),
        {(row["operation"], row["split"]): row["waited_s"] for row in manifest["analysis"] if "waited_s" in row},
        tasks,
        {name: part.get("descriptor_bytes", 0) for name, part in splits.items()},
        manifest.get("dimensions", {}).get("features", [0, 1])[1] - 1,
    )


def write(benchmark: Benchmark, folder: Path) -> None:
    """Both files, each whole or as it was before."""
    content = {"schema_version": SCHEMA_VERSION, **asdict(benchmark)}
    for run in content["runs"]:
        for name in ("seconds", "waited"):
            run[name] = [[*key, value] for key, value in run[name].items()]
    storage.write_bytes(str(folder / JSON), json.dumps(content, separators=(",", ":")).encode())
    storage.write_bytes(str(folder / CSV), to_csv(benchmark.measured()).encode())


def to_csv(runs: Sequence[MeasuredRun]) -> str:
    """`operation,split,executors,cores,repeat,seconds`, and at the end `pictures`, by which several sizes differ."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["operation", "split", "executors", "cores", "repeat", "seconds", "pictures"])
    for run in sorted(runs, key=lambda run: run.point):
        for (operation, split), seconds in run.seconds.items():
            rows.writerow(
                [operation, split, run.point.executors, run.point.cores, run.point.repeat, seconds, run.pictures]
            )
    return text.getvalue()


def read(path: Path) -> Benchmark:
    """The benchmark in a file, or in the folder that has one. Raises UsageError when it is none."""
    file = path / JSON if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"The benchmark '{file}' can't be read ({error.strerror}): `fruits benchmark --results DIR` makes one."
        ) from None
    except ValueError:
        raise UsageError(f"'{file}' is no benchmark.json: it is no JSON.") from None
    if not isinstance(content, dict) or content.pop("schema_version", None) != SCHEMA_VERSION:
        raise UsageError(f"'{file}' is no benchmark.json of this version: make one with `fruits benchmark`.")
    try:
        content["runs"] = [_run(run) for run in content["runs"]]
        content["failures"] = [Failure(Point(**item["point"]), item["sentence"]) for item in content["failures"]]
        return Benchmark(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"'{file}' is no whole benchmark.json ({error}): make one with `fruits benchmark`.") from None


def _run(content: dict[str, Any]) -> MeasuredRun:
    pairs = {
        name: {(operation, split): value for operation, split, value in content[name]} for name in ("seconds", "waited")
    }
    tasks = [Task(*task) for task in content["tasks"]]
    return MeasuredRun(**{**content, **pairs, "point": Point(**content["point"]), "tasks": tasks})
