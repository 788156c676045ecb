"""A whole run: list, describe, learn, encode, classify, score, and leave it all in a folder."""

import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import fields
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job import __version__, dataset, storage
from job.cores import available_cores
from job.engine import sizes
from job.engine.configuration import Configuration, started_by_spark_submit
from job.engine.versions import versions as versions_of
from job.errors import UsageError, UserError
from job.experiment import issues, outputs
from job.experiment.clock import Clock, Step
from job.experiment.extract import MANY, Extracted, Partitioning, extractor, summary, usable
from job.experiment.fit import Fitted
from job.experiment.recipe import Recipe
from job.experiment.results import RunResult, Split
from job.experiment.rounds import Rounds, planned
from job.learn import sampling
from job.learn.classifiers import CLASSIFIERS
from job.learn.curve import Point, points
from job.learn.protocols.base import Round
from job.report import html, reference
from job.report.console import Console
from job.settings import Settings
from job.splits import FOLDERS
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPLITS = tuple(FOLDERS)
# Modules that are needed later and take long to import: pyspark.ml brings pandas and scipy.
_LATER = ("job.stages.classifier", "job.stages.vocabulary", "job.stages.reducer", "scipy.optimize")
# Number of pictures by which each core of the executors is warmed.
_WARM_UP = 20


def run(*, spark: "SparkSession | None" = None, console: Console | None = None, **values: Any) -> RunResult:
    """Make a whole run from Python, as the command `fruits run` does.

    Parameters
    ----------
    spark
        The session to work in. None: the active one, or where there is none a session of its own, stopped at the end.
    console
        Where steps are told; None: nowhere.
    values
        Settings by name (`data="pictures", words=50`), as `fruits run --help` lists them; the environment is not
        looked at.

    Returns
    -------
    The run's record. Its frames can be used only as long as the session is there.

    Raises
    ------
    UserError
        In one sentence, with the way out.

    """
    from pyspark.sql import SparkSession

    from job.experiment.choices import choices
    from job.settings import resolve

    texts = {name: _text(value) for name, value in values.items()}
    unknown = set(texts) - {spec.name for spec in fields(Settings)} - {"config"}
    if unknown:
        raise UsageError(f"There is no setting '{min(unknown)}': see `fruits run --help`.")
    settings = resolve(texts, {}, choices=choices())
    data = data_of(settings)
    own = spark or SparkSession.getActiveSession()
    console = console or Console(quiet=True)
    begun = time.perf_counter()
    if own is not None:
        return execute(settings, data, nullcontext(own), console, begun)
    from job.engine.session import session

    return execute(settings, data, session(Configuration.of(settings)), console, begun)


def _text(value: Any) -> Any:
    """A setting's value as text, or as a list of texts, which is what settings are read from."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)


def default_run_name() -> str:
    """The UTC time, as a name of a folder."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")


def data_of(settings: Settings) -> str | None:
    """The address given, or the generated sample, written where this machine keeps temporary files."""
    if settings.data or settings.train:
        return settings.data
    from job.vision import sample

    if started_by_spark_submit() or not (settings.master or "local").startswith("local"):
        raise UsageError(
            "--data is missing: the generated sample is for this machine only, and a cluster's executors "
            "could not read it; give --data s3://bucket/prefix (`fruits sample` and `fruits upload` put "
            "one there)."
        )
    folder = Path(tempfile.gettempdir()) / f"fruits-sample-{__version__}-{os.getuid()}"
    sample.write_sample(folder)
    return str(folder)


def listed(settings: Settings, data: str | None, split: str) -> dataset.Images:
    """All pictures of a split in the categories asked for."""
    own = {"train": settings.train, "test": settings.test}[split]
    if own:
        return dataset.listing(split, own, "", settings.categories)
    assert data is not None
    if settings.test_fraction:
        if settings.labels:
            found = dataset.labelled(split, data, settings.labels, settings.categories)
        else:
            found = dataset.listing(split, data, "", settings.categories)
        return dataset.split_off(found, settings.test_fraction)
    return dataset.listing(split, data, dataset.split_folder(split), settings.categories)


def chosen(settings: Settings, images: dataset.Images) -> dataset.Images:
    """As many of the pictures of a split as were asked for."""
    wanted = {"train": settings.train_images, "test": settings.test_images}[images.split]
    return dataset.choose(images, wanted, option=f"--{images.split}-images")


def execute(settings: Settings, data: str | None, session: Any, console: Console, begun: float) -> RunResult:
    """Runs everything in a session, which is a context that gives a SparkSession.

    Raises UserError, and leaves nothing half-written.
    """
    name = settings.run_name or default_run_name()
    recipe = Recipe.of(settings)
    clock = Clock(told(console), begun, console)
    console.start(name, settings.public())
    if settings.public_read:
        console.warning("Everybody will be able to read the results (--public-read).")
    folder = storage.RunFolder(settings.out, name, public_read=settings.public_read)
    folder.check_writable()
    images = list_splits(settings, data, clock, console)
    if settings.event_log:
        storage.make_folder(settings.event_log)
    with _claimed(folder), ExitStack() as stack:
        with clock.operation("start_spark", "all") as finding:
            threading.Thread(target=load_ahead, daemon=True).start()
            spark: SparkSession = stack.enter_context(session)
            if sizes.has_fixed_executors(spark):
                warm_up(spark, images["train"], recipe)
            versions, cores = versions_of(spark), sizes.total_cores(spark)
            finding.facts = {
                "spark": versions["pyspark"],
                "cores": cores,
                "application": spark.sparkContext.applicationId,
            }
        partitioning = Partitioning(cores, settings.partitions, settings.min_partitions)
        result = _work(spark, settings, recipe, images, partitioning, clock, name, versions, console)
        done = outputs.write(result, folder, clock, intermediate=settings.export_intermediate)
        _warn_of_leaks(done, console)
        console.rounds([row.public() for row in done.rounds])
        console.timings(done.timings(), reference_beside(done))
        console.done(folder.uri(), done.accuracy, done.seconds)
    return done


def _warn_of_leaks(result: RunResult, console: Console) -> None:
    leaks, pictures = len(result.issues.leaks()), len(result.splits["test"].images)
    if leaks:
        console.warning(
            f"{leaks} of {pictures} test pictures are copies of training pictures, which data_issues.csv names: an "
            "accuracy on them says too much."
        )
    if result.issues.frames:
        console.warning(
            f"{result.issues.frames} of {pictures} test pictures are frames of the same videos as training pictures: "
            "an accuracy on them says little of other pictures (--protocol rotation says more)."
        )


@contextmanager
def _claimed(folder: storage.RunFolder) -> Iterator[None]:
    """The folder is this run's own; when the run fails, all that it wrote is removed."""
    folder.claim()
    try:
        yield
    except BaseException:
        folder.discard()
        raise


def told(console: Console) -> Any:
    """A listener that tells each step of a clock on a console, but for those that are told apart."""

    def tell(step: Step) -> None:
        if step.operation not in ("read_images", "export"):
            console.step(step.operation, step.split, step.facts, preview=step.preview, seconds=step.seconds)

    return tell


def load_ahead() -> None:
    """Loads modules while the JVM and its executors are waited for.

    What can't be loaded is told where it is wanted. After an interruption nothing is: it may have come while the main
    thread loaded a module that one of these needs.
    """
    with suppress(Exception):
        for name in _LATER:
            import_module(name)
        html.template()


def list_splits(settings: Settings, data: str | None, clock: Clock, console: Console) -> dict[str, dataset.Images]:
    """The pictures of all splits, chosen and told."""
    found = {}
    for split in SPLITS:
        with clock.operation("read_images", split):
            found[split] = listed(settings, data, split)
    dataset.check_categories(found["train"], found["test"], classify=not settings.no_classify)
    found = {split: chosen(settings, images) for split, images in found.items()}
    for split, step in zip(SPLITS, clock.steps, strict=True):
        images = found[split]
        facts: dict[str, Any] = {"root": images.root, "pictures": len(images), "categories": len(images.categories())}
        if images.passed_over:
            facts["of_no_picture_kind"] = ", ".join(f"{count} {kind}" for kind, count in images.passed_over.items())
        left = left_alone(settings, images)
        if left:
            facts["left_alone"] = ", ".join(f"{name}/" for name in left)
        console.step("read_images", split, facts, preview=images.table.slice(0, 5), seconds=step.seconds)
        console.categories(split, images.categories())
    return found


def left_alone(settings: Settings, images: dataset.Images) -> list[str]:
    """Folders of a data set on this machine, beside those of its training and test pictures: `Validation`."""
    root = images.root
    if images.split != SPLITS[0] or settings.data is None or settings.test_fraction or storage.is_remote(root):
        return []
    return (
        [] if storage.is_packed(root) else [name for name in storage.list_folders(root) if name not in FOLDERS.values()]
    )


def _work(
    spark: "SparkSession",
    settings: Settings,
    recipe: Recipe,
    images: dict[str, dataset.Images],
    partitioning: Partitioning,
    clock: Clock,
    name: str,
    versions: dict[str, Any],
    console: Console,
) -> RunResult:
    """Describes, learns, encodes and scores, in all rounds of the protocol."""

    def check(done: Extracted) -> None:
        check_usable(settings, recipe, done)
        if done.images.split == "train":
            for cat in unusable_categories(done):
                console.warning(
                    f"No training picture of '{cat}' could be used, so that nothing is taken for it: see rejected.csv."
                )

    rounds = Rounds(spark, recipe, images, partitioning, clock=clock, check=check, cached=settings.cache)
    found = rounds.work(rounds_of(settings, images))
    spread = {"train": (found.train, found.fitted.train), "test": (found.test, found.encoded)}
    counts = images["train"].categories()
    wrong, gathered = issues.look(spread, found.fitted, found.scores, counts=counts, spark=spark, clock=clock)
    curve: tuple[Point, ...] = ()
    if settings.learning_curve and found.scores is not None:
        curve = learning_curve(found.fitted, gathered, clock)
    splits = {
        "train": Split(found.train.images, found.train, found.fitted.train),
        "test": Split(found.test.images, found.test, found.encoded),
    }
    return RunResult(
        name,
        settings.public(),
        recipe,
        versions,
        partitioning.cores,
        splits,
        found.fitted,
        found.scores,
        found.rows,
        tuple(clock.steps),
        wrong,
        curve,
        settings.came_from(),
    )


def learning_curve(fitted: Fitted, gathered: issues.Gathered, clock: Clock) -> tuple[Point, ...]:
    """Accuracy by pictures of a category, from features that the driver has; told as `learning_curve`."""
    train, test = (gathered.features[split] for split in SPLITS)
    assert fitted.recipe.classifier is not None
    with clock.operation("learning_curve", "all") as finding:
        found = points(
            CLASSIFIERS.get(fitted.recipe.classifier),
            (np.asarray(train.values), train.labels),
            (np.asarray(test.values), test.labels),
            len(fitted.categories),
            seed=fitted.recipe.seed,
            threads=available_cores(),
        )
        finding.facts = {str(point.each): round(point.accuracy.mean, 4) for point in found}
    return tuple(found)


def rounds_of(settings: Settings, images: Mapping[str, dataset.Images]) -> tuple[Round, ...]:
    """The rounds of the protocol. Raises UserError when it can't be made of these pictures."""
    try:
        return planned(settings.protocol, images["train"], images["test"], settings.seed)
    except ValueError as error:
        raise UserError(str(error)) from error


def check_usable(settings: Settings, recipe: Recipe, done: Extracted) -> None:
    """Raises UserError when too many pictures of a split could not be used, or there is too little to learn from."""
    split, count = done.images.split, len(done.images)
    bad = done.rejected.num_rows - done.without_descriptors
    if bad > settings.max_bad_fraction * count:
        first = done.rejected.slice(0, 1).to_pylist()[0]
        raise UserError(
            f"{bad} of {count} {split} pictures are unusable, more than --max-bad-fraction "
            f"{settings.max_bad_fraction}; the first is '{first['path']}' ({first['reason']})."
        )
    if not done.described:
        raise UserError(
            f"None of the {count} {split} pictures has a descriptor: look at them, or try another --descriptor."
        )
    if split == "train":
        for block in recipe.blocks:
            if DESCRIPTORS.get(block.descriptor).local and done.rows[block.descriptor] < block.words:
                raise UserError(
                    f"--words {block.words} is more than the {done.rows[block.descriptor]} descriptors of the training "
                    "pictures: lower --words or add pictures."
                )


def unusable_categories(done: Extracted) -> list[str]:
    """Categories of which every picture was rejected."""
    places = pc.index_in(done.rejected["path"], done.images.table["ima"].combine_chunks())
    rejected = pc.value_counts(done.images.table["cat"].combine_chunks().take(places.combine_chunks()))
    bad = {item["values"].as_py(): item["counts"].as_py() for item in rejected}
    return [cat for cat, count in done.images.categories().items() if bad.get(cat) == count]


def reference_beside(result: RunResult) -> pa.Table | None:
    """The prototype's seconds, when this run did the same work."""
    images = {name: len(split.images) for name, split in result.splits.items()}
    return reference.emr_table() if reference.same_work(images, result.settings) else None


def warm_up(spark: "SparkSession", images: dataset.Images, recipe: Recipe) -> None:
    """Has each core of the executors describe a few pictures, draw from them and encode them.

    They load classes, start Python workers and connect to the store as part of the start, all at once, and not while
    others wait for them in the midst of the work.
    """
    from pyspark.sql import functions as F

    from job.stages import VisualVocabulary
    from job.stages.vocabulary import encoded_as_bytes

    spark.sparkContext.setJobGroup("start_spark all", "warm-up")
    cores, stage = sizes.total_cores(spark), extractor(recipe)
    few = images.table.select(["ima", "cat"]).slice(0, _WARM_UP).combine_chunks()
    each = pa.Table.from_batches(few.to_batches() * cores)
    frame = spark.createDataFrame(each).select(F.lit(images.root).alias("root"), "ima", "cat")
    found = stage.transform(frame).persist()
    columns = {name: column for column, name in stage.columns().items()}
    name = recipe.descriptors[0]
    spec = DESCRIPTORS.get(name)
    draw = sampling.Draw.of(MANY * each.num_rows, cores, 0, spec.dtype, spec.values)
    drawn = summary(found, columns, {name: draw}).drawn.get(name)
    if drawn is not None and len(drawn) >= 2 and recipe.blocks[0].encoding == "counts":
        estimator = VisualVocabulary(k=2, descriptor=name, maxIter=1, inputCol=columns[name])
        encoded_as_bytes(usable(found), [estimator.fit_drawn(drawn)], keep=("ima", "cat")).toArrow()
    found.unpersist()


def plan(settings: Settings, data: str | None, cores: int) -> list[dict[str, Any]]:
    """What a run would do, for `--dry-run`: pictures, bytes and partitions of each split; no work is done."""
    images = {split: listed(settings, data, split) for split in SPLITS}
    dataset.check_categories(images["train"], images["test"], classify=not settings.no_classify)
    partitioning = Partitioning(cores, settings.partitions, settings.min_partitions)
    rows = []
    for split, found in images.items():
        own = chosen(settings, found)
        count = partitioning.of(own)
        rows.append(
            {
                "split": split,
                "pictures": len(own),
                "categories": len(own.categories()),
                "bytes": int(pc.sum(own.table["size"]).as_py()),
                "partitions": count,
                "pictures_per_task": math.ceil(len(own) / count),
            }
        )
    return rows
