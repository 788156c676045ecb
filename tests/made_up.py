"""Benchmarks that were never run: manifests whose seconds follow a law that is known."""

from collections.abc import Callable, Sequence
from typing import Any

from job.benchmark import record
from job.benchmark.events import Task
from job.benchmark.record import Benchmark
from job.benchmark.schedule import Point

# a + b n + c n / p, n in thousands of the split's pictures: start, driver's and executors' part of each operation
LAW = {
    ("start_spark", "all"): (6.0, 0.0, 0.0),
    ("extract_descriptors", "train"): (0.4, 0.0, 4.0),
    ("fit_vocabulary", "train"): (0.2, 0.5, 0.1),
    ("assign_words", "train"): (0.1, 0.02, 0.2),
    ("extract_descriptors", "test"): (0.4, 0.0, 4.0),
    ("export", "all"): (1.0, 0.1, 0.0),
}
ANALYSED = ("extract_descriptors", "fit_vocabulary", "assign_words")

Manifest = dict[str, Any]


def seconds_of(pictures: int, cores: int) -> dict[tuple[str, str], float]:
    count = {"train": pictures - pictures // 4, "test": pictures // 4, "all": pictures}
    return {key: a + (b + c / cores) * count[key[1]] / 1000 for key, (a, b, c) in LAW.items()}


def manifest_of(point: Point, pictures: int = 1000, noise: float = 1.0, name: str = "") -> Manifest:
    """What a run at this point leaves."""
    size = point.pictures or pictures
    taken = seconds_of(size, point.executors * point.cores)
    seconds: dict[str, Any] = {}
    for (operation, split), value in taken.items():
        if operation in ("start_spark", "fit_vocabulary", "export"):
            seconds[operation] = value * noise
        else:
            seconds.setdefault(operation, {})[split] = value * noise
    seconds["total"] = (sum(taken.values()) + 0.5) * noise
    images = {"train": size - size // 4, "test": size // 4}
    return {
        "run_name": name or point.name,
        "seconds": seconds,
        "accuracy": 0.9,
        "partitions": {"extract_descriptors": 8},
        "dataset": {
            split: {"images": count, "descriptors": 40 * count, "bytes": 5000 * count}
            for split, count in images.items()
        },
        "vocabulary": {"descriptors": min(40 * images["train"], 500_000)},
        "files": [{"path": "bag_of_words_train.csv", "bytes": 3, "sha256": "aa"}],
        "analysis": [{"operation": operation, "split": "train"} for operation in ANALYSED],
    }


def tasks_of(point: Point, seconds: float = 4.0) -> list[Task]:
    """One task a core, which begins with a second of start-up."""
    return [
        Task("extract_descriptors", "train", 0, str(number // point.cores), 1.0, 1.0 + seconds, seconds - 1.0)
        for number in range(point.executors * point.cores)
    ]


def benchmark_of(points: Sequence[Point], noise: Callable[[Point], float] = lambda _: 1.0, **more: Any) -> Benchmark:
    cores = points[0].cores
    settings = {"words": 50, "descriptor": "sift", "vocabulary_sample": "all"}
    made = Benchmark(
        "local",
        ["--data", "pictures"],
        sorted({point.executors for point in points}),
        cores,
        sorted({point.pictures for point in points} - {0}),
        max(point.repeat for point in points),
        123,
        settings,
        float(cores),
        1.0,
        "1024m",
        {"cores": 4, "cpu": "a <CPU>", "memory_gb": 16.0},
    )
    for name, value in more.items():
        setattr(made, name, value)
    made.runs = [record.of_manifest(point, manifest_of(point, noise=noise(point)), tasks_of(point)) for point in points]
    return made


def grid(executors: Sequence[int], sizes: Sequence[int] = (0,), repeats: int = 3, cores: int = 1) -> list[Point]:
    return [
        Point(count, cores, size, repeat) for repeat in range(1, repeats + 1) for count in executors for size in sizes
    ]
