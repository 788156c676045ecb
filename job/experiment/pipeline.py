"""The order of the operations, each one timed: list, extract, vocabulary, words, components, classifier, results."""

import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from job import dataset, storage
from job.engine import spark as spark_session
from job.engine.tasks import TaskFigures, figures
from job.errors import UserError
from job.experiment import cache, results
from job.learn import sampling
from job.report import html
from job.report.console import PREVIEW_ROWS, Console
from job.settings import Settings

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from job.stages import VisualVocabulary

SPLITS = ("train", "test")
PREDICTED = ("prediction", "predicted_cat", "probability")
# Bags of words of up to so many cells are gathered in the driver once they are counted: what follows is then numpy on
# one table, without a job. Larger ones stay on the executors, and are written by Spark as Parquet.
MOST_CELLS = 20_000_000
# What is needed later and takes long to import: pyspark.ml brings pandas and scipy.
_LATER = ("job.stages", "scipy.optimize")
# SIFT finds 31 descriptors in a picture of 100 x 100: so many are taken along of each, where all are wanted.
_MANY = 100
# Pictures by which each core is warmed.
_WARM_UP = 20


@dataclass(frozen=True)
class Timing:
    """Seconds of one operation on one split, and what Spark's tasks did in it."""

    operation: str
    split: str
    seconds: float
    tasks: TaskFigures = field(default_factory=TaskFigures)


@dataclass(frozen=True)
class Extracted:
    """The described pictures of a split: `frame` has `ima, cat, descriptors, keypoints, reason`; the rest is counts."""

    frame: "DataFrame"
    images: int
    described: int
    descriptors: int
    rejected: pa.Table
    partitions: int
    drawn: NDArray[Any] | None
    """Descriptors drawn on the way, in the order of their keys; None where too few came, or none were asked for."""

    @property
    def without_descriptors(self) -> int:
        return int(sum(reason == "no_descriptors" for reason in self.rejected["reason"].to_pylist()))


class Clock:
    """The one clock: operations in the order in which they ended."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.timings: list[Timing] = []

    @contextmanager
    def operation(self, name: str, split: str, spark: "SparkSession | None" = None) -> Iterator[None]:
        # another run of the same session has groups of its own
        group = f"{name} {split} {id(self):x}"
        if spark is not None:
            spark.sparkContext.setJobGroup(group, f"{name} {split}")
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.timings.append(Timing(name, split, seconds, figures(spark, group) if spark else TaskFigures()))

    def waited(self, seconds: float) -> None:
        """Of the last operation: what its tasks waited for the store."""
        self.timings[-1] = replace(self.last, tasks=replace(self.last.tasks, waited=seconds))

    def finish(self) -> None:
        self.timings.append(Timing("total", "all", time.perf_counter() - self.begun))

    @property
    def last(self) -> Timing:
        return self.timings[-1]


def _load_ahead() -> None:
    """Loads, while the JVM and its executors are waited for: 1 s."""
    for name in _LATER:
        import_module(name)
    html.template()


def default_run_name() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")


class Run:
    """One run of the pipeline. `execute` does it all; what is fitted and counted on the way stays as attributes."""

    def __init__(self, settings: Settings, console: Console, begun: float) -> None:
        self.settings = settings
        self.console = console
        self.clock = Clock(begun)
        self.name = settings.run_name or default_run_name()
        self.folder = storage.RunFolder(settings.out, self.name, public_read=settings.public_read)
        self.images: dict[str, dataset.Images] = {}
        self.extracted: dict[str, Extracted] = {}
        self.bags: dict[str, DataFrame] = {}
        self.bag_rows: dict[str, tuple[pa.Table, NDArray[np.int32]] | None] = {}
        self.features: dict[str, tuple[pa.Table, NDArray[np.float64]] | None] = {}
        self.tables: dict[str, pa.Table] = {}
        self.pictures = html.Pictures()
        self.stages: list[Any] = []
        self.cores = 0
        self.accuracy: float | None = None
        self.versions: dict[str, Any] = {}

    def execute(self, data: str | None, plan: "spark_session.Plan", jvm: "spark_session.Jvm | None") -> str:
        """Runs everything; the address of the whole run folder. Raises UserError, and leaves nothing half-written."""
        self.console.start(self.name, self.settings.public())
        if self.settings.public_read:
            self.console.warning("Everybody will be able to read the results (--public-read).")
        self.folder.check_writable()
        self.list_images(data)
        if self.settings.event_log:
            storage.make_folder(self.settings.event_log)
        self.folder.claim()
        try:
            with ExitStack() as stack:
                with self.clock.operation("start_spark", "all"):
                    threading.Thread(target=_load_ahead, daemon=True).start()
                    spark = stack.enter_context(spark_session.session(plan, jvm))
                    if spark_session.has_fixed_executors(spark):
                        warm_up(spark, self.images["train"], self.settings.descriptor)
                self._work(spark)
        except BaseException:
            self.folder.discard()
            raise
        return self.folder.uri()

    def _work(self, spark: "SparkSession") -> None:
        self.cores = spark_session.total_cores(spark)
        self.versions = spark_session.versions(spark)
        self.console.step(
            "start_spark",
            "all",
            {"spark": self.versions["pyspark"], "cores": self.cores, "application": spark.sparkContext.applicationId},
            seconds=self.clock.last.seconds,
        )
        self.extract(spark, "train")
        self.learn_vocabulary(spark)
        self.count_words(spark, "train")
        self.reduce(spark, "train")
        if not self.settings.no_classify:
            self.classify(spark)
        self.extract(spark, "test")
        self.count_words(spark, "test")
        self.reduce(spark, "test")
        if not self.settings.no_classify:
            self.evaluate(spark)
        with self.clock.operation("export", "all", spark):
            results.write(self)
        self.clock.finish()
        results.finish(self)
        self.console.timings(self.tables["timings"], results.reference_beside(self))
        self.console.done(self.folder.uri(), self.accuracy, self.clock.last.seconds)

    # ---- the operations

    def list_images(self, data: str | None) -> None:
        for split in SPLITS:
            with self.clock.operation("read_images", split):
                self.images[split] = listing(self.settings, data, split)
        dataset.check_categories(self.images["train"], self.images["test"], classify=not self.settings.no_classify)
        wanted = {"train": self.settings.train_images, "test": self.settings.test_images}
        for split in SPLITS:
            self.images[split] = dataset.choose(self.images[split], wanted[split], option=f"--{split}-images")
            images = self.images[split]
            self.console.step(
                "read_images",
                split,
                {"root": images.root, "pictures": len(images), "categories": len(images.categories())},
                preview=images.table.slice(0, 5),
                seconds=self.seconds("read_images", split),
            )
            self.console.categories(split, images.categories())

    def extract(self, spark: "SparkSession", split: str) -> None:
        images, waited = self.images[split], spark.sparkContext.accumulator(0.0)
        with self.clock.operation("extract_descriptors", split, spark):
            frame = cache.descriptors(spark, images, self.cores, self.settings, waited)
            found = summary(frame, self._draw() if split == "train" else None)
        self.clock.waited(waited.value)
        done = Extracted(
            frame,
            len(images),
            found.described,
            found.descriptors,
            found.rejected,
            self.clock.last.tasks.partitions,
            found.drawn,
        )
        self.extracted[split] = done
        self._check_extracted(split, done)
        self.console.step(
            "extract_descriptors",
            split,
            {
                "descriptor": self.settings.descriptor,
                "partitions": done.partitions,
                "pictures": done.images,
                "described": done.described,
                "without_descriptors": done.without_descriptors,
                "rejected": done.rejected.num_rows - done.without_descriptors,
                "descriptors": done.descriptors,
            },
            preview=found.first,
            seconds=self.clock.last.seconds,
        )

    def _draw(self) -> sampling.Draw | None:
        """What the vocabulary is trained on, where it is little enough to come with the counts of extraction: a job
        less. None where pictures may not be described but read from a cache, in other tasks."""
        from job.stages.vocabulary import ONE_PLACE
        from job.vision import descriptors as registry

        images, own = self.images["train"], self.settings
        wanted = self._vocabulary().sample_size() or _MANY * len(images)
        if own.cache or wanted > ONE_PLACE:
            return None
        spec = registry.get(own.descriptor)
        tasks = dataset.planned_partitions(images, self.cores, exactly=own.partitions, least=own.min_partitions)
        return sampling.Draw.of(wanted, tasks, own.seed, spec.dtype, spec.values)

    def _check_extracted(self, split: str, done: Extracted) -> None:
        if done.images != done.described + done.rejected.num_rows:
            raise UserError(
                f"Of {done.images} {split} pictures {done.described + done.rejected.num_rows} came back "
                "from extraction: the result would be wrong; please report this."
            )
        bad = done.rejected.num_rows - done.without_descriptors
        if bad > self.settings.max_bad_fraction * done.images:
            first = done.rejected.to_pylist()[0]
            raise UserError(
                f"{bad} of {done.images} {split} pictures are unusable, more than --max-bad-fraction "
                f"{self.settings.max_bad_fraction}; the first is '{first['path']}' ({first['reason']})."
            )
        if not done.described:
            raise UserError(
                f"None of the {done.images} {split} pictures has a descriptor: look at them, or try "
                "another --descriptor."
            )
        if split == "train" and done.descriptors < self.settings.words:
            raise UserError(
                f"--words {self.settings.words} is more than the {done.descriptors} descriptors of the "
                "training pictures: lower --words or add pictures."
            )

    def learn_vocabulary(self, spark: "SparkSession") -> None:
        from job.stages import DescriptorExtractor

        own, train = self.settings, self.extracted["train"]
        with self.clock.operation("fit_vocabulary", "train", spark):
            estimator = self._vocabulary(train.descriptors)
            wanted = min(estimator.sample_size() or train.descriptors, train.descriptors)
            try:
                if train.drawn is not None and len(train.drawn) == wanted:
                    model = estimator.fit_drawn(train.drawn)
                else:
                    model = estimator.fit(self._few_tasks("train"))
            except ValueError as error:
                raise UserError(f"--words {own.words} is too many: {error}; lower --words or add pictures.") from error
        self.stages = [DescriptorExtractor(descriptor=own.descriptor), model]
        found = model.vocabulary
        assert found is not None
        self.console.step(
            "fit_vocabulary",
            "train",
            {
                "words": own.words,
                "trained_on": found.descriptors,
                "iterations": found.iterations,
                "inertia": round(found.inertia, 1),
            },
            preview=pa.table({str(d): found.words[:5, d] for d in range(found.words.shape[1])}),
            seconds=self.clock.last.seconds,
        )

    def _vocabulary(self, total: int = 0) -> "VisualVocabulary":
        from job.stages import VisualVocabulary

        own = self.settings
        sample = {"all": -1, "default": 0}.get(str(own.vocabulary_sample), own.vocabulary_sample)
        prototype = own.preset == "reference"
        return VisualVocabulary(
            k=own.words,
            descriptor=own.descriptor,
            sampleSize=int(sample),
            seed=own.seed,
            initMode="random" if prototype else "k-means||",
            tolerance=0.0 if prototype else 1e-4,
            total=total,
        )

    def count_words(self, spark: "SparkSession", split: str) -> None:
        model = self.stages[1]
        small = self.extracted[split].described * self.settings.words <= MOST_CELLS
        with self.clock.operation("assign_words", split, spark):
            bags = model.transform(self._few_tasks(split)).select("ima", "cat", "bag").persist()
            rows = (bags if small else bags.select("ima")).toArrow()
        self.bags[split] = bags
        seconds = self.clock.last.seconds
        self.console.step(
            "assign_words",
            split,
            {"partitions": self.clock.last.tasks.partitions, "descriptors": self.extracted[split].descriptors},
            seconds=seconds,
        )
        with self.clock.operation("bag_of_words", split):
            self.bag_rows[split] = results.matrix_rows(rows, "bag", self.settings.words) if small else None
        self.console.step(
            "bag_of_words",
            split,
            {"rows": self.extracted[split].described, "columns": 2 + self.settings.words},
            preview=results.preview(self.bag_rows[split]),
            seconds=self.clock.last.seconds,
        )

    def _few_tasks(self, split: str) -> "DataFrame":
        """The described pictures, for a pass over their descriptors, which is short: in one task a core, or one for
        every 20,000 pictures of a large set."""
        done = self.extracted[split]
        return described(done.frame).coalesce(max(self.cores, done.described // 20_000))

    def reduce(self, spark: "SparkSession", split: str) -> None:
        from job.stages import CategoryIndexer, PrincipalComponents

        own = self.settings
        categories = list(self.images["train"].categories())
        with self.clock.operation("reduce_dimensions", split, spark):
            gathered = self.bag_rows[split]
            if split == "train":
                estimator = PrincipalComponents(k=own.components)
                self.stages += [
                    estimator.fit(self.bags[split]) if gathered is None else estimator.fit_arrays(gathered[1]),
                    CategoryIndexer(categories=categories),
                ]
            if gathered is None:
                self.features[split] = None
            else:
                rows, bags = gathered
                labels = np.searchsorted(np.array(categories), np.array(rows["cat"].to_pylist())).astype(np.float64)
                self.features[split] = (
                    rows.append_column("label", pa.array(labels)),
                    self.stages[2].transform_arrays(bags),
                )
        self.console.step(
            "reduce_dimensions",
            split,
            {"rows": self.extracted[split].described, "components": own.components},
            preview=results.preview(self.features[split]),
            seconds=self.clock.last.seconds,
        )

    def classify(self, spark: "SparkSession") -> None:
        from job.stages import CategoryClassifier

        own = self.settings
        with self.clock.operation("fit_classifier", "train", spark):
            estimator = CategoryClassifier(
                kind=own.classifier, seed=own.seed, categories=list(self.images["train"].categories())
            )
            known = self.features["train"]
            if known is not None:
                model = estimator.fit_arrays(known[1], known[0]["label"].to_numpy().astype(np.int64))
            else:
                model = estimator.fit(self.stages[3].transform(self.stages[2].transform(self.bags["train"])))
        self.stages.append(model)
        self.console.step(
            "fit_classifier",
            "train",
            {"classifier": own.classifier, "layers": model.layers},
            seconds=self.clock.last.seconds,
        )

    def evaluate(self, spark: "SparkSession") -> None:
        from job.report import tables

        with self.clock.operation("evaluate", "test", spark):
            known = self.features["test"]
            if known is None:
                frame = self.bags["test"]
                for stage in self.stages[2:]:
                    frame = stage.transform(frame)
                found = frame.select("ima", "cat", "label", *PREDICTED).toArrow().sort_by("ima")
            else:
                columns = self.stages[-1].transform_arrays(known[1])
                found = pa.Table.from_arrays([*known[0].columns, *columns], [*known[0].column_names, *PREDICTED])
            labels, predicted = (found[name].to_numpy().astype(np.int64) for name in ("label", "prediction"))
            names = list(self.images["train"].categories())
            self.accuracy = float((labels == predicted).mean())
            self.tables |= {
                "predictions": found,
                "confusion_matrix": tables.confusion_matrix(labels, predicted, names),
                "categories": tables.categories_table(labels, predicted, names),
            }
        self.console.step(
            "evaluate",
            "test",
            {"pictures": found.num_rows, "accuracy": round(self.accuracy, 4)},
            preview=self.tables["categories"].slice(0, 5),
            seconds=self.clock.last.seconds,
        )

    # ---- what others ask of a run

    def seconds(self, operation: str, split: str) -> float:
        return next(t.seconds for t in self.clock.timings if (t.operation, t.split) == (operation, split))

    def model(self) -> "PipelineModel":
        from pyspark.ml import PipelineModel

        return PipelineModel(stages=self.stages)


def described(frame: "DataFrame") -> "DataFrame":
    """The pictures that have descriptors."""
    from pyspark.sql import functions as F

    return frame.where(F.col("reason").isNull())


@dataclass(frozen=True)
class Summary:
    """What the driver learns of described pictures: the table `path, reason` of those that were not, sorted; how many
    pictures and descriptors there are; the first pictures of the first partition, `ima, cat, keypoints`; and the
    descriptors drawn, None where a task had more of them than it may give."""

    rejected: pa.Table
    described: int
    descriptors: int
    first: pa.Table
    drawn: NDArray[Any] | None


def summary(frame: "DataFrame", draw: sampling.Draw | None = None) -> Summary:
    """Extracts, counts and draws, in one pass."""
    import pyarrow.compute as pc
    from pyspark.sql.pandas.types import from_arrow_schema

    text, number, data = pa.string(), pa.int64(), pa.binary()
    # a row for a picture, as far as `keypoints`, and one for a task, from there
    fields = pa.schema(
        [
            ("ima", text),
            ("cat", text),
            ("reason", text),
            ("keypoints", number),
            ("described", number),
            ("keys", data),
            ("rows", data),
        ]
    )

    def batch_of(columns: dict[str, pa.Array], count: int = 1) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(
            [columns.get(field.name, pa.nulls(count, field.type)).cast(field.type) for field in fields], schema=fields
        )

    def work(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from pyspark import TaskContext

        described = descriptors = 0
        context = TaskContext.get()
        wanted = PREVIEW_ROWS if context and not context.partitionId() else 0
        lowest = sampling.Lowest(draw) if draw else None
        for batch in batches:
            good = pc.is_null(batch["reason"])
            found = batch.filter(good)
            described += found.num_rows
            descriptors += pc.sum(found["keypoints"]).as_py() or 0
            for rows in (batch.filter(pc.invert(good)), found.slice(0, wanted)):
                if rows.num_rows:
                    yield batch_of({name: rows[name] for name in ("ima", "cat", "reason", "keypoints")}, rows.num_rows)
            wanted = max(0, wanted - found.num_rows)
            if lowest:
                lowest.add(found["ima"].to_pylist(), found["descriptors"])
        ends: dict[str, Any] = {"keypoints": descriptors, "described": described}
        if lowest:
            part = lowest.part()
            ends |= {"keys": part.keys.tobytes(), "rows": part.rows.tobytes()}
        yield batch_of({name: pa.array([value]) for name, value in ends.items()})

    columns = ["ima", "cat", "reason", "keypoints", *(["descriptors"] if draw else [])]
    found = frame.select(*columns).mapInArrow(work, from_arrow_schema(fields)).toArrow()
    pictures, tasks = (found.filter(mask) for mask in (pc.is_valid(found["ima"]), pc.is_null(found["ima"])))
    rejected = (
        pictures.filter(pc.is_valid(pictures["reason"]))
        .select(["ima", "reason"])
        .rename_columns(["path", "reason"])
        .sort_by("path")
    )
    first = pictures.filter(pc.is_null(pictures["reason"])).select(["ima", "cat", "keypoints"])
    described, descriptors = (int(pc.sum(tasks[name]).as_py() or 0) for name in ("described", "keypoints"))
    drawn = None
    if draw:
        parts = [
            sampling.Part(
                np.frombuffer(keys.as_buffer(), np.uint64),
                np.frombuffer(rows.as_buffer(), draw.dtype).reshape(-1, draw.values),
                seen,
            )
            for keys, rows, seen in zip(tasks["keys"], tasks["rows"], tasks["keypoints"].to_pylist(), strict=True)
        ]
        drawn = draw.lowest(parts)
    return Summary(rejected, described, descriptors, first, drawn)


def warm_up(spark: "SparkSession", images: dataset.Images, descriptor: str) -> None:
    """Has each core of the executors describe a few pictures, draw from them and count words: they load classes, start
    Python workers and connect to the store, 2 CPU-seconds each, as part of the start, all at once, and not while others
    wait for them in the midst of the work."""
    from pyspark.sql import functions as F

    from job.stages import DescriptorExtractor, VisualVocabulary
    from job.vision import descriptors as registry

    spark.sparkContext.setJobGroup("start_spark all", "warm-up")
    spec, cores = registry.get(descriptor), spark_session.total_cores(spark)
    few = images.table.select(["ima", "cat"]).slice(0, _WARM_UP).combine_chunks()
    each = pa.Table.from_batches(few.to_batches() * cores)
    found = (
        DescriptorExtractor(descriptor=descriptor)
        .transform(spark.createDataFrame(each).select(F.lit(images.root).alias("root"), "ima", "cat"))
        .persist()
    )
    drawn = summary(found, sampling.Draw.of(_MANY * each.num_rows, cores, 0, spec.dtype, spec.values)).drawn
    if drawn is not None and len(drawn) >= 2:
        words = VisualVocabulary(k=2, descriptor=descriptor, maxIter=1).fit_drawn(drawn)
        words.transform(described(found)).select("ima", "cat", "bag").toArrow()
    found.unpersist()


def listing(settings: Settings, data: str | None, split: str) -> dataset.Images:
    """The pictures of a split: from its own address, or else from its folder below `data`."""
    own = {"train": settings.train, "test": settings.test}[split]
    if own:
        return dataset.listing(split, own, categories=settings.categories)
    assert data is not None
    return dataset.listing(split, data, dataset.split_folder(split), settings.categories)


def plan(settings: Settings, data: str | None, cores: int) -> list[dict[str, Any]]:
    """What a run would do, for `--dry-run`: pictures, bytes, partitions and stages of each split; no work is done."""
    import pyarrow.compute as pc

    images = {split: listing(settings, data, split) for split in SPLITS}
    dataset.check_categories(images["train"], images["test"], classify=not settings.no_classify)
    rows = []
    for split, wanted in (("train", settings.train_images), ("test", settings.test_images)):
        chosen = dataset.choose(images[split], wanted, option=f"--{split}-images")
        size = int(pc.sum(chosen.table["size"]).as_py())
        count = dataset.planned_partitions(chosen, cores, exactly=settings.partitions, least=settings.min_partitions)
        rows.append(
            {
                "split": split,
                "pictures": len(chosen),
                "categories": len(chosen.categories()),
                "bytes": size,
                "partitions": count,
                "pictures_per_task": math.ceil(len(chosen) / count),
            }
        )
    return rows
