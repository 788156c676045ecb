"""The engine beside what it is measured by, part by part, everything by turns in one run.

`extraction`  descriptors of a large and of a small set through Spark, the session warm, beside a process pool
`scaling`     the large set on one core and on all, and how many tasks the number of pictures makes
`vocabulary`  visual words beside `pyspark.ml.clustering.KMeans`: seconds, and the inertia over all descriptors
`classifier`  the network beside Spark's and scikit-learn's, on the features of a run
`whole`       `fruits run --preset reference` from command to exit, beside the prototype and plain Python
`large`       a whole run on all pictures beside the pool's extraction alone; the memory of its processes
`cache`       a second run with another number of words, beside the first
`exit`        from the last line of `fruits run` to the end of its process: as the command ends it, and as Python would

    python tests/benchmarks/engine.py --data fruits-360 --part extraction,scaling
    make benchmarks DATA=fruits-360

`--categories`, `--train-images` and `--test-images` choose the small set.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from measure import add_results_option, fruits_command, record, run, spread
from pictures import add_picture_options, choose, stage, staged_pictures
from pool import extract_with_pool
from prototype import start_spark

from job import dataset
from job.engine.configuration import Configuration
from job.engine.session import session as spark_session
from job.experiment.recipe import Block, Recipe
from job.learn import sampling
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LARGE = 20_000
MAX_ITERATIONS = 25
SEEDS = (1, 2, 3)
RECIPE = Recipe(blocks=(Block("sift", "counts", 50),))
COLUMNS = {"sift": "descriptors"}
DRAWN = sampling.default_size(50, 128)
# For what is Spark's own: the JVM's and Spark's defaults, in place of what makes a short run shorter.
AS_IT_COMES = ("spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=4 -XX:+UseG1GC",
               "spark.sql.codegen.wholeStage=true", "spark.sql.codegen.factoryMode=FALLBACK")  # fmt: skip
Seconds = dict[str, list[float]]


@contextmanager
def session(workers: int, *conf: str) -> "Iterator[SparkSession]":
    configuration = Configuration.of(Settings(master=f"local[{workers}]", conf=conf), for_command=True)
    with spark_session(configuration) as spark:
        yield spark


def listed(folder: Path, split: str = "train") -> dataset.Images:
    return dataset.listing(split, str(folder), dataset.split_folder(split))


def paths_of(images: dataset.Images) -> list[str]:
    return [f"{images.root}/{name}" for name in images.table["ima"].to_pylist()]


def described(spark: "SparkSession", images: dataset.Images, workers: int) -> "DataFrame":
    """The frame of described pictures, as a run makes it."""
    from job.experiment import cache
    from job.experiment.extract import extractor

    tasks = dataset.planned_partitions(images, workers)
    return cache.described(spark, extractor(RECIPE), images, RECIPE, tasks, workers, None)[0]


def extract(spark: "SparkSession", images: dataset.Images, workers: int) -> float:
    """What a run does: describe, keep, count, draw. Seconds."""
    from job.experiment.extract import summary

    begin = time.perf_counter()
    tasks = dataset.planned_partitions(images, workers)
    frame = described(spark, images, workers)
    draw = sampling.Draw.of(DRAWN, tasks, RECIPE.seed, np.dtype(np.uint8), 128)
    counted = summary(frame, COLUMNS, {"sift": draw})
    seconds = time.perf_counter() - begin
    assert counted.described + counted.rejected.num_rows == len(images)
    frame.unpersist(blocking=True)
    return seconds


def by_turns(programs: Mapping[str, Callable[[], float]], repeats: int, *, warm: bool = True) -> Seconds:
    """All of them by turns; with `warm` each once before that, uncounted."""
    found: Seconds = {name: [] for name in programs}
    for repeat in range(-1 if warm else 0, repeats):
        for name, program in programs.items():
            seconds = program()
            if repeat >= 0:
                found[name].append(seconds)
                print(f"  {repeat + 1}/{repeats} {name:<28}{seconds:>9.3f} s", flush=True)
    return found


def compared(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """How many times as long the first takes: of the minima and of the medians."""
    return {"min": round(min(first) / min(second), 3),
            "median": round(statistics.median(first) / statistics.median(second), 3)}  # fmt: skip


@contextmanager
def staged_large(options: argparse.Namespace) -> Iterator[Path]:
    """A folder of up to 20,000 training pictures."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        available = len(choose(options.data, "train"))
        stage(options.data, choose(options.data, "train", (), min(LARGE, available)), Path(folder))
        yield Path(folder)


# ---- the parts


def extraction(options: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with staged_pictures(options) as small, staged_large(options) as large, session(options.workers) as spark:
        for name, images in (("large", listed(large)), ("small", listed(small))):
            paths = paths_of(images)
            seconds = by_turns({
                "spark": lambda images=images: extract(spark, images, options.workers),
                "pool": lambda paths=paths: extract_with_pool(paths, options.workers).seconds,
            }, options.repeats)  # fmt: skip
            figures[name] = {
                "pictures": len(images),
                "seconds": {program: spread(values) for program, values in seconds.items()},
                "throughput_spark_over_pool": compared(seconds["pool"], seconds["spark"]),
                "more_seconds_than_pool": round(
                    statistics.median(seconds["spark"]) - statistics.median(seconds["pool"]), 3
                ),
            }
    return figures


@contextmanager
def bound(cores: int) -> Iterator[None]:
    """No more cores than these, for this thread and what it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def scaling(options: argparse.Namespace) -> dict[str, Any]:
    """From one core to all of them; beside that from one worker, whose JVM or parent process has cores of its own."""
    seconds: Seconds = {}
    with staged_large(options) as folder:
        images = listed(folder)
        paths = paths_of(images)
        for start, workers, cores in (("core", 1, 1), ("worker", 1, options.workers),
                                      ("all", options.workers, options.workers)):  # fmt: skip
            with bound(cores), session(workers) as spark:
                seconds |= by_turns({
                    f"spark, {start}": lambda workers=workers, spark=spark: extract(spark, images, workers),
                    f"pool, {start}": lambda workers=workers: extract_with_pool(paths, workers).seconds,
                }, options.repeats)  # fmt: skip
    speed_up = {
        start: {program: compared(seconds[f"{program}, {start}"], seconds[f"{program}, all"])
                for program in ("spark", "pool")}
        for start in ("core", "worker")
    }  # fmt: skip
    return {
        "pictures": len(images),
        "cores": options.workers,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "speed_up_from_one": speed_up,
        "spark_over_pool": {
            start: {kind: round(found["spark"][kind] / found["pool"][kind], 3) for kind in ("min", "median")}
            for start, found in speed_up.items()
        },
        "tasks": {count: dataset.partitions(count, count * 5_000, options.workers)
                  for count in (5, 876, 20_000, 10_000_000)},
    }  # fmt: skip


@contextmanager
def spark_process(descriptors: np.ndarray, options: argparse.Namespace) -> Iterator[Callable[[int, int], Any]]:
    """Spark's k-means in a process of its own: a function of number of words and seed; seconds, and centres (K, d)."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(descriptors.astype(np.float64).ravel()), descriptors.shape[1])
        pq.write_table(pa.table({"row": rows}), f"{folder}/rows.parquet")
        process = context.Process(target=serve_kmeans, args=(there, folder, options), daemon=True)
        process.start()
        there.close()

        def fit(words: int, seed: int) -> Any:
            here.send((words, seed))
            return here.recv()

        assert here.recv() == "ready"
        yield fit
        here.close()
        process.join()


def serve_kmeans(asked: Connection, folder: str, options: argparse.Namespace) -> None:
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.functions import array_to_vector

    spark = start_spark(f"local[{options.workers}]", "6g")
    rows = spark.read.parquet(folder).repartition(options.workers)
    vectors = rows.select(array_to_vector("row").alias("features")).persist()
    vectors.count()
    asked.send("ready")
    with suppress(EOFError):
        while True:
            words, seed = asked.recv()
            begin = time.perf_counter()
            model = KMeans(k=words, initMode=options.start, maxIter=options.iterations, tol=0.0, seed=seed,
                           solver=options.solver).fit(vectors)  # fmt: skip
            asked.send((time.perf_counter() - begin, np.array(model.clusterCenters())))
    spark.stop()


def vocabulary(options: argparse.Namespace) -> dict[str, Any]:
    """K-means of Spark and ours, from descriptors that executors keep in memory: Spark's as vectors, ours packed.

    Both start as `--start` says and stop after the same iterations, or where no centre moves. A run draws what it
    trains on in the pass that counts descriptors, so that `fruits` is what a draw adds to that pass, and the training;
    beside it the same with a draw of its own. Spark's has a process and a session of its own, as Spark comes.
    """
    from job.experiment.extract import summary, usable
    from job.learn import kmeans
    from job.stages import VisualVocabulary

    def measured(spark: "SparkSession", images: dataset.Images, words: int, repeats: int) -> dict[str, Any]:
        frame = usable(described(spark, images, options.workers))
        total = summary(frame, COLUMNS, {}).rows["sift"]
        inertias: dict[str, list[float]] = {"fruits": [], "spark": []}
        everything = np.concatenate([np.frombuffer(row[0], np.uint8).reshape(-1, 128)
                                     for row in frame.select("descriptors").toLocalIterator()])  # fmt: skip

        estimator = VisualVocabulary(k=words, initMode=options.start, maxIter=options.iterations, tolerance=0.0)
        tasks = dataset.planned_partitions(images, options.workers)
        wanted = min(sampling.default_size(words, 128), total)
        draw = sampling.Draw.of(wanted, tasks, estimator.getOrDefault("seed"), np.dtype(np.uint8), 128)

        def counts() -> float:
            begin = time.perf_counter()
            summary(frame, COLUMNS, {})
            return time.perf_counter() - begin

        def with_counts() -> Any:
            return estimator.fit_drawn(summary(frame, COLUMNS, {"sift": draw}).drawn["sift"])

        def ours(learn: Callable[[], Any]) -> float:
            counts()  # a short job is shorter after another one
            begin = time.perf_counter()
            model = learn()
            seconds = time.perf_counter() - begin
            part = kmeans.cluster_sums(everything, model.words)
            inertias["fruits"].append(kmeans.inertia_of(part, model.words))
            return seconds

        def sparks() -> float:
            seconds, centres = spark_kmeans(words, next(seeds))
            # both by the same sum in float64
            difference = 0.0
            for start in range(0, len(everything), 1 << 14):
                block = everything[start : start + (1 << 14)].astype(np.float64)
                squared = (block**2).sum(1)[:, None] - 2 * block @ centres.T + (centres**2).sum(1)
                difference += float(squared.min(axis=1).sum())
            inertias["spark"].append(difference)
            return seconds

        seeds = iter(SEEDS * repeats)
        with spark_process(everything, options) as spark_kmeans:
            seconds = by_turns({
                "counts": lambda: min(counts(), counts()),
                "counts, draw, training": lambda: ours(with_counts),
                "draw of its own, training": lambda: ours(lambda: estimator.fit_counted(frame, total)),
                "spark": sparks,
            }, repeats, warm=words <= 50)  # fmt: skip
        all_of = {"min": min, "median": statistics.median}
        fruits = {name: of(seconds["counts, draw, training"]) - of(seconds["counts"]) for name, of in all_of.items()}
        return {
            "pictures": len(images), "descriptors": total, "words": words, "start": options.start,
            "iterations": options.iterations,
            "seconds": {name: spread(values) for name, values in seconds.items()},
            "fruits_seconds": {name: round(value, 3) for name, value in fruits.items()},
            "times_as_fast": {name: round(of(seconds["spark"]) / fruits[name], 2) for name, of in all_of.items()},
            "times_as_fast_with_a_draw_of_its_own": compared(seconds["spark"], seconds["draw of its own, training"]),
            "inertia_over_best": round(statistics.median(inertias["fruits"]) / min(inertias["spark"]) - 1, 5),
        }  # fmt: skip

    with staged_pictures(options) as small, staged_large(options) as large:
        sets = {"small": listed(small), "large": listed(large)}
        with session(options.workers, "spark.driver.memory=2g") as spark:
            return {
                f"{name}, K = {words}": measured(spark, sets[name], words, options.repeats)
                for name in options.sets.split(",") for words in options.vocabularies
            }  # fmt: skip


def classifier(options: argparse.Namespace) -> dict[str, Any]:
    """Spark's MultilayerPerceptronClassifier, scikit-learn's MLPClassifier and ours: the prototype's layers, L-BFGS."""
    from pyspark.ml.classification import MultilayerPerceptronClassifier
    from pyspark.ml.feature import VectorAssembler
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    from job.learn import network

    with staged_pictures(options) as folder, tempfile.TemporaryDirectory() as out:
        run([fruits_command(), "run", "--preset", "reference", "--data", folder, "--words", options.words,
             "--out", out, "--run-name", "features"], Path(out) / "log")  # fmt: skip
        tables = {split: pd.read_csv(Path(out) / "features" / f"df_lab_features_{split}.csv")
                  for split in ("train", "test")}  # fmt: skip
    features, labels = {}, {}
    for split, table in tables.items():
        features[split] = np.ascontiguousarray(table.iloc[:, 3:].to_numpy(np.float64))
        labels[split] = table["label"].to_numpy(np.int64)
    width, categories = features["train"].shape[1], int(labels["train"].max()) + 1
    layers = [width, width, width, categories]
    right: dict[str, list[float]] = {}

    def score(name: str, predicted: Any) -> None:
        right.setdefault(name, []).append(float((np.asarray(predicted) == labels["test"]).mean()))

    with session(options.workers) as spark:
        names = [str(number) for number in range(width)]
        frames: dict[str, DataFrame] = {}
        for split, table in tables.items():
            frame = spark.createDataFrame(table.drop(columns=["ima", "cat"]))
            frames[split] = VectorAssembler(inputCols=names, outputCol="features").transform(frame).persist()
            frames[split].count()
        seeds = {name: iter(range(1, 1000)) for name in ("fruits", "spark", "scikit-learn")}

        def ours() -> float:
            begin = time.perf_counter()
            rows = network.ArrayRows(features["train"], labels["train"])
            found = network.train(rows, layers, seed=next(seeds["fruits"]))
            seconds = time.perf_counter() - begin
            score("fruits", network.probabilities(features["test"], found).argmax(axis=1))
            return seconds

        def sparks() -> float:
            begin = time.perf_counter()
            model = MultilayerPerceptronClassifier(layers=layers, maxIter=200, seed=next(seeds["spark"])).fit(
                frames["train"])  # fmt: skip
            seconds = time.perf_counter() - begin
            score("spark", model.transform(frames["test"]).toPandas()["prediction"])
            return seconds

        def scikit() -> float:
            model = MLPClassifier(layers[1:-1], activation="logistic", solver="lbfgs", alpha=0, max_iter=200,
                                  random_state=next(seeds["scikit-learn"]))  # fmt: skip
            begin = time.perf_counter()
            with threadpool_limits(1):
                model.fit(features["train"], labels["train"])
            seconds = time.perf_counter() - begin
            score("scikit-learn", model.predict(features["test"]))
            return seconds

        seconds = by_turns({"fruits": ours, "spark": sparks, "scikit-learn": scikit}, options.repeats)
    return {
        "rows": len(labels["train"]), "layers": layers,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "spark_over_fruits": compared(seconds["spark"], seconds["fruits"]),
        "fruits_over_scikit_learn": compared(seconds["fruits"], seconds["scikit-learn"]),
        "accuracy_median": {name: round(statistics.median(values), 4) for name, values in right.items()},
    }  # fmt: skip


def whole(options: argparse.Namespace) -> dict[str, Any]:
    script = Path(__file__).with_name("prototype.py")
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, script, "--data", options.data, "--categories", options.categories,
                   "--train-images", options.train_images, "--test-images", options.test_images,
                   "--words", options.words, "--out", out, "--beside", "fruits,pool",
                   "--repeats", options.repeats]  # fmt: skip
        if options.results is None:
            command.append("--no-record")
        subprocess.run([str(part) for part in command], check=True)
        figures = json.loads((Path(out) / "beside.json").read_text())
    totals = {name: values["from command to exit"]["all"] for name, values in figures["seconds"].items()}
    return {
        "seconds_from_command_to_exit": {name: spread(values) for name, values in totals.items()},
        "prototype_over_fruits": compared(totals["prototype"], totals["fruits"]),
        "fruits_over_pool": compared(totals["fruits"], totals["pool"]),
    }


def large(options: argparse.Namespace) -> dict[str, Any]:
    """All pictures, executors as processes of their own, so that their memory can be told from the driver's."""
    paths = [str(path) for path in sorted(options.data.glob("*/*/*.jpg"))]
    peaks: dict[str, int] = {}

    def fruits(sample: str, master: str) -> float:
        with tempfile.TemporaryDirectory() as out, watched(peaks if master.startswith("local-cluster") else {}):
            return run([fruits_command(), "run", "--preset", "reference", "--vocabulary-sample", sample, "--data",
                        options.data, "--words", options.words, "--out", out, "--master", master],
                       Path(out) / "log").wall  # fmt: skip

    here, apart = f"local[{options.workers}]", f"local-cluster[2,{max(1, options.workers // 2)},1024]"
    seconds = by_turns({
        "pool, extraction alone": lambda: extract_with_pool(paths, options.workers).seconds,
        "whole run, vocabulary from a sample": lambda: fruits("default", here),
        "whole run, vocabulary from all": lambda: fruits("all", here),
    }, options.repeats, warm=False)  # fmt: skip
    separate = fruits("all", apart)
    pool = seconds.pop("pool, extraction alone")
    return {
        "pictures": len(paths), "words": options.words,
        "seconds": {"pool, extraction alone": spread(pool), **{name: spread(own) for name, own in seconds.items()}},
        "share_of_pool": {name: compared(pool, own) for name, own in seconds.items()},
        "executors_apart": {"seconds": round(separate, 1), "peak_mib": {k: v >> 20 for k, v in peaks.items()}},
    }  # fmt: skip


@contextmanager
def watched(peaks: dict[str, int]) -> Iterator[None]:
    """Peaks of the proportional set size of the processes below this one, in bytes: the driver's (Python and JVM), and
    the largest executor's (its JVM and its Python processes)."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            for name, size in memory_by_role().items():
                peaks[name] = max(peaks.get(name, 0), size)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def memory_by_role() -> dict[str, int]:
    driver, executors = 0, dict[int, int]()
    processes = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in processes.values():
        with suppress(psutil.Error):
            size = process.memory_full_info().pss
            line = [process, *process.parents()]
            owner = next((own.pid for own in line if own.pid in processes
                          and any("CoarseGrainedExecutorBackend" in part for part in own.cmdline())), None)  # fmt: skip
            if owner is None:
                driver += size
            else:
                executors[owner] = executors.get(owner, 0) + size
    return {"driver": driver, "executor": max(executors.values(), default=0)}


def cache(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with staged_pictures(options) as folder, tempfile.TemporaryDirectory() as out:
        for words in (options.words, 2 * options.words):
            run([fruits_command(), "run", "--preset", "reference", "--data", folder, "--words", words, "--cache",
                 f"{out}/cache", "--out", out, "--run-name", words], Path(out) / f"log-{words}")  # fmt: skip
            manifest = json.loads((Path(out) / str(words) / "manifest.json").read_text())
            written = sorted(str(path.relative_to(out)) for path in Path(out, "cache").rglob("*.parquet"))
            found[f"K = {words}"] = {"extract_descriptors": manifest["seconds"]["extract_descriptors"],
                                     "total": manifest["seconds"]["total"], "files_in_cache": written}  # fmt: skip
        size = sum(path.stat().st_size for path in Path(out, "cache").rglob("*.parquet"))
        total = sum(part["descriptors"] for part in manifest["dataset"].values())
    first, second = (entry.pop("files_in_cache") for entry in found.values())
    return {**found, "bytes_a_descriptor": round(size / total, 1), "second_run_extracted": first != second}


# Notes the moment at which the work is done, then ends the process in one of two ways.
ENDING = """
import sys, time
from job.commands import main as cli
moment, way, *arguments = sys.argv[1:]
work = cli.main
def noted():
    code = work(arguments)
    with open(moment, "w") as file:
        file.write(repr(time.monotonic()))
    return code
cli.main = noted
cli.command() if way == "command" else sys.exit(noted())
"""


def ending(options: argparse.Namespace) -> dict[str, Any]:
    """Ends of the same run, by turns. What matters is their difference beside the seconds of the whole run."""
    seconds: Seconds = {"command": [], "python": []}
    wholes = []
    with tempfile.TemporaryDirectory() as scratch:
        moment = Path(scratch) / "moment"
        for number in range(options.repeats):
            for way, taken in seconds.items():
                arguments = ["run", "--data", options.data, "--categories", options.categories,
                             "--train-images", options.train_images, "--test-images", options.test_images,
                             "--words", options.words, "--out", scratch, "--run-name", f"{way}{number}"]  # fmt: skip
                begin = time.monotonic()
                line = [sys.executable, "-c", ENDING, moment, way, *arguments]
                subprocess.run([str(part) for part in line], check=True, stdout=subprocess.DEVNULL)
                end = time.monotonic()
                taken.append(end - float(moment.read_text()))
                wholes.append(end - begin)
    return {
        "seconds_to_end": {way: spread(taken) for way, taken in seconds.items()},
        "seconds_of_run": spread(wholes),
        "share_saved": (statistics.median(seconds["python"]) - statistics.median(seconds["command"]))
        / statistics.median(wholes),
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "extraction": extraction,
    "scaling": scaling,
    "vocabulary": vocabulary,
    "classifier": classifier,
    "whole": whole,
    "large": large,
    "cache": cache,
    "exit": ending,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_picture_options(parser)
    parser.set_defaults(categories="Apple Braeburn,Beetroot,Cactus fruit,Lemon,Pear", train_images=876, test_images=292)
    parser.add_argument(
        "--part", default="extraction,scaling,vocabulary,classifier,whole,large,cache,exit", metavar="A,B"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vocabularies", type=lambda text: [int(part) for part in text.split(",")],
                        default=[50, 500, 5000], metavar="K,K", help="numbers of words, for `vocabulary`")  # fmt: skip
    parser.add_argument("--sets", default="small,large", metavar="A,B", help="sets of pictures, for `vocabulary`")
    parser.add_argument("--iterations", type=int, default=MAX_ITERATIONS, help="at most, for `vocabulary`")
    parser.add_argument("--start", choices=("k-means||", "random"), default="k-means||", help="of both k-means")
    parser.add_argument("--solver", choices=("row", "block"), default="block", help="of Spark's k-means")
    add_results_option(parser)
    options = parser.parse_args()
    if unknown := [name for name in options.part.split(",") if name not in PARTS]:
        raise SystemExit(f"--part knows {', '.join(PARTS)}, not '{unknown[0]}'.")
    for name in options.part.split(","):
        print(f"{name}:", flush=True)
        figures = PARTS[name](options)
        print(json.dumps(figures, indent=2))
        record("engine", {"part": name, **figures}, options.results)


if __name__ == "__main__":
    main()
