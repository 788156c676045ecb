"""What a run does in its session: describe, learn, encode, classify and score, and what is said of it.

Apart from `run`, so that none of it is imported before Java is started and the pictures are listed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job import dataset
from job.cores import available_cores
from job.engine import sizes
from job.errors import UserError
from job.experiment import issues
from job.experiment.clock import Clock
from job.experiment.extract import MANY, Extracted, Partitioning, extractor, summary, usable
from job.experiment.fit import Fitted
from job.experiment.recipe import Recipe
from job.experiment.results import RunResult, Split
from job.experiment.rounds import Rounds, planned
from job.learn import sampling
from job.learn.classifiers import CLASSIFIERS
from job.learn.curve import Point, points
from job.learn.protocols.base import Round
from job.report import reference
from job.report.console import Console
from job.settings import Settings
from job.splits import FOLDERS
from job.vision.descriptors import DESCRIPTORS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Number of pictures by which each core of the executors is warmed.
_WARM_UP = 20


def result_of(
    spark: "SparkSession",
    settings: Settings,
    recipe: Recipe,
    images: dict[str, dataset.Images],
    cores: int,
    clock: Clock,
    name: str,
    versions: dict[str, Any],
    console: Console,
) -> RunResult:
    """Describes, learns, encodes and scores, in all rounds of the protocol. `cores` run tasks."""
    partitioning = Partitioning(cores, settings.partitions, settings.min_partitions)

    def check(done: Extracted) -> None:
        check_usable(settings, recipe, done)
        if done.images.split == "train":
            for cat in unusable_categories(done):
                console.warning(
                    f"No training picture of '{cat}' could be used, so that nothing is taken for it: see rejected.csv."
                )

    rounds = Rounds(
        spark,
        recipe,
        images,
        partitioning,
        clock=clock,
        check=check,
        cached=settings.cache,
        warn=console.warning,
    )
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
        cores,
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
    train, test = (gathered.features[split] for split in FOLDERS)
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


def warn_of_leaks(result: RunResult, console: Console) -> None:
    """Says where test pictures are copies or frames of training pictures, so that the accuracy means little."""
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
