"""Reading and describing real pictures from a real MinIO on loopback.

Three parts, each with its session warm, its programs by turns, and with the same pictures for all:

`reading`     pictures read per second by `fruits` on all cores, beside Spark's `binaryFile` over S3A, a bare loop of
              obstore and a bare `cat` of s3fs over the same keys in as many processes, and packed pictures
`extraction`  CPU seconds of the Python workers a picture, from MinIO and packed in MinIO, beside the local disk
`latency`     seconds of an extraction through a proxy that waits 100 ms before every answer, beside one that doesn't

    python tests/benchmarks/s3.py --data fruits-360 --part reading --images 20000
    python tests/benchmarks/s3.py --data fruits-360 --part reading --images 20000 --programs fruits,binaryFile,s3fs
    python tests/benchmarks/s3.py --data fruits-360 --part extraction --images 5000
    python tests/benchmarks/s3.py --data fruits-360 --part latency --images 5000

The server shares the cores with its clients and takes more CPU a picture than any of them: pictures a second compare
programs on the same machine, and say nothing of a store on machines of its own; CPU of the workers does.
"""

import argparse
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.pool import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pyarrow as pa
import pyarrow.compute as pc
from measure import add_results_option, record, spread
from pictures import choose, stage

from job import dataset, storage
from job.engine.configuration import Configuration
from job.engine.session import session as spark_session
from job.settings import Settings
from job.storage.pack import pack
from job.storage.upload import create_bucket, upload

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "s3"))
from s3_proxy import Proxy
from s3_servers import Server, program

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BUCKET = "pictures"
IN_FLIGHT = 64
LATENCY = 0.1
MOST_BYTES = 32 << 20


class Places(NamedTuple):
    """The same pictures three times."""

    local: str
    s3: str
    packed: str


class Measured(NamedTuple):
    """One turn of one program; `cpu` of its clients in seconds, NaN where they share a process with others."""

    seconds: float
    cpu: float
    pictures: int
    bytes: int


# ---- the store


@contextmanager
def filled(options: argparse.Namespace) -> Iterator[tuple[Server, Places]]:
    """A running MinIO with the pictures in it; with --store its folder outlasts this program."""
    binary = program("minio")
    if binary is None:
        raise SystemExit("There is no minio: put it on the path, or name it in FRUITS_MINIO.")
    with tempfile.TemporaryDirectory(prefix="fruits-s3-") as folder:
        store = options.store or Path(folder)
        server = Server("minio", binary, store / "server")
        server.start()
        try:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(server.environment())
            yield server, fill(options, store)
        finally:
            server.stop()


def fill(options: argparse.Namespace, store: Path) -> Places:
    local = store / f"local-{options.images}"
    if not local.is_dir():
        aside = store / f"aside-{options.images}"
        stage(options.data, choose(options.data, "train", (), options.images), aside)
        aside.rename(local)
    places = Places(str(local), f"s3://{BUCKET}/{options.images}", f"s3://{BUCKET}/{options.images}-packed")
    create_bucket(places.s3)
    upload(places.local, places.s3)
    if not storage.is_packed(storage.data_root(places.packed)):
        pack(places.local, places.packed)
    return places._replace(packed=storage.data_root(places.packed))


def images_at(root: str) -> dataset.Images:
    listed = storage.list_images(root)
    category = pc.struct_field(pc.extract_regex(listed["name"], r"(?:^|/)(?P<cat>[^/]+)/[^/]+$"), "cat")
    return dataset.Images("train", root, pa.table({"ima": listed["name"], "cat": category, "size": listed["size"]}))


# ---- Spark


@contextmanager
def session(places: Places, workers: int) -> "Iterator[SparkSession]":
    with spark_session(Configuration.of(Settings(data=places.s3, master=f"local[{workers}]"))) as spark:
        yield spark


def workers_cpu() -> float:
    """CPU seconds so far of the process that forks Spark's Python workers, and of all that it forked."""
    seconds = 0.0
    daemons: dict[int, psutil.Process] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "job.engine.worker_daemon" in process.cmdline():
                daemons[process.pid] = process
    for process in daemons.values():
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
            if process.ppid() not in daemons:  # the daemon itself: those of its workers that have ended
                seconds += times.children_user + times.children_system
    return seconds


def timed(work: "Callable[[], tuple[int, int]]") -> Measured:
    """Work of Spark's Python workers that gives (pictures, bytes)."""
    cpu, begin = workers_cpu(), time.perf_counter()
    pictures, size = work()
    return Measured(time.perf_counter() - begin, workers_cpu() - cpu, pictures, size)


def frame(spark: "SparkSession", images: dataset.Images, workers: int) -> "DataFrame":
    return dataset.frame(spark, images, dataset.planned_partitions(images, workers), 123, workers)


def read_by_fruits(spark: "SparkSession", images: dataset.Images, workers: int) -> Measured:
    """What extraction does before it describes, and nothing else."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            root, names = batch["root"][0].as_py(), batch["ima"].to_pylist()
            sizes = [
                len(content)
                for content in storage.read_many(root, names, max_bytes=MOST_BYTES)
                if not isinstance(content, storage.Fault)
            ]
            yield pa.RecordBatch.from_pydict({"pictures": [len(sizes)], "bytes": [sum(sizes)]})

    def work() -> tuple[int, int]:
        rows = frame(spark, images, workers).mapInArrow(read, "pictures long, bytes long").collect()
        return sum(row["pictures"] for row in rows), sum(row["bytes"] for row in rows)

    return timed(work)


def describe(spark: "SparkSession", images: dataset.Images, workers: int) -> Measured:
    """Extraction with its default settings, SIFT; `bytes` are those of the descriptors."""
    from job.stages.extractor import DescriptorExtractor

    def work() -> tuple[int, int]:
        described = DescriptorExtractor(descriptor="sift").transform(frame(spark, images, workers))
        found = described.selectExpr("count(*)", "sum(length(descriptors))").collect()[0]
        return int(found[0]), int(found[1])

    return timed(work)


def read_binary_files(spark: "SparkSession", place: str) -> Measured:
    begin = time.perf_counter()
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(place)
    found = files.selectExpr("count(*)", "sum(length(content))").collect()[0]
    return Measured(time.perf_counter() - begin, float("nan"), int(found[0]), int(found[1]))


# ---- the bare clients, each in processes of its own


def read_with_obstore(keys: Sequence[str]) -> tuple[float, int, int]:
    """(CPU seconds, objects, bytes) of one process' share."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore

    from job.storage.clients import object_store

    before, store = _own_cpu(), object_store(BUCKET)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        sizes = list(pool.map(lambda key: len(obstore.get(store, key).bytes()), keys))
    return _own_cpu() - before, len(sizes), sum(sizes)


def read_with_s3fs(keys: Sequence[str]) -> tuple[float, int, int]:
    from job.storage.clients import file_system

    before = _own_cpu()
    found = file_system().cat([f"{BUCKET}/{key}" for key in keys], batch_size=IN_FLIGHT)
    return _own_cpu() - before, len(found), sum(map(len, found.values()))


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_bare(pool: Pool, read: Callable[[Sequence[str]], tuple[float, int, int]], keys: Sequence[str],
              workers: int) -> Measured:  # fmt: skip
    shares = [keys[number::workers] for number in range(workers)]
    begin = time.perf_counter()
    rows = pool.map(read, shares, chunksize=1)
    seconds = time.perf_counter() - begin
    return Measured(seconds, *(sum(column) for column in zip(*rows, strict=True)))


# ---- the parts


def by_turns(programs: Mapping[str, Callable[[], Measured]], repeats: int) -> dict[str, list[Measured]]:
    """Each once to warm up, uncounted; then all of them by turns. All must have met the same pictures and bytes."""
    for run in programs.values():
        run()
    found: dict[str, list[Measured]] = {name: [] for name in programs}
    for repeat in range(repeats):
        for name, run in programs.items():
            turn = run()
            found[name].append(turn)
            print(f"{repeat + 1}/{repeats} {name:<14}{turn.seconds:>8.2f} s{turn.pictures / turn.seconds:>9.0f} / s,"
                  f"{1e3 * turn.cpu / turn.pictures:>8.3f} ms of CPU each", flush=True)  # fmt: skip
    counts = {name: {(turn.pictures, turn.bytes) for turn in turns} for name, turns in found.items()}
    if len(set.union(*counts.values())) > 1:
        raise SystemExit(f"Pictures and bytes differ: {counts}")
    return found


def reading(options: argparse.Namespace) -> dict[str, list[Measured]]:
    with filled(options) as (_, places), session(places, options.workers) as spark:
        plain, packed = images_at(places.s3), images_at(places.packed)
        keys = [f"{options.images}/{name}" for name in plain.table["ima"].to_pylist()]
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            programs: dict[str, Callable[[], Measured]] = {
                "fruits": lambda: read_by_fruits(spark, plain, options.workers),
                "obstore": lambda: read_bare(pool, read_with_obstore, keys, options.workers),
                "packed": lambda: read_by_fruits(spark, packed, options.workers),
                "s3fs": lambda: read_bare(pool, read_with_s3fs, keys, options.workers),
                "binaryFile": lambda: read_binary_files(spark, places.s3.replace("s3://", "s3a://")),
            }
            chosen = options.programs.split(",") if options.programs else list(programs)
            return by_turns({name: programs[name] for name in chosen}, options.repeats)


def extraction(options: argparse.Namespace) -> dict[str, list[Measured]]:
    with filled(options) as (_, places), session(places, options.workers) as spark:
        images = {name: images_at(place) for name, place in places._asdict().items()}
        chosen = options.programs.split(",") if options.programs else list(images)
        programs = {name: lambda where=images[name]: describe(spark, where, options.workers) for name in chosen}
        return by_turns(programs, options.repeats)


def latency(options: argparse.Namespace) -> dict[str, list[Measured]]:
    """One proxy of several processes at one port, before whose answers it is waited or not."""
    with filled(options) as (server, places), delaying(server.port, options.proxies) as (port, delay):
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        with session(places, options.workers) as spark:
            images = {"plain": images_at(places.s3), "packed": images_at(places.packed)}

            def turn(where: str, seconds: float) -> Measured:
                delay.value = seconds
                return describe(spark, images[where], options.workers)

            programs = {
                "at once": lambda: turn("plain", 0.0),
                "100 ms": lambda: turn("plain", LATENCY),
                "packed": lambda: turn("packed", 0.0),
                "packed, 100 ms": lambda: turn("packed", LATENCY),
            }
            return by_turns(programs, options.repeats)


@contextmanager
def delaying(upstream: int, processes: int) -> Iterator[tuple[int, Any]]:
    context = multiprocessing.get_context("spawn")
    delay, ports = context.Value("d", 0.0), context.Queue()
    started = []
    port = 0
    try:
        for _ in range(processes):
            started.append(context.Process(target=serve, args=(upstream, port, delay, ports), daemon=True))
            started[-1].start()
            port = ports.get(timeout=60)
        yield port, delay
    finally:
        for process in started:
            process.terminate()
            process.join()


def serve(upstream: int, port: int, delay: Any, ports: Any) -> None:
    with Proxy(upstream, port=port, latency=lambda: delay.value, share_port=True) as proxy:
        ports.put(proxy.port)
        time.sleep(3600)


PARTS = {"reading": reading, "extraction": extraction, "latency": latency}


def ratios(part: str, found: Mapping[str, Sequence[Measured]]) -> dict[str, dict[str, Any]]:
    """What the goals speak of, turn by turn."""
    rate = {name: [turn.pictures / turn.seconds for turn in turns] for name, turns in found.items()}
    cpu = {name: [turn.cpu / turn.pictures for turn in turns] for name, turns in found.items()}
    pairs: dict[str, tuple[Mapping[str, Sequence[float]], str, str]] = {
        "rate: fruits / obstore": (rate, "fruits", "obstore"),
        "rate: fruits / binaryFile": (rate, "fruits", "binaryFile"),
        "rate: fruits / s3fs": (rate, "fruits", "s3fs"),
        "rate: packed / fruits": (rate, "packed", "fruits"),
        "CPU: s3 / local": (cpu, "s3", "local"),
        "CPU: packed / local": (cpu, "packed", "local"),
        "seconds: 100 ms / at once": (rate, "at once", "100 ms"),
        "seconds: packed, 100 ms / at once": (rate, "packed", "packed, 100 ms"),
    }
    return {
        text: spread([a / b for a, b in zip(values[over], values[under], strict=True)])
        for text, (values, over, under) in pairs.items()
        if over in values and under in values
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with Training/")
    parser.add_argument("--part", choices=tuple(PARTS), required=True)
    parser.add_argument("--images", type=int, default=20_000, metavar="N")
    parser.add_argument("--programs", default="", metavar="A,B", help="which of a part's, and in which order")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--proxies", type=int, default=2, help="processes of the proxy")
    parser.add_argument("--store", type=Path, help="folder of the server's, kept for the next time")
    add_results_option(parser)
    options = parser.parse_args()
    found = PARTS[options.part](options)
    figures = {
        "part": options.part,
        "pictures": options.images,
        "workers": options.workers,
        "seconds": {name: spread([turn.seconds for turn in turns]) for name, turns in found.items()},
        "a_second": {name: spread([t.pictures / t.seconds for t in turns]) for name, turns in found.items()},
        "cpu_ms_a_picture": {
            name: spread([1e3 * t.cpu / t.pictures for t in turns])
            for name, turns in found.items()
            if not math.isnan(turns[0].cpu)
        },
        "ratios": ratios(options.part, found),
    }
    print(f"\n{'':<36}{'min':>10}{'median':>10}")
    for kind in ("a_second", "cpu_ms_a_picture", "ratios"):
        for name, values in figures[kind].items():
            print(f"{kind + ': ' if kind != 'ratios' else ''}{name:<20}".ljust(36)
                  + f"{values['min']:>10.3f}{values['median']:>10.3f}")  # fmt: skip
    record("s3", figures, options.results)


if __name__ == "__main__":
    main()
