"""The prototype's whole algorithm on today's Spark: the baseline of time and of accuracy.

A script of 2020, rebuilt from its description: `binaryFile` pictures become an RDD, the RDD becomes one Python row
per SIFT descriptor (path, category, a list of 128 floats), MLlib's k-means trains on all of them, each descriptor is
predicted by itself, `reduceByKey` gathers the words of a picture, then CountVectorizer, PCA, StringIndexer and a
multilayer perceptron. Nothing here is tuned, neither to be fast nor to be slow: what Spark and OpenCV do by default
stays. Only the descriptors are cached, as the 2020 figures show: assigning words took less than extracting them.

Its fault stays too: CountVectorizer, PCA and StringIndexer are fitted on the test pictures apart. `--fit once` applies
to the test pictures what was fitted on the training pictures.

    python tests/benchmarks/prototype.py --data fruits-360 --categories Lemon,Orange,Raspberry \
        --train-images 150 --test-images 300 --words 30
    python tests/benchmarks/prototype.py --data fruits-360 ... --beside fruits,pool --repeats 5
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from measure import Clock, Operation, add_results_option, fruits_command, read_timings, record, run, spread
from pictures import SPLITS, add_picture_options, staged_pictures

MIN_PARTITION = 18
MAX_ITERATIONS = 2000  # of k-means
LARGEST_RATIO = 1000  # above it nothing is left to compare: the other did the work under another operation
Step = Any  # (name, split) -> context manager of an Operation


class Fitted(NamedTuple):
    """What the prototype fitted once for the training pictures and once more for the test pictures."""

    counts: Any = None
    components: Any = None
    labels: Any = None


class Prototype:
    """The steps, each ended by an action so that its seconds belong to it."""

    def __init__(self, spark: Any, folder: Path, words: int, partitions: int, seed: int) -> None:
        self.spark = spark
        self.folder = folder
        self.words = words
        self.partitions = partitions
        self.seed = seed
        self.components = int(words - 0.3 * words)

    def read(self, split: str) -> Any:
        """RDD of (path, content) from one path a category; lazy, as the 0.1 s that it took in 2020 tell."""
        paths = sorted(str(path) for path in (self.folder / SPLITS[split]).iterdir())
        reader = self.spark.read.format("binaryFile")
        reader = reader.option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true")
        pictures = reader.load(paths).select("path", "content").rdd
        return pictures.repartition(self.partitions) if pictures.getNumPartitions() < self.partitions else pictures

    def extract(self, pictures: Any) -> tuple[Any, int]:
        """RDD of (path, category, 128 floats), a row per descriptor, cached; and the number of rows."""
        rows = (
            pictures.map(describe)
            .filter(lambda picture: picture[2] is not None)
            .flatMap(lambda picture: [(picture[0], picture[1], values.tolist()) for values in picture[2]])
            .cache()
        )
        return rows, rows.count()

    def train_vocabulary(self, rows: Any) -> Any:
        from pyspark.mllib.clustering import KMeans

        return KMeans.train(
            rows.map(lambda row: row[2]),
            self.words,
            maxIterations=MAX_ITERATIONS,
            initializationMode="random",
            seed=self.seed,
        )

    def assign(self, rows: Any, vocabulary: Any) -> Any:
        """RDD of (path, category, word), a row per descriptor."""
        words = rows.map(lambda row: (row[0], row[1], vocabulary.predict(row[2])))
        words.count()
        return words

    def count(self, words: Any, fitted: Fitted) -> tuple[Fitted, Any, int]:
        """Bags of words, a row per picture (path, cat, words, counts), and how many they are."""
        from pyspark.ml.feature import CountVectorizer

        pictures = (
            words.map(lambda row: ((row[0], row[1]), [str(row[2])]))
            .reduceByKey(lambda left, right: left + right)
            .map(lambda pair: (*pair[0], pair[1]))
            .toDF(["path", "cat", "words"])
        )
        vectorizer = CountVectorizer(inputCol="words", outputCol="counts", vocabSize=self.words)
        fitted = fitted._replace(counts=fitted.counts or vectorizer.fit(pictures))
        bags = fitted.counts.transform(pictures)
        return fitted, bags, bags.count()

    def reduce(self, bags: Any, fitted: Fitted) -> tuple[Fitted, Any]:
        """Features, a row per picture (path, cat, label, features)."""
        from pyspark.ml.feature import PCA, StringIndexer

        pca = PCA(k=self.components, inputCol="counts", outputCol="features")
        indexer = StringIndexer(inputCol="cat", outputCol="label")
        components, labels = fitted.components or pca.fit(bags), fitted.labels or indexer.fit(bags)
        features = labels.transform(components.transform(bags)).select("path", "cat", "label", "features")
        features.foreach(lambda _: None)  # a count would not compute the vectors
        return fitted._replace(components=components, labels=labels), features

    def train_classifier(self, features: Any, categories: int) -> Any:
        from pyspark.ml.classification import MultilayerPerceptronClassifier

        layers = [self.components] * 3 + [categories]
        return MultilayerPerceptronClassifier(layers=layers, maxIter=200, blockSize=128, seed=self.seed).fit(features)

    def accuracy(self, classifier: Any, features: Any) -> float:
        from pyspark.ml.evaluation import MulticlassClassificationEvaluator

        return MulticlassClassificationEvaluator(metricName="accuracy").evaluate(classifier.transform(features))

    def export(self, features: Any, path: Path) -> None:
        root = self.folder.absolute().as_posix() + "/"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("ima", "cat", "label", *range(self.components)))
            for row in features.collect():
                table.writerow((row.path.partition(root)[2], row.cat, row.label, *row.features))


def describe(picture: Any) -> tuple[str, str, Any]:
    """Path, category (the parent folder) and SIFT descriptors of a picture; `None` where it has none."""
    import cv2
    import numpy as np

    path, content = picture
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    _, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    return path, path.split("/")[-2], descriptors


def start_spark(master: str, memory: str) -> Any:
    # Else the workers are whatever `python3` is on the PATH.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("prototype").master(master).config("spark.driver.memory", memory)
    return builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false").getOrCreate()


def job_counter(clock: Clock, context: Any) -> Step:
    """`clock.operation` that also counts the Spark jobs and tasks in it."""

    @contextmanager
    def step(name: str, split: str, partitions: int = 0) -> Iterator[Operation]:
        context.setJobGroup(f"{name} {split}", name)
        with clock.operation(name, split) as entry:
            yield entry
        tracker = context.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(f"{name} {split}")]
        stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
        entry.jobs = len(jobs)
        entry.tasks = sum(stage.numCompletedTasks for stage in stages if stage)
        entry.partitions = partitions

    return step


def run_prototype(options: argparse.Namespace, folder: Path, clock: Clock) -> dict[str, Any]:
    """All steps on the pictures of `folder`; returns accuracy and counts."""
    with clock.operation("start_spark"):
        spark = start_spark(options.master, options.driver_memory)
    step = job_counter(clock, spark.sparkContext)
    prototype = Prototype(spark, folder, options.words, options.partitions, options.seed)
    summary: dict[str, Any] = {"fit": options.fit, "dataset": {}}
    rows: dict[str, Any] = {}
    features: dict[str, Any] = {}
    vocabulary, fitted = None, Fitted()
    for split in SPLITS:
        with step("read_images", split) as entry:
            pictures = prototype.read(split)
        entry.partitions = partitions = pictures.getNumPartitions()
        with step("extract_descriptors", split, partitions):
            rows[split], descriptors = prototype.extract(pictures)
        if vocabulary is None:
            with step("fit_vocabulary", split, partitions):
                vocabulary = prototype.train_vocabulary(rows[split])
        with step("assign_words", split, partitions):
            words = prototype.assign(rows[split], vocabulary)
        once = fitted if options.fit == "once" else Fitted()
        with step("bag_of_words", split, partitions):
            once, bags, described = prototype.count(words, once)
        with step("reduce_dimensions", split, partitions):
            once, features[split] = prototype.reduce(bags, once)
        fitted = once if fitted == Fitted() else fitted
        summary["dataset"][split] = {"described": described, "descriptors": descriptors}
    with step("fit_classifier", "train", partitions):
        classifier = prototype.train_classifier(features["train"], len(fitted.labels.labels))
    with step("evaluate", "test", partitions):
        summary["accuracy"] = prototype.accuracy(classifier, features["test"])
    with step("export", "all", partitions):
        options.out.mkdir(parents=True, exist_ok=True)
        for split, table in features.items():
            prototype.export(table, options.out / f"df_lab_features_{split}.csv")
    clock.stop()
    if options.extra:
        _, bags, _ = prototype.count(words, fitted)
        _, applied = prototype.reduce(bags, fitted)
        summary["accuracy_fitted_once"] = prototype.accuracy(classifier, applied)
        summary["inertia"] = vocabulary.computeCost(rows["train"].map(lambda row: row[2]))
    spark.stop()
    return summary


def run_beside(options: argparse.Namespace, folder: Path) -> None:
    """The prototype and others on the same pictures, by turns, each in a process of its own."""
    shared = ["--data", folder, "--words", options.words, "--seed", options.seed]
    script = Path(__file__)
    programs: dict[str, Any] = {
        "prototype": lambda out: [
            sys.executable, script, *shared, "--staged", "--out", out, "--fit", options.fit, "--master", options.master,
            "--partitions", options.partitions, "--driver-memory", options.driver_memory,
        ],
        "fruits": lambda out: [
            fruits_command(), "run", "--preset", "reference", *shared, "--out", out.parent, "--run-name", out.name,
            "--master", options.master,
        ],
        "pool": lambda out: [
            sys.executable, script.with_name("pool.py"), *shared, "--staged", "--out", out,
            "--workers", worker_count(options.master),
        ],
    }  # fmt: skip
    names = ["prototype", *options.beside.split(",")]
    if unknown := set(names) - set(programs):
        raise SystemExit(f"--beside knows {', '.join(sorted(set(programs) - {'prototype'}))}, not '{unknown.pop()}'.")
    seconds: dict[str, dict[tuple[str, str], list[float]]] = {name: {} for name in names}
    accuracy: dict[str, float] = {}
    for repeat in range(options.repeats):
        for name in names:
            out = options.out / f"{name}-{repeat}"
            finished = run(programs[name](out), options.out / f"{name}-{repeat}.log")
            timed = {
                ("from command to exit", ""): finished.wall,
                ("CPU, all processes", ""): finished.cpu,
                **with_sums(read_timings(out)),
            }
            for operation, value in timed.items():
                seconds[name].setdefault(operation, []).append(value)
            result = next(path for path in (out / "manifest.json", out / "summary.json") if path.exists())
            accuracy[name] = json.loads(result.read_text())["accuracy"]
            print(f"{repeat + 1}/{options.repeats} {name}: {finished.wall:.1f} s, accuracy {accuracy[name]:.3f}")
            check_pictures(out, folder)
    show_beside(seconds)
    counts = {split: len(list((folder / SPLITS[split]).rglob("*.jpg"))) for split in SPLITS}
    figures = {
        "pictures": counts,
        "words": options.words,
        "seed": options.seed,
        "master": options.master,
        "fit": options.fit,
        "accuracy": accuracy,
        "seconds": {
            name: {" ".join(operation).strip(): spread(values) for operation, values in of_program.items()}
            for name, of_program in seconds.items()
        },
    }
    (options.out / "beside.json").write_text(json.dumps(figures))
    record("prototype", figures, options.results)


def with_sums(timed: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adds words, bags and PCA as one: who does them in one pass may count its seconds under any of the three."""
    parts = ("assign_words", "bag_of_words", "reduce_dimensions")
    return {("words, bags and PCA", split): sum(timed[part, split] for part in parts) for split in SPLITS} | timed


def worker_count(master: str) -> int:
    """Cores of a local master: `local[4]` has 4."""
    inside = master.removeprefix("local").strip("[]")
    return int(inside.split(",")[0]) if inside[:1].isdigit() else (os.cpu_count() or 1) if inside else 1


def check_pictures(out: Path, folder: Path) -> None:
    """Each program must have used each picture of the folder (all of them have SIFT descriptors)."""
    for split, name in SPLITS.items():
        wanted = {path.relative_to(folder).as_posix() for path in (folder / name).rglob("*.jpg")}
        table = out / f"df_lab_features_{split}.csv"
        with table.open(newline="") as file:
            used = {row["ima"] for row in csv.DictReader(file)}
        if used != wanted:
            raise SystemExit(f"{table.name} of {out.name} has {len(used & wanted)} of {len(wanted)} pictures.")


def show_beside(seconds: dict[str, dict[tuple[str, str], list[float]]]) -> None:
    """Minimum and median of each program, and how many times the prototype's seconds are those of the other."""
    first, *others = seconds
    print(f"\n{'seconds, min and median':<33}{first:>16}" + "".join(f"{name:>16}{'ratio':>14}" for name in others))
    for operation in dict.fromkeys(key for of_program in seconds.values() for key in of_program):
        spreads = {name: spread(timed[operation]) for name, timed in seconds.items() if operation in timed}
        cells = [f"{' '.join(operation):<33}", _pair(spreads.get(first), 2)]
        for name in others:
            ratio = None
            if first in spreads and name in spreads:
                ratio = {kind: spreads[first][kind] / max(spreads[name][kind], 1e-3) for kind in ("min", "median")}
                ratio = ratio if min(ratio.values()) < LARGEST_RATIO else None
            cells += [_pair(spreads.get(name), 2), _pair(ratio, 1, width=7)]
        print("".join(cells))


def _pair(values: dict[str, Any] | None, digits: int, width: int = 8) -> str:
    if values is None:
        return "-".rjust(2 * width)
    return "".join(f"{values[kind]:>{width}.{digits}f}" for kind in ("min", "median"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_picture_options(parser)
    parser.add_argument("--partitions", type=int, default=MIN_PARTITION, help="of the pictures, at least")
    parser.add_argument("--master", default=f"local[{os.cpu_count()}]")
    parser.add_argument("--driver-memory", default="4g")
    parser.add_argument("--fit", choices=("apart", "once"), default="apart", help="how the test pictures are treated")
    parser.add_argument("--extra", action="store_true", help="when the clock has stopped, also the accuracy with all "
                        "fitted once, and the inertia")  # fmt: skip
    parser.add_argument("--beside", nargs="?", const="fruits", metavar="fruits,pool",
                        help="also run these on the same pictures, by turns, and compare")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5, help="of each program, with --beside")
    add_results_option(parser)
    options = parser.parse_args()
    with staged_pictures(options) as folder:
        if options.beside:
            run_beside(options, folder)
            return
        clock = Clock()
        summary = run_prototype(options, folder, clock)
    clock.leave(options.out, summary)


if __name__ == "__main__":
    main()
